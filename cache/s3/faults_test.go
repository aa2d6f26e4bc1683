package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/s3/s3test"
	"github.com/fastship/fastship/cache/tree"
)

const faultsVariable = "FASTSHIP_FAULTS" // rounds

// kinds are the faults of the wire. Each may replace an answer that the server
// has given: what it did is done.
var kinds = []struct {
	name string
	bend func(r *rand.Rand, req *http.Request, resp *http.Response) (*http.Response, error)
}{
	{"answer lost", func(_ *rand.Rand, _ *http.Request, resp *http.Response) (*http.Response, error) {
		_ = resp.Body.Close()
		return nil, syscall.ECONNRESET
	}},
	{"500", status5xx(500, "InternalError")},
	{"503", status5xx(503, "SlowDown")},
	{"silence", func(_ *rand.Rand, req *http.Request, _ *http.Response) (*http.Response, error) { return hang(req) }},
	{"cut", bendBody(func(r *rand.Rand, b []byte) io.Reader {
		return io.MultiReader(bytes.NewReader(b[:r.IntN(len(b))]), broken{})
	})},
	{"truncated", bendBody(func(r *rand.Rand, b []byte) io.Reader { return bytes.NewReader(b[:r.IntN(len(b))]) })},
	{"swapped", bendBody(func(r *rand.Rand, b []byte) io.Reader {
		return io.LimitReader(rand.NewChaCha8([32]byte{byte(r.Int())}), int64(len(b)))
	})},
	{"a bit", bendBody(func(r *rand.Rand, b []byte) io.Reader {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return bytes.NewReader(b)
	})},
}

func status5xx(status int, code string) func(*rand.Rand, *http.Request, *http.Response) (*http.Response, error) {
	return func(_ *rand.Rand, req *http.Request, resp *http.Response) (*http.Response, error) {
		_ = resp.Body.Close()
		return answer(req, status, code), nil
	}
}

func bendBody(bend func(*rand.Rand, []byte) io.Reader) func(*rand.Rand, *http.Request, *http.Response) (*http.Response, error) {
	return func(r *rand.Rand, req *http.Request, resp *http.Response) (*http.Response, error) {
		b, err := io.ReadAll(resp.Body)
		if err == nil && req.Method == http.MethodGet && resp.StatusCode < 300 && len(b) > 0 {
			resp.Body = io.NopCloser(bend(r, b))
		} else {
			resp.Body = io.NopCloser(bytes.NewReader(b))
		}
		return resp, err
	}
}

// TestRandomFaults lets two hosts restore a tree and save their own files at
// once while the wire is bad. No wrong byte is ever given out; afterwards the
// tree holds what was there and all that was said to be saved, each file with
// its own digest. Only a tree whose index came wrong twice running may be
// replaced by a save: it counts as damaged in the bucket.
func TestRandomFaults(t *testing.T) {
	rounds := 8
	if n, err := strconv.Atoi(os.Getenv(faultsVariable)); err == nil {
		rounds = n
	}
	met, said, refused, replaced := make([]int, len(kinds)), 0, 0, 0
	for seed := range rounds {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{r: rand.New(rand.NewPCG(uint64(seed), 7)), met: met}
			w.c = &s3test.Counter{Base: s3test.Memory(), After: w.after}
			expected := map[string]bool{}
			var base []string
			for i := range 8 {
				base = append(base, fmt.Sprintf("base/%d/%d", seed, i))
				expected[base[i]] = true
			}
			if err := w.save(t, nil, base); err != nil {
				t.Fatal(err)
			}
			w.set(0.15)
			var hosts sync.WaitGroup
			var mu sync.Mutex
			for host := range 2 {
				hosts.Go(func() {
					mine := []string{fmt.Sprintf("host/%d/%d/a", seed, host), fmt.Sprintf("host/%d/%d/b", seed, host)}
					err := w.save(t, w.restore(t, false), mine)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						refused++
						return
					}
					said++
					expected[mine[0]], expected[mine[1]] = true, true
				})
			}
			hosts.Wait()
			w.set(0)
			found := w.restore(t, true)
			for path := range expected {
				if _, ok := found[path]; !ok && w.damaged == 0 {
					t.Errorf("seed %d: %s is lost", seed, path)
				}
			}
			replaced += w.damaged
			if err := w.save(t, found, []string{"next"}); err != nil {
				t.Errorf("seed %d: the next save: %v", seed, err)
			}
		})
	}
	for i, k := range kinds {
		t.Logf("%4d × %s", met[i], k.name)
	}
	t.Logf("%d rounds, %d saves said to be done, %d not; %d indexes came wrong twice; nothing else lost, no wrong byte", rounds, said, refused, replaced)
	if replaced*10 > rounds {
		t.Errorf("%d indexes came wrong twice in %d rounds", replaced, rounds)
	}
	if said == 0 {
		t.Error("no save was done: the faults are too many to tell anything")
	}
}

