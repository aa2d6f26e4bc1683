// Package s3test starts S3 servers for tests, on ports of their own on the
// loopback: gofakes3 in process, minio and versitygw from PATH or from
// GOPATH/bin.
package s3test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
		endpoint = server.URL
	} else {
		endpoint = startProgram(t, kind)
	}
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

func startProgram(t *testing.T, kind Kind) string {
	t.Helper()
	program := find(t, kind)
	address := freeAddress(t)
	data := t.TempDir()
	args := []string{"server", "--quiet", "--address", address, data}
	if kind == VersityGW {
		args = []string{"--port", address, "--quiet", "posix", data}
	}
	cmd := exec.Command(program, args...)
	cmd.Env = []string{
		"HOME=" + t.TempDir(), "MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_BROWSER=off",
		"MINIO_UPDATE=off", "ROOT_ACCESS_KEY_ID=" + AccessKey, "ROOT_SECRET_ACCESS_KEY=" + SecretKey, "ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey,
		"MINIO_KMS_SECRET_KEY=" + KMSKey + ":" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", kind, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
		if b, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s said:\n%.3000s", kind, b)
		}
		_ = log.Close()
	})
	return "http://" + address
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

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr())
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
