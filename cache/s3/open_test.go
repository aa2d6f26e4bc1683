package s3

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/s3/s3test"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
)

// environment takes the caller's AWS variables and files away and sets others.
func environment(t *testing.T, vars ...string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			_ = os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
}

var staticKeys = []string{"AWS_ACCESS_KEY_ID=AKIDSTATIC", "AWS_SECRET_ACCESS_KEY=s"}

// empty is a server whose bucket holds nothing, and the requests it got.
func empty(t *testing.T, tls bool) (*httptest.Server, func() []*http.Request) {
	t.Helper()
	var mu sync.Mutex
	var seen []*http.Request
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r)
		mu.Unlock()
		w.WriteHeader(404)
		_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
	}))
	if tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, func() []*http.Request {
		mu.Lock()
		defer mu.Unlock()
		return append([]*http.Request(nil), seen...)
	}
}

func openURL(t *testing.T, address string) *Store {
	t.Helper()
	c, err := ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	c.Scope = "trusted"
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEndpointVariables(t *testing.T) {
	general, generalSaw := empty(t, false)
	own, ownSaw := empty(t, false)
	named, namedSaw := empty(t, false)
	environment(t, append(staticKeys, "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL="+general.URL)...)
	check := func(address string, saw func() []*http.Request) {
		t.Helper()
		if err := openURL(t, address).Check(t.Context()); err != nil {
			t.Error(err)
		}
		if got := saw(); len(got) != 1 || !strings.HasPrefix(got[0].URL.Path, "/bkt/v1/trusted/pointers/") || !strings.Contains(got[0].Header.Get("Authorization"), "/eu-west-1/s3/") {
			t.Errorf("%s: %v", address, got)
		}
	}
	check("s3://bkt?path-style=true", generalSaw)
	t.Setenv("AWS_ENDPOINT_URL_S3", own.URL)
	check("s3://bkt?path-style=true", ownSaw)
	check("s3://bkt?path-style=true&endpoint="+url.QueryEscape(named.URL), namedSaw)
}

// TestCredentialsAreRenewed takes them from the endpoint that ECS tasks have.
// The first hold for half of the time before which they are to be renewed.
func TestCredentialsAreRenewed(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	ecs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "token" {
			w.WriteHeader(401)
			return
		}
		asked++
		lasting := time.Hour
		if asked == 1 {
			lasting = awsconf.RenewBefore / 2
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"AccessKeyId": fmt.Sprintf("AKID%d", asked), "SecretAccessKey": "s", "Token": "session",
			"Expiration": time.Now().Add(lasting).UTC().Format(time.RFC3339)})
	}))
	defer ecs.Close()
	server, saw := empty(t, false)
	environment(t, "AWS_REGION=eu-west-1", "AWS_CONTAINER_CREDENTIALS_FULL_URI="+ecs.URL+"/c", "AWS_CONTAINER_AUTHORIZATION_TOKEN=token")
	s := openURL(t, "s3://bkt?path-style=true&endpoint="+url.QueryEscape(server.URL))
	if asked != 0 {
		t.Error("Open asked for credentials")
	}
	other, err := s.In("untrusted/x")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Store{s, other, s, other} {
		if _, err := s.GetPointer(t.Context(), "a"); !errors.Is(err, cache.ErrNotFound) {
			t.Fatal(err)
		}
	}
	for i, r := range saw() {
		if want := fmt.Sprintf("AKID%d/", min(i+1, 2)); !strings.Contains(r.Header.Get("Authorization"), want) || r.Header.Get("X-Amz-Security-Token") != "session" {
			t.Errorf("request %d is signed by %s, want %s", i, r.Header.Get("Authorization"), want)
		}
	}
	if asked != 2 || len(saw()) != 4 {
		t.Errorf("asked %d times for %d requests", asked, len(saw()))
	}
}

func TestNoCredentials(t *testing.T) {
	server, saw := empty(t, false)
	environment(t, "AWS_REGION=eu-west-1")
	s := openURL(t, "s3://bkt?path-style=true&endpoint="+url.QueryEscape(server.URL))
	for range 2 {
		err := s.Check(t.Context())
		if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "find AWS credentials") || !strings.Contains(fault.HintOf(err), "AWS_PROFILE") {
			t.Errorf("check: %v, hint %q", err, fault.HintOf(err))
		}
		if _, err := s.Open(t.Context(), cache.Sum(nil), 0, -1); !errors.Is(err, cache.ErrAway) {
			t.Errorf("open: %v", err)
		}
	}
	if len(saw()) > 0 {
		t.Errorf("%d requests without credentials", len(saw()))
	}
}

