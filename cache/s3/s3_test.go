package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/cachetest"
	"github.com/fastship/fastship/cache/s3/s3test"
	"github.com/fastship/fastship/internal/fault"
	minio "github.com/minio/minio-go/v7"
)

var servers s3test.Servers // of all tests here

func TestMain(m *testing.M) {
	code := m.Run()
	servers.Close()
	os.Exit(code)
}

func TestFake(t *testing.T)  { runSuite(t, s3test.Fake) }
func TestMinIO(t *testing.T) { runSuite(t, s3test.MinIO) }

func TestVersityGW(t *testing.T) { runSuite(t, s3test.VersityGW) }

func runSuite(t *testing.T, kind s3test.Kind) {
	if kind != s3test.Fake && os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("set FASTSHIP_INTEGRATION=1 to run real servers")
	}
	endpoint := ""
	if !cachetest.InRole() {
		endpoint = servers.Start(t, kind)
	}
	cachetest.Run(t, cachetest.Target{
		Make: func(*testing.T) string {
			return "s3://" + s3test.Bucket + "/" + rand.Text() + "?path-style=true&region=" + s3test.Region + "&endpoint=" + url.QueryEscape(endpoint)
		},
		Open: func(t *testing.T, address string) cachetest.Stores {
			s := openAt(t, address, nil)
			return cachetest.Stores{Blobs: s, Actions: s, Pointers: s, Listing: s}
		},
		Damage: func(t *testing.T, address string, d cache.Digest) {
			s := openAt(t, address, nil)
			key, err := s.blobKey(d)
			if err != nil {
				t.Fatal(err)
			}
			damage(t, s, key)
		},
		DamageAction: func(t *testing.T, address string, k cache.Key) {
			s := openAt(t, address, nil)
			damage(t, s, s.prefix+"actions/"+string(k))
		},
	})
}

