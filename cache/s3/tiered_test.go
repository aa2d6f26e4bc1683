package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cache/s3/s3test"
	"github.com/fastship/fastship/cache/tiered"
	"github.com/fastship/fastship/internal/fault"
)

// warnings collects what a run would say.
type warnings struct {
	mu   sync.Mutex
	said []error
}

func (w *warnings) warn(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, err)
}

// joined puts a local store before a bucket's two scopes.
func joined(t *testing.T, own *Store) (*tiered.Store, *warnings) {
	t.Helper()
	local, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	base, err := own.In("trusted")
	if err != nil {
		t.Fatal(err)
	}
	w := &warnings{}
	return tiered.New(tiered.Config{Local: local, Own: own, Base: base, Warn: w.warn}), w
}

// tieredRun looks 20 results up, makes each anew, and sends them.
func tieredRun(ctx context.Context, t *testing.T, s *tiered.Store) {
	t.Helper()
	for i := range 20 {
		k := cache.Key(strings.Repeat(string(rune('a'+i)), 64))
		if _, err := s.GetAction(ctx, k); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("look up: %v", err)
		}
		b := bytes.Repeat([]byte{byte(i)}, 200<<10)
		d := cache.Sum(b)
		if _, err := s.Open(ctx, d, 0, -1); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("open: %v", err)
		}
		if err := errors.Join(s.Put(ctx, d, int64(len(b)), bytes.NewReader(b)), s.PutAction(ctx, k, cache.Action{Outputs: []byte(`{}`), Blobs: []cache.Descriptor{{Digest: d, Size: int64(len(b))}}})); err != nil {
			t.Error(err)
		}
		if got, err := s.GetAction(ctx, k); err != nil || len(got.Blobs) != 1 {
			t.Errorf("what was made is not here: %v", err)
		}
	}
	if err := s.Flush(ctx); err != nil {
		t.Error(err)
	}
}

// TestATieredRunOverASickBucket ends as plain work does, in bounded time, and
// says what was wrong once.
func TestATieredRunOverASickBucket(t *testing.T) {
	for name, fault := range faults() {
		if name == "cut in the middle" {
			continue // no fault of the bucket's health: below
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				own, c := sick(t, fault)
				s, w := joined(t, own)
				start := time.Now()
				tieredRun(t.Context(), t, s)
				t.Logf("%v, %d requests, said %v", time.Since(start), c.Requests(), errors.Join(w.said...))
				if lost := time.Since(start); lost > mostBackground {
					t.Errorf("lost %v", lost)
				}
				if len(w.said) == 0 || len(w.said) > 2 {
					t.Errorf("said %d times: %v", len(w.said), errors.Join(w.said...))
				}
			})
		})
	}
}

// TestATieredRunWithAWrongBucket meets what no second request can mend: one is
// enough to see it and to name the remedy.
func TestATieredRunWithAWrongBucket(t *testing.T) {
	for code, want := range map[string]struct {
		status int
		hint   string
	}{
		"NoSuchBucket":         {404, "make the bucket"},
		"RequestTimeTooSkewed": {403, "clock"},
		"InvalidAccessKeyId":   {403, "renew"},
		"PermanentRedirect":    {301, "region"},
	} {
		t.Run(code, func(t *testing.T) {
			own, c := sick(t, func(_ int64, req *http.Request) (*http.Response, error) { return answer(req, want.status, code), nil })
			s, w := joined(t, own)
			tieredRun(t.Context(), t, s)
			if len(w.said) != 1 || !strings.Contains(fault.HintOf(w.said[0]), want.hint) || !errors.Is(w.said[0], cache.ErrAway) || c.Requests() != 1 {
				t.Errorf("%d requests, said %v", c.Requests(), errors.Join(w.said...))
			}
		})
	}
}

// TestATieredRunThatMayNotWrite reads on, and says so once.
func TestATieredRunThatMayNotWrite(t *testing.T) {
	writes := 0
	var mu sync.Mutex
	own := fake(t, &s3test.Counter{Before: func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPut {
			mu.Lock()
			defer mu.Unlock()
			writes++
			return answer(req, 403, "AccessDenied"), nil
		}
		return nil, nil
	}})
	s, w := joined(t, own)
	tieredRun(t.Context(), t, s)
	// Four travel side by side before the first is refused.
	if len(w.said) != 1 || !errors.Is(w.said[0], cache.ErrReadOnly) || !strings.Contains(fault.HintOf(w.said[0]), "docs/cache.md") || writes > 4 {
		t.Errorf("%d writes, said %v", writes, errors.Join(w.said...))
	}
}

// TestATieredRunOverBadBytes: truncated, swapped and cut objects are never
// given out, and the other store's good one is.
func TestATieredRunOverBadBytes(t *testing.T) {
	for name, bend := range map[string]func(b []byte) io.Reader{
		"truncated": func(b []byte) io.Reader { return bytes.NewReader(b[:len(b)/2]) },
		"swapped":   func(b []byte) io.Reader { return bytes.NewReader(bytes.Repeat([]byte("x"), len(b))) },
		"longer":    func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b), strings.NewReader("more")) },
		"cut":       func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b[:9]), broken{}) },
	} {
		t.Run(name, func(t *testing.T) {
			var only string // the scope whose objects are bent
			c := &s3test.Counter{After: func(req *http.Request, resp *http.Response) (*http.Response, error) {
				if req.Method == http.MethodGet && resp.StatusCode == 200 && strings.Contains(req.URL.Path, only) && strings.Contains(req.URL.Path, "/blobs/") {
					b, err := io.ReadAll(resp.Body)
					if err != nil {
						return nil, err
					}
					resp.Body, resp.ContentLength = io.NopCloser(bend(b)), -1
				}
				return resp, nil
			}}
			trusted := fake(t, c)
			own, err := trusted.In("untrusted/a")
			if err != nil {
				t.Fatal(err)
			}
			b := bytes.Repeat([]byte("good"), 10_000)
			d, err := put(t, trusted, b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := put(t, own, b); err != nil {
				t.Fatal(err)
			}
			only = "/v1/untrusted/"
			s, _ := joined(t, own)
			r, err := s.Open(t.Context(), d, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			_ = r.Close()
			only = "/v1/"
			s, w := joined(t, own)
			if _, err := s.Open(t.Context(), d, 0, -1); !errors.Is(err, cache.ErrNotFound) {
				t.Errorf("both are bad: %v", err)
			}
			if name != "cut" && len(w.said) == 0 {
				t.Error("nothing was said")
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
