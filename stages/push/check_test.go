package push

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
)

// login is a keychain with one answer.
type login struct{ user, password string }

func (l login) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: l.user, Password: l.password}, nil
}

const user, password = "ann", "s3cret-word"

func basic(w http.ResponseWriter, r *http.Request) bool {
	if u, p, _ := r.BasicAuth(); u == user && p == password {
		return false
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
	w.WriteHeader(401)
	io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
	return true
}

func TestBasicLogin(t *testing.T) {
	s := newServer(t)
	s.misbehave(basic)
	in := makeImage(t, t.TempDir(), random(10))
	step := New(Config{Repository: s.host() + "/x"}, Deps{Keychain: login{user, password}})
	if err := step.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := step.Run(t.Context(), (&events{}).env(), in); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Deps{anonymous(), {Keychain: login{user, "wrong"}}} {
		err := New(Config{Repository: s.host() + "/x"}, d).Check(t.Context())
		if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "no valid login for "+s.host()) || fault.HintOf(err) != "run docker login "+s.host() {
			t.Errorf("%v (%s)", err, fault.HintOf(err))
		}
	}
}

// TestBearerLogin has a token that dies when the first blob is on its way:
// the push gets another one and sends the blob again.
func TestBearerLogin(t *testing.T) {
	s := newServer(t)
	var issued, dead, puts atomic.Int64
	var scope atomic.Value
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			if u, p, _ := r.BasicAuth(); u != user || p != password {
				w.WriteHeader(401)
				return true
			}
			scope.Store(r.URL.Query().Get("scope"))
			json.NewEncoder(w).Encode(map[string]string{"token": fmt.Sprint(issued.Add(1))})
			return true
		}
		if r.Method == http.MethodPut && puts.Add(1) == 1 {
			dead.Store(issued.Load())
			io.Copy(io.Discard, r.Body) // the client has nothing left to send again
		}
		var token int64
		if fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %d", &token); token > dead.Load() {
			return false
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test",scope="repository:x:pull,push"`, s.URL))
		w.WriteHeader(401)
		return true
	})
	in := makeImage(t, t.TempDir(), random(10), random(300_000), random(30))
	step := New(Config{Repository: s.host() + "/x"}, Deps{Keychain: login{user, password}})
	if err := step.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := scope.Load(); got != "repository:x:push,pull" {
		t.Errorf("asked for the scope %v", got)
	}
	var e events
	r, err := step.Run(t.Context(), e.env(), in)
	if err != nil || r.Out.Blobs != 4 || e.last.Done != r.Out.Bytes {
		t.Fatal(r, e.last, err)
	}
	if issued.Load() < 2 {
		t.Errorf("%d tokens: the test tests nothing", issued.Load())
	}
	err = New(Config{Repository: s.host() + "/x"}, Deps{Keychain: login{user, "wrong"}}).Check(t.Context())
	if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "no valid login") {
		t.Errorf("%v", err)
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	refused := newServer(t)
	refused.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if kind(r.URL.Path) != "manifests" {
			return false
		}
		w.WriteHeader(403)
		io.WriteString(w, `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`)
		return true
	})
	private := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(private.Close)
	plain := newServer(t)
	_, port, err := net.SplitHostPort(plain.host())
	if err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	toPlain := anonymous() // whatever the name, the plain server answers
	toPlain.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", plain.host())
	}}
	for name, c := range map[string]struct {
		config Config
		deps   Deps
		class  fault.Class
		want   string
		hint   string
	}{
		"capitals":   {Config{Repository: "example.com/Team/orders"}, anonymous(), fault.BadInput, "capitals", "example.com/team/orders"},
		"tag":        {Config{Repository: "example.com/orders:v1"}, anonymous(), fault.BadInput, "v1", "image.repository: example.com/orders,"},
		"nonsense":   {Config{Repository: "example.com/or ders"}, anonymous(), fault.BadInput, "image.repository", "registry.example.com"},
		"bad tag":    {Config{Repository: "example.com/orders", Tags: []string{"a/b"}}, anonymous(), fault.BadInput, `"a/b"`, "letters"},
		"refused":    {Config{Repository: refused.host() + "/x"}, anonymous(), fault.Missing, "DENIED", "docker login"},
		"nobody":     {Config{Repository: closed.Addr().String() + "/x"}, anonymous(), fault.Missing, "nothing answers", "start the registry"},
		"TLS":        {Config{Repository: "example.com/x"}, Deps{Keychain: anonymous().Keychain, Transport: dialing(strings.TrimPrefix(private.URL, "https://"))}, fault.Missing, "not trusted", "SSL_CERT_FILE"},
		"plain":      {Config{Repository: "registry.example.com:" + port + "/x"}, toPlain, fault.Missing, "speaks plain http", "image.insecure"},
		"private IP": {Config{Repository: "10.1.2.3:" + port + "/x"}, toPlain, fault.Missing, "plain http", "image.insecure"},
		"unknown":    {Config{Repository: "no-such-host.invalid/x"}, anonymous(), fault.Missing, "no-such-host.invalid", "correct the host"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			err := New(c.config, c.deps).Check(t.Context())
			if fault.ClassOf(err) != c.class || !strings.Contains(fmt.Sprint(err), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("class %d: %v\nhint: %s", fault.ClassOf(err), err, fault.HintOf(err))
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s to find out", took)
			}
		})
	}
	if err := New(Config{Repository: "registry.example.com:" + port + "/x", Insecure: true}, toPlain).Check(t.Context()); err != nil {
		t.Errorf("image.insecure: %v", err)
	}
}