// wire is a bucket behind a connection that is bad with a probability.
type wire struct {
	c   *s3test.Counter
	mu  sync.Mutex
	r   *rand.Rand
	bad float64
	met []int

	damaged int // indexes that a save could not read twice
}

func (w *wire) set(bad float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = bad
}

func (w *wire) after(req *http.Request, resp *http.Response) (*http.Response, error) {
	time.Sleep(5 * time.Millisecond)
	w.mu.Lock()
	if w.r.Float64() >= w.bad {
		w.mu.Unlock()
		return resp, nil
	}
	kind := w.r.IntN(len(kinds))
	w.met[kind]++
	r := rand.New(rand.NewPCG(w.r.Uint64(), 0))
	w.mu.Unlock()
	return kinds[kind].bend(r, req, resp)
}

// host is a store as a host of its own opens it.
func (w *wire) host(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Bucket: s3test.Bucket, Region: "us-east-1", PathStyle: true, Endpoint: "http://s3.test", Scope: "trusted", Transport: w.c, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// held is what a host has of a tree: its paths.
type held map[string]bool

// restore reads the tree as a host does that has nothing, and holds each file
// against what its path must hold.
func (w *wire) restore(t *testing.T, whole bool) held {
	c := tree.New(tree.Config{Own: w.host(t)})
	found, _, err := c.Find(t.Context(), "main")
	if err != nil {
		if whole {
			t.Fatal(err)
		}
		return nil
	}
	got := held{}
	var want []tree.Entry
	for e := range found.All() {
		if b := content(e.Path); e.Digest != cache.Sum(b) || e.Size != int64(len(b)) {
			t.Errorf("%s has another digest", e.Path)
		}
		want = append(want, e)
		got[e.Path] = true
	}
	missing, err := c.Fetch(t.Context(), found, want, func(_ context.Context, e tree.Entry, r io.Reader) error {
		b, err := io.ReadAll(r)
		switch {
		case err == nil && !bytes.Equal(b, content(e.Path)):
			t.Errorf("%s holds wrong bytes", e.Path)
		case err != nil && !errors.Is(err, cache.ErrCorrupt) && whole:
			t.Error(err)
		}
		return nil
	})
	if err != nil || whole && len(missing) > 0 {
		t.Errorf("%d missing, %v", len(missing), err)
	}
	return got
}

// save adds files to the tree.
func (w *wire) save(t *testing.T, had held, paths []string) error {
	c := tree.New(tree.Config{Own: w.host(t), Warn: func(err error) {
		if errors.Is(err, cache.ErrCorrupt) && strings.Contains(err.Error(), "read the tree of pointer") {
			w.mu.Lock()
			w.damaged++
			w.mu.Unlock()
		}
	}})
	from, _, err := c.Find(t.Context(), "main")
	if err != nil {
		from = nil
	}
	ch := tree.Change{Pointer: "main", From: from}
	for path := range had {
		if from != nil && !strings.HasPrefix(path, "next") {
			ch.Used = append(ch.Used, path)
		}
	}
	for _, path := range paths {
		b := content(path)
		ch.Add = append(ch.Add, tree.File{Path: path, Size: int64(len(b)), Mode: 0o644, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }})
	}
	_, err = c.Save(t.Context(), ch)
	return err
}
