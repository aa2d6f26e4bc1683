package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/s3/s3test"
)

// The most that a run may lose to a bucket, on the road and in the background.
const (
	mostRoad       = 10 * time.Second
	mostBackground = 15 * time.Second
)

// trip answers in the bucket's place.
type trip func(n int64, req *http.Request) (*http.Response, error)

// sick is a store whose n-th request meets a fault.
func sick(t *testing.T, fault trip) (*Store, *s3test.Counter) {
	t.Helper()
	var n atomic.Int64
	c := &s3test.Counter{Before: func(req *http.Request) (*http.Response, error) {
		if req.Body != nil {
			_, _ = io.Copy(io.Discard, req.Body)
		}
		return fault(n.Add(1), req)
	}}
	s, err := Open(t.Context(), Config{Bucket: "bkt", Region: "eu-west-1", Scope: "untrusted/a", Transport: c, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func good(req *http.Request, body io.ReadCloser, size int64) *http.Response {
	return &http.Response{StatusCode: 200, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req, Body: body, ContentLength: size,
		Header: http.Header{"Etag": {`"e"`}, "Last-Modified": {"Mon, 02 Jan 2006 15:04:05 GMT"}}}
}

// drip gives a piece at a time, each after a while, then its end.
type drip struct {
	ctx   context.Context
	piece int
	every time.Duration
	left  int
	end   error
}

func (d *drip) Read(p []byte) (int, error) {
	if d.left <= 0 {
		return 0, d.end
	}
	select {
	case <-time.After(d.every):
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
	n := min(d.piece, d.left, len(p))
	d.left -= n
	return n, nil
}

func (*drip) Close() error { return nil }

func hang(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// wholeSize is what a blob of the faults claims to have.
const wholeSize = 4 << 20

// faults are the ways in which a bucket is sick for good.
func faults() map[string]trip {
	slow := func(after time.Duration) trip {
		return func(_ int64, req *http.Request) (*http.Response, error) {
			select {
			case <-time.After(after):
				return answer(req, 404, "NoSuchKey"), nil
			case <-req.Context().Done():
				return nil, req.Context().Err()
			}
		}
	}
	body := func(piece int, every time.Duration, left int, end error) trip {
		return func(_ int64, req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodGet {
				return answer(req, 404, "NoSuchKey"), nil
			}
			return good(req, &drip{req.Context(), piece, every, left, end}, wholeSize), nil
		}
	}
	return map[string]trip{
		"black hole": func(_ int64, req *http.Request) (*http.Response, error) { return hang(req) },
		"refused": func(int64, *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		},
		"no such host": func(int64, *http.Request) (*http.Response, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "bkt", IsNotFound: true}
		},
		"slow down for ever": func(_ int64, req *http.Request) (*http.Response, error) { return answer(req, 503, "SlowDown"), nil },
		"every other request hangs": func(n int64, req *http.Request) (*http.Response, error) {
			if n%2 == 0 {
				return hang(req)
			}
			return answer(req, 404, "NoSuchKey"), nil
		},
		"writes hang": func(_ int64, req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPut {
				return hang(req)
			}
			return answer(req, 404, "NoSuchKey"), nil
		},
		"answers after 3.5 s":     slow(3500 * time.Millisecond),
		"headers, then silence":   body(1, time.Hour, wholeSize, io.EOF),
		"cut in the middle":       body(1<<20, time.Millisecond, wholeSize/2, io.ErrUnexpectedEOF),
		"a byte each second":      body(1, time.Second, wholeSize, io.EOF),
		"20 KiB/s in each stream": body(20<<10, time.Second, wholeSize, io.EOF),
	}
}

// TestASickBucketCostsBoundedTime makes a run that looks for pointers in two
// scopes, fetches, and saves, while the bucket is sick in each way.
func TestASickBucketCostsBoundedTime(t *testing.T) {
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, requests := sick(t, fault)
				base, err := s.In("trusted")
				if err != nil {
					t.Fatal(err)
				}
				ctx, start := t.Context(), time.Now()
				for _, name := range strings.Fields("exact branch base main") {
					for _, from := range []*Store{s, base} {
						if _, err := from.GetPointer(ctx, name); err == nil {
							t.Error("a pointer came")
						}
					}
				}
				both(32, func(i int) {
					r, err := base.Open(ctx, cache.Sum([]byte{byte(i)}), 0, wholeSize)
					if err == nil {
						_, err = io.Copy(io.Discard, r)
						_ = r.Close()
					}
					if err == nil && name != "cut in the middle" {
						t.Error("a blob came")
					}
				})
				road := time.Since(start)
				both(32, func(i int) { _, _ = put(t, s, []byte{byte(i)}) })
				_, _ = s.PutPointer(ctx, "main", nil, "")
				t.Logf("%v on the road, %v in all, %d requests; %v", road, time.Since(start), requests.Requests(), s.health.check())
				if road > mostRoad || time.Since(start) > mostBackground {
					t.Errorf("lost %v on the road, %v in all", road, time.Since(start))
				}
			})
		})
	}
}

