package tiered

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/cachetest"
	"github.com/fastship/fastship/cache/dir"
)

func TestStore(t *testing.T) {
	var mu sync.Mutex
	stores := map[string][]*Store{}
	open := func(t *testing.T, address string) *Store {
		return New(Config{Local: openDir(t, filepath.Join(address, "local")), Own: openDir(t, filepath.Join(address, "remote"))})
	}
	damage := func(t *testing.T, address string, names ...string) {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range stores[address] { // what is being sent would come after the damage
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, tier := range []string{"local", "remote"} {
			path := filepath.Join(append([]string{address, tier}, names...)...)
			b, err := os.ReadFile(path)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			b[len(b)/2] ^= 1
			if err := errors.Join(err, os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cachetest.Run(t, cachetest.Target{
		Make: func(t *testing.T) string { return t.TempDir() },
		Open: func(t *testing.T, address string) cachetest.Stores {
			s := open(t, address)
			t.Cleanup(func() {
				if err := s.Flush(context.Background()); err != nil {
					t.Error(err)
				}
			})
			mu.Lock()
			defer mu.Unlock()
			stores[address] = append(stores[address], s)
			return cachetest.Stores{Blobs: s, Actions: s}
		},
		Damage:       func(t *testing.T, address string, d cache.Digest) { damage(t, address, "blobs", "sha256", d.Hex()) },
		DamageAction: func(t *testing.T, address string, k cache.Key) { damage(t, address, "actions", string(k)) },
	})
}

func openDir(t *testing.T, root string) *dir.Store {
	t.Helper()
	s, err := dir.Open(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// counting is a remote store that counts requests and can be made to fail.
type counting struct {
	*dir.Store
	reads, writes, blobs atomic.Int32
	fault                func(ctx context.Context, write bool) error
}

func (c *counting) step(ctx context.Context, write bool) error {
	if write {
		c.writes.Add(1)
	} else {
		c.reads.Add(1)
	}
	if c.fault != nil {
		return c.fault(ctx, write)
	}
	return nil
}

func (c *counting) Open(ctx context.Context, d cache.Digest, off, n int64) (io.ReadCloser, error) {
	if err := c.step(ctx, false); err != nil {
		return nil, err
	}
	return c.Store.Open(ctx, d, off, n)
}

func (c *counting) Stat(ctx context.Context, d cache.Digest) (cache.BlobInfo, error) {
	if err := c.step(ctx, false); err != nil {
		return cache.BlobInfo{}, err
	}
	return c.Store.Stat(ctx, d)
}

func (c *counting) GetAction(ctx context.Context, k cache.Key) (cache.Action, error) {
	if err := c.step(ctx, false); err != nil {
		return cache.Action{}, err
	}
	return c.Store.GetAction(ctx, k)
}

func (c *counting) Put(ctx context.Context, d cache.Digest, size int64, r io.Reader) error {
	c.blobs.Add(1)
	if err := c.step(ctx, true); err != nil {
		return err
	}
	return c.Store.Put(ctx, d, size, r)
}

func (c *counting) PutAction(ctx context.Context, k cache.Key, a cache.Action) error {
	if err := c.step(ctx, true); err != nil {
		return err
	}
	return c.Store.PutAction(ctx, k, a)
}

func (c *counting) requests() int32 { return c.reads.Load() + c.writes.Load() }

// host is one machine before a remote store.
type host struct {
	*Store
	root     string
	mu       sync.Mutex
	warnings []string
}

func newHost(t *testing.T, c Config) *host {
	t.Helper()
	h := &host{root: filepath.Join(t.TempDir(), "cache")}
	c.Local = openDir(t, h.root)
	c.Warn = func(err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.warnings = append(h.warnings, err.Error())
	}
	h.Store = New(c)
	return h
}

func (h *host) wantWarnings(t *testing.T, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.warnings) != len(want) {
		t.Fatalf("warnings %q, want %q", h.warnings, want)
	}
	for i := range want {
		if !strings.Contains(h.warnings[i], want[i]) {
			t.Errorf("warning %q, want %q", h.warnings[i], want[i])
		}
	}
}

func remote(t *testing.T) *counting { return &counting{Store: openDir(t, t.TempDir())} }

const key = cache.Key("key")

var jar = bytes.Repeat([]byte("jar "), 10_000)

func descriptor() cache.Descriptor {
	return cache.Descriptor{Name: "a.jar", Digest: cache.Sum(jar), Size: int64(len(jar))}
}

// build puts a jar and the action that made it.
func build(t *testing.T, h *host, k cache.Key) {
	t.Helper()
	d := descriptor()
	if err := h.Put(t.Context(), d.Digest, d.Size, bytes.NewReader(jar)); err != nil {
		t.Fatal(err)
	}
	if err := h.PutAction(t.Context(), k, cache.Action{Outputs: []byte(`1`), Blobs: []cache.Descriptor{d}, Created: time.Now().UTC()}); err != nil {
		t.Fatal(err)
	}
}

func flush(t *testing.T, h *host) {
	t.Helper()
	if err := h.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func lookup(t *testing.T, h *host, k cache.Key) bool {
	t.Helper()
	_, _, ok := cache.Lookup[int](t.Context(), &cache.Cache{Blobs: h, Actions: h}, k)
	return ok
}

func wantJar(t *testing.T, h *host) {
	t.Helper()
	path, err := h.Path(cache.Sum(jar))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, jar) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestASecondHostFindsWhatTheFirstMade(t *testing.T) {
	r := remote(t)
	first := newHost(t, Config{Own: r})
	build(t, first, key)
	flush(t, first)
	if r.reads.Load() != 0 || r.writes.Load() != 2 {
		t.Errorf("sending takes %d reads, %d writes", r.reads.Load(), r.writes.Load())
	}
	before := r.requests()
	again := &host{Store: New(Config{Local: openDir(t, first.root), Own: r})}
	if !lookup(t, again, key) {
		t.Error("no local hit")
	}
	wantJar(t, again)
	flush(t, again)
	if n := r.requests() - before; n != 0 {
		t.Errorf("an unchanged run takes %d requests", n)
	}

	second := newHost(t, Config{Own: r})
	for range 2 {
		if !lookup(t, second, key) {
			t.Error("no remote hit")
		}
	}
	if _, err := os.Stat(second.root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking wrote: %v", err)
	}
	if n := r.requests() - before; n != 2 {
		t.Errorf("looking twice takes %d requests", n)
	}
	wantJar(t, second)
	flush(t, second)
	if n := r.requests() - before; n != 3 || r.writes.Load() != 2 {
		t.Errorf("a hit takes %d requests, %d writes", n, r.writes.Load()-2)
	}
	if _, err := second.local.GetAction(t.Context(), key); err != nil {
		t.Errorf("not kept: %v", err)
	}
	second.wantWarnings(t)
}

func TestAnUntrustedRunReadsTheBaseAndWritesItsOwn(t *testing.T) {
	base, own := remote(t), remote(t)
	trusted := newHost(t, Config{Own: base})
	build(t, trusted, key)
	flush(t, trusted)
	writes := base.writes.Load()
	h := newHost(t, Config{Own: own, Base: base, Now: func() time.Time { return time.Now().Add(48 * time.Hour) }})
	if !lookup(t, h, key) {
		t.Fatal("the base is not read")
	}
	wantJar(t, h)
	build(t, h, "mine")
	flush(t, h)
	if base.writes.Load() != writes {
		t.Error("the base is written")
	}
	if own.blobs.Load() != 0 || own.writes.Load() != 1 { // the base has the blob
		t.Errorf("%d blobs, %d writes", own.blobs.Load(), own.writes.Load())
	}
	h.wantWarnings(t)
}

func TestAnOldActionIsRenewed(t *testing.T) {
	r := remote(t)
	first := newHost(t, Config{Own: r})
	build(t, first, key)
	flush(t, first)
	for i, age := range []time.Duration{time.Hour, 25 * time.Hour} {
		before := r.writes.Load()
		h := newHost(t, Config{Own: r, Now: func() time.Time { return time.Now().Add(age) }})
		if !lookup(t, h, key) {
			t.Fatal("no hit")
		}
		flush(t, h)
		if n := r.writes.Load() - before; n != int32(i) {
			t.Errorf("%v old: %d writes", age, n)
		}
	}
}

func TestABadRemoteBlobIsAMiss(t *testing.T) {
	base, own := remote(t), remote(t)
	h := newHost(t, Config{Own: base})
	build(t, h, key)
	flush(t, h)
	path, err := base.Path(cache.Sum(jar))
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(jar)
	bad[5] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, bad, 0o600)); err != nil {
		t.Fatal(err)
	}
	second := newHost(t, Config{Own: own, Base: base})
	if _, err := second.Open(t.Context(), cache.Sum(jar), 0, -1); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("open: %v", err)
	}
	second.wantWarnings(t, "does not match")
	if err := own.Store.Put(t.Context(), cache.Sum(jar), int64(len(jar)), bytes.NewReader(jar)); err != nil {
		t.Fatal(err)
	}
	wantJar(t, newHost(t, Config{Own: base, Base: own})) // from the other one
}

func TestARemoteThatIsAwayIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		fault    func(ctx context.Context, write bool) error
		requests int32
		warnings []string
	}{
		"slow":      {func(ctx context.Context, _ bool) error { <-ctx.Done(); return ctx.Err() }, 1, []string{"the remote cache is left alone"}},
		"refusing":  {func(context.Context, bool) error { return errors.New("connection refused") }, 3, []string{"send a", "the remote cache is left alone"}},
		"read-only": {func(_ context.Context, write bool) error { return map[bool]error{true: cache.ErrReadOnly}[write] }, 1, []string{"nothing more is sent"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := remote(t)
			r.fault = c.fault
			h := newHost(t, Config{Own: r, Timeout: 30 * time.Millisecond, Workers: 1})
			for _, k := range []cache.Key{"a", "b", "c", "d", "e"} {
				if name != "read-only" && lookup(t, h, k) {
					t.Error("a hit")
				}
				build(t, h, k)
				flush(t, h)
				wantJar(t, h)
			}
			if n := r.requests(); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
			h.wantWarnings(t, c.warnings...)
		})
	}
}

func TestFlushEndsWithItsContext(t *testing.T) {
	r := remote(t)
	r.fault = func(ctx context.Context, write bool) error { <-ctx.Done(); return ctx.Err() }
	h := newHost(t, Config{Own: r})
	build(t, h, key)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := h.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("flush: %v", err)
	}
	h.wantWarnings(t, "1 results were not sent")
}