// TestPrivateAuthority trusts a server's certificate by AWS_CA_BUNDLE alone.
func TestPrivateAuthority(t *testing.T) {
	server, saw := empty(t, true)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	environment(t, append(staticKeys, "AWS_REGION=eu-west-1")...)
	address := "s3://bkt?path-style=true&endpoint=" + url.QueryEscape(server.URL)
	if err := openURL(t, address).Check(t.Context()); fault.ClassOf(err) != fault.Missing || !strings.Contains(fault.HintOf(err), "AWS_CA_BUNDLE") {
		t.Errorf("an unknown authority: %v, hint %q", err, fault.HintOf(err))
	}
	t.Setenv("AWS_CA_BUNDLE", authority(t, server))
	if err := openURL(t, address).Check(t.Context()); err != nil || len(saw()) != 1 {
		t.Errorf("%v after %d requests", err, len(saw()))
	}
}

func authority(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestProxy needs a process of its own: Go reads the proxy variables and
// SSL_CERT_FILE once.
func TestProxy(t *testing.T) {
	const variable = "FASTSHIP_TEST_PROXIED"
	if os.Getenv(variable) != "" {
		if err := openURL(t, "s3://bkt?path-style=true&endpoint=https%3A%2F%2Fexample.com").Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	server, saw := empty(t, true) // its certificate is good for example.com
	connects := make(chan string, 9)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connects <- r.Method + " " + r.Host
		to, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			return
		}
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		_, _ = io.Copy(from, to)
		_ = from.Close()
	}))
	defer proxy.Close()
	environment(t, append(staticKeys, "AWS_REGION=eu-west-1")...)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxy$")
	cmd.Env = append(os.Environ(), variable+"=1", "HTTPS_PROXY="+proxy.URL, "NO_PROXY=", "SSL_CERT_FILE="+authority(t, server))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := <-connects; got != "CONNECT example.com:443" || len(saw()) != 1 {
		t.Errorf("%q, %d requests", got, len(saw()))
	}
}

// TestRegionIsFound asks the bucket where neither address nor environment
// names a region.
func TestRegionIsFound(t *testing.T) {
	environment(t)
	var hosts []string
	c := &s3test.Counter{Before: func(req *http.Request) (*http.Response, error) {
		hosts = append(hosts, req.Method+" "+req.URL.Host)
		if req.Method == http.MethodHead {
			if req.Header.Get("Authorization") != "" {
				t.Error("the question is signed")
			}
			r := answer(req, 403, "")
			r.Header.Set("x-amz-bucket-region", "eu-central-1")
			return r, nil
		}
		if !strings.Contains(req.Header.Get("Authorization"), "/eu-central-1/s3/") {
			t.Errorf("signed as %s", req.Header.Get("Authorization"))
		}
		return answer(req, 404, "NoSuchKey"), nil
	}}
	cfg := Config{Bucket: "bkt", Scope: "trusted", Transport: c, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if want := "HEAD s3.us-east-1.amazonaws.com, GET bkt.s3.eu-central-1.amazonaws.com"; strings.Join(hosts, ", ") != want {
		t.Errorf("requests %q, want %q", hosts, want)
	}
}

// TestAnotherRegion is named with the right one, by answers with a body and,
// for HEAD, without.
func TestAnotherRegion(t *testing.T) {
	for name, reply := range map[string]func(req *http.Request) *http.Response{
		"redirect": func(req *http.Request) *http.Response {
			r := answer(req, 301, "PermanentRedirect")
			r.Header.Set("x-amz-bucket-region", "eu-central-1")
			return r
		},
		"malformed": func(req *http.Request) *http.Response {
			r := answer(req, 400, "AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region><Code>")
			r.Body = io.NopCloser(strings.NewReader("<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>"))
			r.ContentLength = -1
			return r
		},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(name+" "+method, func(t *testing.T) {
				s, _ := sick(t, func(_ int64, req *http.Request) (*http.Response, error) {
					r := reply(req)
					if req.Method == "HEAD" {
						r.Header.Set("x-amz-bucket-region", "eu-central-1")
						r.Body, r.ContentLength = http.NoBody, 0
					}
					return r, nil
				})
				err := s.Check(t.Context())
				if method == "HEAD" {
					_, err = s.Stat(t.Context(), cache.Sum(nil))
				}
				if fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), "bucket bkt: it is in region eu-central-1, not in eu-west-1") || fault.HintOf(err) != "write region=eu-central-1 in cache.store" {
					t.Errorf("%v, class %d, hint %q", err, fault.ClassOf(err), fault.HintOf(err))
				}
			})
		}
	}
}