// both runs n pieces of work, 16 at a time.
func both(n int, work func(i int)) {
	var group sync.WaitGroup
	free := make(chan struct{}, 16)
	for i := range n {
		free <- struct{}{}
		group.Go(func() { work(i); <-free })
	}
	group.Wait()
}

// TestAwayIsSaidOfEveryRequest holds what callers tell one warning by.
func TestAwayIsSaidOfEveryRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := sick(t, func(_ int64, req *http.Request) (*http.Response, error) { return hang(req) })
		for s.health.check() == nil {
			_, _ = s.GetPointer(t.Context(), "a")
		}
		before := c.Requests()
		_, open := s.Open(t.Context(), cache.Sum(nil), 0, 1)
		_, stat := s.Stat(t.Context(), cache.Sum(nil))
		_, wrote := put(t, s, []byte("a"))
		_, pointer := s.PutPointer(t.Context(), "a", nil, "")
		_, action := s.GetAction(t.Context(), "a")
		for _, err := range []error{open, stat, wrote, pointer, action, s.PutAction(t.Context(), "a", cache.Action{}), s.Delete(t.Context(), cache.Sum(nil)), s.Check(t.Context())} {
			if !errors.Is(err, cache.ErrAway) || errors.Is(err, cache.ErrNotFound) || !strings.Contains(err.Error(), "no byte came or went for 4s") {
				t.Errorf("%v", err)
			}
		}
		for _, err := range s.List(t.Context()) {
			if !errors.Is(err, cache.ErrAway) {
				t.Errorf("list: %v", err)
			}
		}
		if c.Requests() != before {
			t.Errorf("%d requests all the same", c.Requests()-before)
		}
	})
}

// TestABusyBucketIsKept: what is only slow to the eye is no fault.
func TestABusyBucketIsKept(t *testing.T) {
	const size = 2 << 20
	for name, fault := range map[string]trip{
		"2 MiB/s": func(_ int64, req *http.Request) (*http.Response, error) {
			return good(req, &drip{req.Context(), 32 << 10, 15 * time.Millisecond, size, io.EOF}, size), nil
		},
		"answers after 2.9 s, side by side": func(n int64, req *http.Request) (*http.Response, error) {
			time.Sleep(2500*time.Millisecond + time.Duration(n%16)*200*time.Millisecond/8)
			return good(req, &drip{req.Context(), size, 0, size, io.EOF}, size), nil
		},
		"refusals": func(_ int64, req *http.Request) (*http.Response, error) { return answer(req, 403, "AccessDenied"), nil },
		"a bad second now and then": func(n int64, req *http.Request) (*http.Response, error) {
			if n%20 == 0 {
				return answer(req, 503, "SlowDown"), nil
			}
			time.Sleep(100 * time.Millisecond)
			return answer(req, 404, "NoSuchKey"), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := sick(t, fault)
				for range 3 {
					both(32, func(i int) {
						if r, err := s.Open(t.Context(), cache.Sum([]byte{byte(i)}), 0, size); err == nil {
							_, _ = io.Copy(io.Discard, r)
							_ = r.Close()
						}
					})
					// A consumer that is slow itself is no fault of the bucket.
					if r, err := s.Open(t.Context(), cache.Sum(nil), 0, size); err == nil {
						var b bytes.Buffer
						for _, err := io.CopyN(&b, r, 64<<10); err == nil; _, err = io.CopyN(&b, r, 64<<10) {
							time.Sleep(time.Second)
						}
						_ = r.Close()
					}
				}
				if err := s.health.check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