func dialing(addr string) http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}}
}

const ecrRegistry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"

// redirect sends every request for the ECR host to a test server.
type redirect struct{ to *url.URL }

func (r redirect) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != ecrRegistry {
		return nil, errors.New("a request to " + req.URL.Host)
	}
	clone := req.Clone(req.Context())
	clone.URL.Scheme, clone.URL.Host = r.to.Scheme, r.to.Host
	resp, err := http.DefaultTransport.RoundTrip(clone)
	if resp != nil {
		resp.Request = req
		if place := resp.Header.Get("Location"); place != "" {
			resp.Header.Set("Location", strings.ReplaceAll(place, r.to.String(), "https://"+ecrRegistry))
		}
	}
	return resp, err
}

func TestECR(t *testing.T) {
	var calls atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if target := r.Header.Get("X-Amz-Target"); target != "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" {
			w.WriteHeader(http.StatusForbidden) // the registry itself will say what it has
			return
		}
		calls.Add(1)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":2e9,"proxyEndpoint":"https://%s"}]}`,
			base64.StdEncoding.EncodeToString([]byte(user+":"+password)), ecrRegistry)
	}))
	t.Cleanup(api.Close)
	s := newServer(t)
	s.misbehave(basic)
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	region := ""
	deps := Deps{
		Keychain: anonymous().Keychain, Transport: redirect{to},
		AWS: func(_ context.Context, r string) (aws.Config, error) {
			region = r
			return awsconf.Local(api.URL, r), nil
		},
	}
	step := New(Config{Repository: ecrRegistry + "/orders"}, deps)
	err = step.Check(t.Context())
	if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "does not exist") || !strings.Contains(fault.HintOf(err), "create-repository --repository-name orders") {
		t.Errorf("no repository: %v (%s)", err, fault.HintOf(err))
	}
	in := makeImage(t, t.TempDir(), random(10))
	r, err := step.Run(t.Context(), (&events{}).env(), in)
	if err != nil || r.Out.Reference != ecrRegistry+"/orders@"+in.Digest {
		t.Fatal(r, err)
	}
	if err := step.Check(t.Context()); err != nil {
		t.Errorf("the repository is there now: %v", err)
	}
	if calls.Load() != 1 || region != "eu-central-1" {
		t.Errorf("%d tokens, region %s", calls.Load(), region)
	}

	deps.AWS = func(context.Context, string) (aws.Config, error) {
		return aws.Config{}, fault.New(fault.Missing, "run aws sso login", "no AWS credentials")
	}
	err = New(Config{Repository: ecrRegistry + "/orders"}, deps).Check(t.Context())
	if fault.ClassOf(err) != fault.Missing || fault.HintOf(err) != "run aws sso login" {
		t.Errorf("no credentials: %v", err)
	}
	deps.Keychain = login{user, password} // from docker login
	if err := New(Config{Repository: ecrRegistry + "/orders"}, deps).Check(t.Context()); err != nil {
		t.Errorf("a Docker login: %v", err)
	}
}

func TestParseECR(t *testing.T) {
	for host, want := range map[string]string{
		ecrRegistry: "eu-central-1",
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com":    "us-gov-west-1",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":         "cn-north-1",
		"123456789012.dkr-ecr.us-east-1.on.aws":                    "us-east-1",
		"public.ecr.aws":                                           "",
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.org": "",
		"x.dkr.ecr.eu-central-1.amazonaws.com":                     "",
	} {
		if got, ok := parseECR(host); got != want || ok != (want != "") {
			t.Errorf("%s: %q", host, got)
		}
	}
}

func TestPlan(t *testing.T) {
	s := newServer(t)
	in := makeImage(t, t.TempDir(), random(10))
	say := func(in In) string {
		t.Helper()
		p, err := New(Config{Repository: s.host() + "/x"}, anonymous()).Plan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(p.Lines, "\n")
	}
	if got := say(In{}); !strings.HasPrefix(got, "push the image to "+s.host()+"/x") {
		t.Error(got)
	}
	if got := say(in); !strings.HasPrefix(got, "push "+in.Digest) {
		t.Error(got)
	}
	for _, r := range s.take() {
		if !strings.HasPrefix(r, "GET ") && !strings.HasPrefix(r, "HEAD ") {
			t.Errorf("a plan asked %s", r)
		}
	}
	if _, err := New(Config{Repository: s.host() + "/x"}, anonymous()).Run(t.Context(), (&events{}).env(), in); err != nil {
		t.Fatal(err)
	}
	if got := say(in); !strings.HasPrefix(got, "nothing to push") {
		t.Error(got)
	}
}