func TestAnActionNeverPrecedesItsBlobs(t *testing.T) {
	for k := range int32(2) {
		r := remote(t)
		r.fault = func(context.Context, bool) error {
			if r.writes.Load() > k {
				return errors.New("stopped")
			}
			return nil
		}
		h := newHost(t, Config{Own: r})
		build(t, h, key)
		flush(t, h)
		if _, err := r.Store.GetAction(t.Context(), key); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("k=%d: the action is there: %v", k, err)
		}
		h.wantWarnings(t, "send key")
	}
}

// TestTheQueueIsBounded has more results than may wait.
func TestTheQueueIsBounded(t *testing.T) {
	far := &counting{Store: openDir(t, t.TempDir())}
	far.fault = func(ctx context.Context, _ bool) error { <-ctx.Done(); return ctx.Err() }
	var mu sync.Mutex
	var said []string
	s := New(Config{Local: openDir(t, t.TempDir()), Own: far, Timeout: time.Minute, Warn: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, err.Error())
	}})
	for i := range maxSending + 20 {
		if err := s.PutAction(t.Context(), cache.Key(fmt.Sprintf("k%d", i)), cache.Action{Outputs: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	waiting := len(s.sending)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("flush: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{fmt.Sprintf("more than %d results wait to be sent to the remote cache: the others are not", maxSending), fmt.Sprintf("%d results were not sent to the remote cache in time", maxSending)}
	if waiting != maxSending || strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d wait; said %q", waiting, said)
	}
}