func openAt(t *testing.T, address string, transport http.RoundTripper) *Store {
	t.Helper()
	c, err := ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	c.Scope, c.Transport = "trusted", transport
	c.RequestTimeout, c.Budget = time.Minute, 5*time.Minute // the machine of the tests may be busy
	c.Credentials = credentials.NewStaticCredentialsProvider(s3test.AccessKey, s3test.SecretKey, "")
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fake is a store on gofakes3 behind a transport that a test bends.
func fake(t *testing.T, c *s3test.Counter) *Store {
	t.Helper()
	return openAt(t, "s3://"+s3test.Bucket+"/p?path-style=true&region=us-east-1&endpoint="+url.QueryEscape(s3test.Start(t, s3test.Fake)), c)
}

func damage(t *testing.T, s *Store, key string) {
	t.Helper()
	b, _, err := s.small(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if _, err := s.core.PutObject(t.Context(), s.bucket, key, bytes.NewReader(b), int64(len(b)), "", "", minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s *Store, b []byte) (cache.Digest, error) {
	t.Helper()
	d := cache.Sum(b)
	return d, s.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b))
}

func answer(req *http.Request, status int, code string) *http.Response {
	body := "<Error><Code>" + code + "</Code><Message>by the test</Message></Error>"
	return &http.Response{StatusCode: status, Status: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func TestLargeBlob(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("set FASTSHIP_INTEGRATION=1 to run real servers")
	}
	for _, kind := range []s3test.Kind{s3test.MinIO, s3test.VersityGW} {
		t.Run(string(kind), func(t *testing.T) {
			s := openAt(t, "s3://"+s3test.Bucket+"/"+rand.Text()+"?path-style=true&region=us-east-1&endpoint="+url.QueryEscape(servers.Start(t, kind)), nil)
			b := make([]byte, maxSingle+5)
			_, _ = rand.Read(b)
			d := cache.Sum(b)
			other := cache.Sum([]byte("other"))
			if err := s.Put(t.Context(), other, int64(len(b)), bytes.NewReader(b)); !errors.Is(err, cache.ErrCorrupt) {
				t.Errorf("put under another digest: %v", err)
			}
			for name, bad := range map[string][]byte{"short": b[:len(b)-1], "long": append(b[:len(b):len(b)], 1)} {
				if err := s.Put(t.Context(), d, int64(len(b)), bytes.NewReader(bad)); !errors.Is(err, cache.ErrCorrupt) {
					t.Errorf("put %s: %v", name, err)
				}
			}
			for _, absent := range []cache.Digest{d, other} {
				if _, err := s.Stat(t.Context(), absent); !errors.Is(err, cache.ErrNotFound) {
					t.Errorf("a wrong object is left: %v", err)
				}
			}
			if _, err := put(t, s, b); err != nil {
				t.Fatal(err)
			}
			r, err := s.Open(t.Context(), d, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			s.now = func() time.Time { return time.Now().Add(13 * time.Hour) }
			before, err := s.stat(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(1100 * time.Millisecond) // LastModified has seconds
			if _, err := put(t, s, b); err != nil {
				t.Fatal("renew: ", err)
			}
			if after, err := s.stat(t.Context(), d); err != nil || !after.LastModified.After(before.LastModified) || after.Size != before.Size {
				t.Errorf("not renewed: %v then %v, %v", before.LastModified, after.LastModified, err)
			}
		})
	}
}

// TestALostAnswerIsNoLostSwap cuts the connection after the write succeeded.
func TestALostAnswerIsNoLostSwap(t *testing.T) {
	var lose atomic.Bool
	c := &s3test.Counter{After: func(req *http.Request, resp *http.Response) (*http.Response, error) {
		if req.Method == http.MethodPut && lose.CompareAndSwap(true, false) {
			_ = resp.Body.Close()
			return nil, io.ErrUnexpectedEOF
		}
		return resp, nil
	}}
	s := fake(t, c)
	lose.Store(true)
	one, err := s.PutPointer(t.Context(), "a", []byte("1"), "")
	if err != nil || lose.Load() {
		t.Fatalf("put: %v", err)
	}
	lose.Store(true)
	two, err := s.PutPointer(t.Context(), "a", []byte("2"), one)
	if err != nil {
		t.Fatalf("move: %v", err)
	}
	if p, err := s.GetPointer(t.Context(), "a"); err != nil || string(p.Value) != "2" || p.Version != two {
		t.Errorf("%+v, %v; want version %s", p, err, two)
	}
	if _, err := s.PutPointer(t.Context(), "a", []byte("3"), one); !errors.Is(err, cache.ErrMoved) {
		t.Errorf("a truly lost swap: %v", err)
	}
}

func TestARefusedWriteTurnsReadOnly(t *testing.T) {
	c := &s3test.Counter{Before: func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPut {
			return answer(req, 403, "AccessDenied"), nil
		}
		return nil, nil
	}}
	s := fake(t, c)
	if _, err := put(t, s, []byte("a")); !errors.Is(err, ErrReadOnly) || fault.HintOf(err) == "" {
		t.Errorf("put: %v", err)
	}
	before := c.Requests()
	if _, err := s.PutPointer(t.Context(), "a", nil, ""); !errors.Is(err, ErrReadOnly) || c.Requests() != before {
		t.Errorf("the next write: %v, %d requests", err, c.Requests()-before)
	}
	if _, err := s.GetPointer(t.Context(), "a"); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("read: %v", err)
	}
}

func TestSlowDownIsTriedAgain(t *testing.T) {
	var left atomic.Int32
	c := &s3test.Counter{Before: func(req *http.Request) (*http.Response, error) {
		if left.Add(-1) >= 0 {
			return answer(req, 503, "SlowDown"), nil
		}
		return nil, nil
	}}
	s := fake(t, c)
	left.Store(2)
	if _, err := put(t, s, []byte("a")); err != nil {
		t.Errorf("after two: %v", err)
	}
	left.Store(1 << 30)
	before := c.Requests()
	if _, err := put(t, s, []byte("b")); err == nil || c.Requests()-before > attempts {
		t.Errorf("for ever: %v after %d requests", err, c.Requests()-before)
	}
}

type silent struct{ ctx context.Context }

func (s silent) Read([]byte) (int, error) { <-s.ctx.Done(); return 0, s.ctx.Err() }
func (silent) Close() error               { return nil }

func TestAStalledBodyIsCut(t *testing.T) {
	c := &s3test.Counter{After: func(req *http.Request, resp *http.Response) (*http.Response, error) {
		if req.Method == http.MethodGet {
			_ = resp.Body.Close()
			resp.Body = silent{req.Context()}
		}
		return resp, nil
	}}
	s := fake(t, c)
	d, err := put(t, s, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Bucket: s.bucket, Prefix: "p", Scope: "trusted", PathStyle: true, Region: s.region, Endpoint: s.core.EndpointURL().String(), Transport: c,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RequestTimeout: 50 * time.Millisecond}
	hasty, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := hasty.Open(t.Context(), d, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, errStalled) {
		t.Errorf("read: %v", err)
	}
}

func TestRemedies(t *testing.T) {
	for code, want := range map[string]string{"NoSuchBucket": "make the bucket", "RequestTimeTooSkewed": "clock", "AccessDenied": "docs/cache.md", "ExpiredToken": "renew", "PermanentRedirect": "region"} {
		s := fake(t, &s3test.Counter{Before: func(req *http.Request) (*http.Response, error) {
			return answer(req, map[string]int{"NoSuchBucket": 404, "PermanentRedirect": 301}[code]|map[bool]int{true: 403}[code != "NoSuchBucket" && code != "PermanentRedirect"], code), nil
		}})
		_, err := s.GetPointer(t.Context(), "a")
		if errors.Is(err, cache.ErrNotFound) || !strings.Contains(fault.HintOf(err), want) {
			t.Errorf("%s: %v, hint %q; want one with %q", code, err, fault.HintOf(err), want)
		}
	}
}

func TestParseURL(t *testing.T) {
	got, err := ParseURL("s3://bkt/team/x/?region=eu-west-1&endpoint=http://127.0.0.1:9000&path-style=true&sse=aws:kms&kms-key=k&profile=p")
	want := Config{Bucket: "bkt", Prefix: "team/x", Region: "eu-west-1", Endpoint: "http://127.0.0.1:9000", PathStyle: true, SSE: "aws:kms", KMSKey: "k", Profile: "p"}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for address, hint := range map[string]string{
		"s3://bkt?regoin=x": "did you mean region?", "s3://": "s3://BUCKET", "http://b": "s3://BUCKET", "s3://b": "3 to 63", "s3://bkt?sse=": "leave it out", "s3://bkt?path-style=x": "path-style=true",
		"s3://bkt?sse=x": "AES256", "s3://bkt?kms-key=k": "sse=aws:kms", "s3://bkt?endpoint=x": "https://HOST", "s3://bkt?region=a&region=b": "once",
	} {
		if _, err := ParseURL(address); fault.ClassOf(err) != fault.BadInput || !strings.Contains(fault.HintOf(err), hint) {
			t.Errorf("%s: %v, hint %q; want %q", address, err, fault.HintOf(err), hint)
		}
	}
}
