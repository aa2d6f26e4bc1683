// Package s3test starts S3 servers for tests, on ports of their own on the
// loopback: gofakes3 in process, minio and versitygw from PATH or from
// GOPATH/bin.
package s3test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	minio "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The credentials and bucket of every server.
const (
	AccessKey = "fastship-test"
	SecretKey = "fastship-test-secret"
	Bucket    = "fastship-test"
	Region    = "us-east-1"
	KMSKey    = "fastship-k" // of minio
)

// Kind is a server's program.
type Kind string

// The kinds. Fake keeps objects of at most 16 MiB right, no larger ones.
const (
	Fake      Kind = "gofakes3"
	MinIO     Kind = "minio"
	VersityGW Kind = "versitygw"
)

// Start runs a server until the test ends, makes Bucket and returns the
// endpoint's URL. It skips the test where the program is absent.
func Start(t *testing.T, kind Kind) (endpoint string) {
	t.Helper()
	if kind == Fake {
		server := httptest.NewServer(fakeHandler())
		t.Cleanup(server.Close)
		return ready(t, kind, server.URL)
	}
	program := find(t, kind)
	data, err := os.MkdirTemp("", "s3test-")
	if err != nil {
		t.Fatal(err)
	}
	stop, address, err := run(program, kind, data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if b, err := os.ReadFile(filepath.Join(data, logName)); err == nil && t.Failed() {
			t.Logf("%s said:\n%.3000s", kind, b)
		}
		_ = os.RemoveAll(data)
	})
	return ready(t, kind, "http://"+address)
}

// Servers are real servers that the tests of a package share, each started
// when it is first wanted. TestMain closes them.
type Servers struct {
	mu      sync.Mutex
	running map[Kind]string
	stops   []func()
}

// Start is as the function Start, but a real server runs until Close.
func (s *Servers) Start(t *testing.T, kind Kind) (endpoint string) {
	t.Helper()
	if kind == Fake {
		return Start(t, kind)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if endpoint, ok := s.running[kind]; ok {
		return endpoint
	}
	program := find(t, kind)
	data, err := os.MkdirTemp("", "s3test-")
	if err != nil {
		t.Fatal(err)
	}
	stop, address, err := run(program, kind, data)
	if err != nil {
		t.Fatal(err)
	}
	s.stops = append(s.stops, func() { stop(); _ = os.RemoveAll(data) })
	endpoint = ready(t, kind, "http://"+address)
	if s.running == nil {
		s.running = map[Kind]string{}
	}
	s.running[kind] = endpoint
	return endpoint
}

// Close ends the servers.
func (s *Servers) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stop := range s.stops {
		stop()
	}
}

// ready waits for a server and makes the bucket.
func ready(t *testing.T, kind Kind, endpoint string) string {
	t.Helper()
	c := Client(t, endpoint)
	var err error
	for range 150 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err = c.MakeBucket(ctx, Bucket, minio.MakeBucketOptions{Region: Region})
		cancel()
		if err == nil || minio.ToErrorResponse(err).Code == "BucketAlreadyOwnedByYou" {
			return endpoint
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("start %s: %v", kind, err)
	return ""
}

func fakeHandler() http.Handler {
	s3 := gofakes3.New(s3mem.New(), gofakes3.WithAutoBucket(true)).Server()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && r.ContentLength == 0 {
			r.Header.Set("Content-Length", "0") // gofakes3 asks for the header itself
		}
		s3.ServeHTTP(w, r)
	})
}

// Memory is a Fake without a network, for tests in virtual time. Bucket is
// there at the first write.
func Memory() http.RoundTripper { return memory{fakeHandler()} }

type memory struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (m memory) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	sent := req.Clone(req.Context())
	sent.RequestURI = req.URL.RequestURI()
	sent.Header.Set("Content-Length", strconv.FormatInt(max(0, req.ContentLength), 10))
	if sent.Body == nil {
		sent.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, sent)
	resp := w.Result()
	resp.Request = req
	if n, err := strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 64); err == nil {
		resp.ContentLength = n
	}
	if req.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp, nil
}

// Client speaks to a started server as its owner.
func Client(t *testing.T, endpoint string) *minio.Client {
	t.Helper()
	c, err := minio.New(endpoint[len("http://"):], &minio.Options{
		Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: Region, BucketLookup: minio.BucketLookupPath, MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const logName = "log"

// run starts a server over a folder, whose log lies in it too.
func run(program string, kind Kind, folder string) (stop func(), address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	address = l.Addr().String()
	_ = l.Close() // to be taken by the server
	data, home := filepath.Join(folder, "data"), filepath.Join(folder, "home")
	if err := errors.Join(os.Mkdir(data, 0o700), os.Mkdir(home, 0o700)); err != nil {
		return nil, "", err
	}
	args := []string{"server", "--quiet", "--address", address, data}
	if kind == VersityGW {
		args = []string{"--port", address, "--quiet", "posix", data}
	}
	cmd := exec.Command(program, args...)
	cmd.Env = []string{
		"HOME=" + home, "MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_BROWSER=off",
		"MINIO_UPDATE=off", "ROOT_ACCESS_KEY_ID=" + AccessKey, "ROOT_SECRET_ACCESS_KEY=" + SecretKey, "ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey,
		"MINIO_KMS_SECRET_KEY=" + KMSKey + ":" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
	}
	log, err := os.Create(filepath.Join(folder, logName))
	if err != nil {
		return nil, "", err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", kind, err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
		_ = log.Close()
	}, address, nil
}

func find(t *testing.T, kind Kind) string {
	t.Helper()
	if path, err := exec.LookPath(string(kind)); err == nil {
		return path
	}
	gopath, err := exec.Command("go", "env", "GOPATH").Output()
	if err == nil {
		path := filepath.Join(string(gopath[:max(0, len(gopath)-1)]), "bin", string(kind))
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skipf("no %s in PATH or GOPATH/bin", kind)
	return ""
}

// Counter is a RoundTripper that counts requests and lets a test change them.
type Counter struct {
	// Base sends the requests; nil means http.DefaultTransport.
	Base http.RoundTripper
	// Before may answer in the server's place: a nil response and error let
	// the request go on. Nil lets all go on.
	Before func(*http.Request) (*http.Response, error)
	// After sees and may replace the server's answer. Nil leaves it.
	After func(*http.Request, *http.Response) (*http.Response, error)

	requests atomic.Int64
}

// Requests is how many were sent.
func (c *Counter) Requests() int { return int(c.requests.Load()) }

// RoundTrip implements http.RoundTripper.
func (c *Counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	if c.Before != nil {
		if resp, err := c.Before(req); resp != nil || err != nil {
			return resp, err
		}
	}
	base := c.Base
	if base == nil {
		base = http.DefaultTransport
	}
	resp, err := base.RoundTrip(req)
	if err == nil && c.After != nil {
		return c.After(req, resp)
	}
	return resp, err
}
