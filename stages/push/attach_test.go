package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/push/ecrtest"
)

// twoDocuments are attachments as the image's step gives them.
func twoDocuments(context.Context, string) ([]Attachment, error) {
	return []Attachment{
		{Name: "sbom", MediaType: "application/vnd.cyclonedx+json", Predicate: "https://cyclonedx.org/bom", Content: []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6"}`)},
		{Name: "provenance", MediaType: "application/vnd.in-toto+json", Predicate: "https://slsa.dev/provenance/v1", Statement: true, Content: nil},
	}, nil
}

// documentsOf makes a provenance that speaks of the image.
func documentsOf(ctx context.Context, digest string) ([]Attachment, error) {
	list, err := twoDocuments(ctx, digest)
	list[1].Content = fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"orders","digest":{"sha256":%q}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{"buildType":"x","externalParameters":{},"resolvedDependencies":[]},"runDetails":{"builder":{"id":"x"}}}}`, digest[len("sha256:"):])
	return list, err
}

// background runs what a step leaves behind when the test asks for it.
type background struct {
	events
	left []func(context.Context) error
}

func (b *background) env() runner.Env {
	env := b.events.env()
	env.Background = func(_ string, work func(context.Context) error) { b.left = append(b.left, work) }
	return env
}

func (b *background) join(ctx context.Context) (err error) {
	for _, work := range b.left {
		err = errors.Join(err, work(ctx))
	}
	b.left = nil
	return err
}

func newMemory(t *testing.T) *cache.Cache {
	t.Helper()
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { t.Errorf("the cache: %v", err) }}
}

// listed reads an image's referrers as a client does: by the API, else by the
// tag.
func listed(t *testing.T, base, digest string) map[string]link {
	t.Helper()
	read := func(path string) (int, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(path, "manifests/") {
			acceptManifests(req)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b
	}
	status, raw := read("referrers/" + digest)
	if status != http.StatusOK {
		status, raw = read("manifests/" + strings.Replace(digest, ":", "-", 1))
	}
	var x struct{ Manifests []link }
	if err := json.Unmarshal(raw, &x); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, raw, err)
	}
	by := map[string]link{}
	for _, l := range x.Manifests {
		status, raw := read("manifests/" + l.Digest)
		var m artifactManifest
		if err := json.Unmarshal(raw, &m); err != nil || status != http.StatusOK || m.Subject == nil || m.Subject.Digest != digest || bytes.Contains(raw, []byte(`"data"`)) {
			t.Errorf("%s: %d %s %v", l.ArtifactType, status, raw, err)
		}
		by[m.ArtifactType] = l // ggcr's list has the config's type
		for _, b := range append(m.Layers, m.Config) {
			if status, content := read("blobs/" + b.Digest); status != http.StatusOK || string(cache.Sum(content)) != b.Digest {
				t.Errorf("%s: blob %s: %d", l.ArtifactType, b.Digest, status)
			}
		}
	}
	return by
}

// withReferrers is a registry that keeps the list of referrers itself, and
// does not say so when a manifest comes.
func withReferrers(t *testing.T) *server {
	s := newServer(t)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool { inner.ServeHTTP(w, r); return true })
	return s
}

// saysSo is the same, with the answer that the specification asks for.
func saysSo(t *testing.T) *server {
	s := newServer(t)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if body, err := io.ReadAll(r.Body); err == nil && bytes.Contains(body, []byte(`"subject"`)) {
			w.Header().Set("OCI-Subject", "sha256:x")
			r.Body = io.NopCloser(bytes.NewReader(body))
		} else {
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		inner.ServeHTTP(w, r)
		return true
	})
	return s
}

func TestAttachments(t *testing.T) {
	for name, c := range map[string]struct {
		make     func(*testing.T) *server
		requests int // of the background, at most
		tagged   bool
	}{
		"tag":                 {newServer, 3 + 6 + 2 + 1 + 3, true},
		"API":                 {withReferrers, 3 + 6 + 2 + 1, false},
		"API, and it is told": {saysSo, 3 + 6 + 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.make(t)
			in := makeImage(t, t.TempDir(), random(10))
			deps := anonymous()
			deps.Attachments, deps.Cache = documentsOf, newMemory(t)
			step := New(Config{Repository: s.host() + "/x"}, deps)
			var b background
			if _, err := step.Run(t.Context(), b.env(), in); err != nil {
				t.Fatal(err)
			}
			for _, r := range s.take() {
				if strings.Contains(r, "referrers") {
					t.Errorf("the push waits for %s", r)
				}
			}
			if err := b.join(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.take(); len(got) > c.requests {
				t.Errorf("%d requests: %v", len(got), got)
			}
			by := listed(t, s.URL+"/v2/x/", in.Digest)
			if len(by) != 2 || by["application/vnd.in-toto+json"].Annotations["in-toto.io/predicate-type"] != "https://slsa.dev/provenance/v1" || by["application/vnd.cyclonedx+json"].Digest == "" {
				t.Errorf("%+v", by)
			}
			if resp, err := http.Head(s.URL + "/v2/x/manifests/" + strings.Replace(in.Digest, ":", "-", 1)); err != nil || (resp.StatusCode == 200) != c.tagged {
				t.Errorf("tag %v, %v", resp.StatusCode, err)
			}
			s.take()

			// Unchanged, with what is known: one look at the tag.
			if _, err := New(Config{Repository: s.host() + "/x"}, deps).Run(t.Context(), b.env(), in); err != nil {
				t.Fatal(err)
			}
			unchanged := len(s.take())
			if err := b.join(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.take(); len(got) != 0 || unchanged > 2 { // the first one logs in
				t.Errorf("%d requests, and %v of the background", unchanged, got)
			}

			// On a host that knows nothing, attaching again changes nothing.
			deps.Cache = newMemory(t)
			if _, err := New(Config{Repository: s.host() + "/x"}, deps).Run(t.Context(), b.env(), in); err != nil {
				t.Fatal(err)
			}
			if err := b.join(t.Context()); err != nil || len(listed(t, s.URL+"/v2/x/", in.Digest)) != 2 {
				t.Error(err)
			}
		})
	}
}

// TestAttachmentsFail: the image is pushed, and the background says what went
// wrong.
func TestAttachmentsFail(t *testing.T) {
	s := newServer(t)
	in := makeImage(t, t.TempDir(), random(10))
	deps := anonymous()
	deps.Cache = newMemory(t)
	deps.Attachments = func(context.Context, string) ([]Attachment, error) { return nil, errors.New("the jar is gone") }
	var b background
	r, err := New(Config{Repository: s.host() + "/x"}, deps).Run(t.Context(), b.env(), in)
	if err != nil || r.Out.Reference == "" {
		t.Fatal(err)
	}
	if err := b.join(t.Context()); err == nil || !strings.Contains(err.Error(), "the jar is gone") {
		t.Errorf("%v", err)
	}
	deps.Attachments = documentsOf
	var refused atomic.Int64
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			refused.Add(1)
			w.WriteHeader(400)
			io.WriteString(w, `{"errors":[{"code":"MANIFEST_INVALID","message":"unknown artifact type"}]}`)
			return true
		}
		return false
	})
	if _, err := New(Config{Repository: s.host() + "/x"}, deps).Run(t.Context(), b.env(), in); err != nil {
		t.Fatal(err)
	}
	if err := b.join(t.Context()); err == nil || !strings.Contains(err.Error(), "send the sbom") || refused.Load() == 0 {
		t.Errorf("%v", err)
	}
}

// distribution starts Debian's docker-registry 2.8, which has no referrers.
func distribution(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("no docker-registry: apt-get install docker-registry")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	root := t.TempDir()
	config := filepath.Join(root, "config.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", root, host), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 200 {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			resp.Body.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return host
}

// TestAttachmentsOnECR: ECR lists referrers itself, refuses embedded data, and
// here its tags cannot move.
func TestAttachmentsOnECR(t *testing.T) {
	a := newAccount(t, ecrtest.Options{Immutable: true})
	a.deps.Attachments, a.deps.Cache = documentsOf, newMemory(t)
	in := makeImage(t, t.TempDir(), random(10))
	var b background
	step := a.step(Config{})
	if _, err := step.Run(t.Context(), b.env(), in); err != nil {
		t.Fatal(err)
	}
	a.Asked()
	if err := b.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := a.Asked()
	slices.Sort(got)
	if slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "referrers") }) || len(got) > 9 {
		t.Errorf("asked %v", got)
	}
	// Signed by one key, and by another whose signature would have to go into
	// a tag that is there.
	if _, err := a.step(Config{Sign: Sign{Key: keyFile(t)}}).Run(t.Context(), b.env(), in); err != nil {
		t.Fatal(err)
	}
	_, err := a.step(Config{Sign: Sign{Key: keyFile(t)}}).Run(t.Context(), b.env(), in)
	if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), ".sig is immutable") {
		t.Errorf("%v", err)
	}
}