// TestAbsentIsToldFromRefused: a role whose right to list is bound to a prefix
// may get 403 for an absent object.
func TestAbsentIsToldFromRefused(t *testing.T) {
	refuse := false
	s := fake(t, &s3test.Counter{Before: func(req *http.Request) (*http.Response, error) {
		if (req.Method == http.MethodGet || req.Method == http.MethodHead) && !req.URL.Query().Has("list-type") && refuse {
			return answer(req, 403, "AccessDenied"), nil
		}
		return nil, nil
	}})
	d, err := put(t, s, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	refuse = true
	if _, err := s.Stat(t.Context(), d); err == nil || errors.Is(err, cache.ErrNotFound) || !strings.Contains(fault.HintOf(err), "docs/cache.md") {
		t.Errorf("a blob that may not be read: %v", err)
	}
	if _, err := s.Stat(t.Context(), cache.Sum([]byte("b"))); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("an absent blob: %v", err)
	}
	if _, err := s.Open(t.Context(), cache.Sum([]byte("b")), 0, 1); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("an absent blob: %v", err)
	}
	if _, err := s.GetPointer(t.Context(), "a"); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("an absent pointer: %v", err)
	}
}

// TestEncryptionIsAsked looks at each request that makes an object, and lets a
// real server encrypt.
func TestEncryptionIsAsked(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("set FASTSHIP_INTEGRATION=1 to run real servers")
	}
	endpoint := servers.Start(t, s3test.MinIO)
	for parameters, want := range map[string][2]string{
		"sse=AES256":                             {"AES256", ""},
		"sse=aws%3Akms&kms-key=" + s3test.KMSKey: {"aws:kms", s3test.KMSKey},
	} {
		t.Run(parameters, func(t *testing.T) {
			made := 0
			c := &s3test.Counter{Before: func(req *http.Request) (*http.Response, error) {
				q := req.URL.Query()
				if q.Has("uploads") || req.Method == http.MethodPut && !q.Has("partNumber") {
					made++
					if got := [2]string{req.Header.Get("X-Amz-Server-Side-Encryption"), req.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")}; got != want {
						t.Errorf("%s %s asks for %q, want %q", req.Method, req.URL.Path, got, want)
					}
				}
				return nil, nil
			}}
			s := openAt(t, "s3://"+s3test.Bucket+"/"+rand.Text()+"?path-style=true&region=us-east-1&"+parameters+"&endpoint="+url.QueryEscape(endpoint), c)
			for _, size := range []int{10, maxSingle + 1} {
				b := bytes.Repeat([]byte("x"), size)
				d, err := put(t, s, b)
				if err != nil {
					t.Fatal(err)
				}
				s.now = func() time.Time { return time.Now().Add(13 * time.Hour) }
				if _, err := put(t, s, b); err != nil {
					t.Errorf("renew: %v", err)
				}
				s.now = time.Now
				key, err := s.blobKey(d)
				if err != nil {
					t.Fatal(err)
				}
				o, err := s.stat(t.Context(), d)
				if got := o.Metadata.Get("X-Amz-Server-Side-Encryption"); err != nil || got != want[0] {
					t.Errorf("%s is encrypted by %q, %v", key, got, err)
				}
				r, err := s.Open(t.Context(), d, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b) {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
				_ = r.Close()
			}
			one, err := s.PutPointer(t.Context(), "a", []byte("1"), "")
			if err == nil {
				_, err = s.PutPointer(t.Context(), "a", []byte("2"), one)
			}
			if err != nil || made != 7 {
				t.Errorf("%v, %d objects were made", err, made)
			}
		})
	}
}
