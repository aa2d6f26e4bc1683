package push

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/internal/fault"
)

// TestNoRegistry: nothing is told to be pushed to what says yes to everything.
func TestNoRegistry(t *testing.T) {
	in := makeImage(t, t.TempDir(), random(500_000), random(10))
	for name, pages := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"every path":  func(http.ResponseWriter, *http.Request) bool { return true },
		"all but GET": func(_ http.ResponseWriter, r *http.Request) bool { return r.Method != http.MethodGet },
		"manifests": func(_ http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPut && kind(r.URL.Path) == "manifests"
		},
	} {
		s := newServer(t)
		s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if !pages(w, r) {
				return false
			}
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "<html><title>Welcome</title></html>")
			return true
		})
		deps := anonymous()
		deps.State = t.TempDir()
		step := New(Config{Repository: s.host() + "/x"}, deps)
		if err := step.Check(t.Context()); name == "every path" && (fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "no registry answers")) {
			t.Errorf("%s: Check: %v", name, err)
		}
		r, err := step.Run(t.Context(), (&events{}).env(), in)
		if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), "no registry") || !strings.Contains(fault.HintOf(err), "login page") {
			t.Errorf("%s: %+v, %v, hint: %s", name, r.Out, err, fault.HintOf(err))
		}
		// Nor is it remembered.
		if last := openMemory(deps.State, s.host()).last("x"); last.Digest != "" {
			t.Errorf("%s: remembered %+v", name, last)
		}
	}
}

// TestHeadIsNotLetThrough: some proxies allow what they know.
func TestHeadIsNotLetThrough(t *testing.T) {
	s := newServer(t)
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
		return r.Method == http.MethodHead
	})
	in := makeImage(t, t.TempDir(), random(500_000), random(10))
	for _, want := range []int{3, 0} { // the second time, the manifest tells
		step := New(Config{Repository: s.host() + "/x"}, anonymous())
		if err := step.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := step.Run(t.Context(), (&events{}).env(), in)
		if err != nil || r.Out.Blobs != want {
			t.Errorf("%+v, %v", r, err)
		}
	}
	s.misbehave(nil)
	if err := validate.Image(pull(t, s.host()+"/x:"+in.Digest[7:19])); err != nil {
		t.Error(err)
	}
}

// TestCertificateIsNamed: where plain http is tried beside https, what it was
// told does not hide why https failed.
func TestCertificateIsNamed(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of each stranger
	s.StartTLS()
	t.Cleanup(s.Close)
	err := New(Config{Repository: strings.TrimPrefix(s.URL, "https://") + "/x", Insecure: true}, Deps{
		Keychain: anonymous().Keychain, Transport: &http.Transport{TLSClientConfig: &tls.Config{}},
	}).Check(t.Context())
	if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "not trusted") || !strings.Contains(fault.HintOf(err), "SSL_CERT_FILE") {
		t.Errorf("%v, hint: %s", err, fault.HintOf(err))
	}
}

// TestStartedAnew: a registry that is gone for a moment in the middle of a push
// is waited for. One that never answered is not, see TestCheckFindsWhatIsWrong.
func TestStartedAnew(t *testing.T) {
	s := newServer(t)
	var back atomic.Bool
	deps := anonymous()
	var down atomic.Bool
	dialer := &net.Dialer{}
	wire := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if down.Load() {
			addr = "127.0.0.1:1" // where nobody listens
			back.Store(true)
			down.Store(false)
		}
		return dialer.DialContext(ctx, network, addr)
	}}
	deps.Transport = wire
	in := makeImage(t, t.TempDir(), random(500_000))
	step := New(Config{Repository: s.host() + "/x"}, deps)
	if err := step.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	down.Store(true)
	if _, err := step.Run(t.Context(), (&events{}).env(), in); err != nil || !back.Load() {
		t.Fatal(err, back.Load())
	}
	if err := validate.Image(pull(t, s.host()+"/x:"+in.Digest[7:19])); err != nil {
		t.Error(err)
	}
}

// TestCreatedTooSoon: an answer that nothing was asked for proves nothing.
func TestCreatedTooSoon(t *testing.T) {
	s := newServer(t)
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || r.URL.RawQuery != "" {
			return false
		}
		w.Header().Set("Location", r.URL.Path+"7")
		w.WriteHeader(http.StatusCreated) // and not 202 Accepted
		return true
	})
	in := makeImage(t, t.TempDir(), random(500_000))
	if _, err := New(Config{Repository: s.host() + "/x"}, anonymous()).Run(t.Context(), (&events{}).env(), in); err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(pull(t, s.host()+"/x:"+in.Digest[7:19])); err != nil {
		t.Error(err)
	}
}
