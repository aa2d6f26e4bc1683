package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/fastship/fastship/cache"
)

// content returns n bytes that depend on seed alone.
func content(seed uint64, n int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprint(seed))
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func put(t *testing.T, s cache.BlobStore, b []byte) cache.Digest {
	t.Helper()
	d := cache.Sum(b)
	if err := s.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatalf("put %d bytes: %v", len(b), err)
	}
	return d
}

func get(ctx context.Context, s cache.BlobStore, d cache.Digest, off, n int64) ([]byte, error) {
	r, err := s.Open(ctx, d, off, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func wantBlob(t *testing.T, s cache.BlobStore, want []byte) {
	t.Helper()
	d := cache.Sum(want)
	if got, err := get(t.Context(), s, d, 0, -1); err != nil || !bytes.Equal(got, want) {
		t.Errorf("open %s: %d bytes of %d, %v", d, len(got), len(want), err)
	}
	if info, err := s.Stat(t.Context(), d); err != nil || info.Digest != d || info.Size != int64(len(want)) {
		t.Errorf("stat %s: %+v, %v; want %d bytes", d, info, err, len(want))
	}
}

func wantNoBlob(t *testing.T, s cache.BlobStore, d cache.Digest) {
	t.Helper()
	if _, err := s.Open(t.Context(), d, 0, -1); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("open an absent blob: %v, want ErrNotFound", err)
	}
	if _, err := s.Stat(t.Context(), d); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("stat an absent blob: %v, want ErrNotFound", err)
	}
	for info, err := range s.List(t.Context()) {
		if err != nil || info.Digest == d {
			t.Errorf("list yields %+v, %v; want it absent", info, err)
		}
	}
}

func testBlobs(t *testing.T, target Target, fresh freshFunc) {
	t.Run("put and open", func(t *testing.T) {
		_, s := fresh(t)
		for _, n := range []int{0, 1, 4096, 64<<10 + 1, 3 << 20} {
			b := content(uint64(n), n)
			wantNoBlob(t, s.Blobs, cache.Sum(b))
			put(t, s.Blobs, b)
			wantBlob(t, s.Blobs, b)
		}
	})
	t.Run("put content that is hashed already", func(t *testing.T) {
		_, s := fresh(t)
		for _, n := range []int{0, 1, 700 << 10} {
			b := content(uint64(n), n)
			c := cache.NewContent(b)
			if err := s.Blobs.Put(t.Context(), c.Digest(), c.Size(), c); err != nil || n > 0 && !c.Taken() {
				t.Errorf("put %d bytes: %v, taken %v", n, err, c.Taken())
			}
			wantBlob(t, s.Blobs, b)
		}
		other := cache.Sum([]byte("other"))
		for _, size := range []int64{2, 3, 4} {
			if err := s.Blobs.Put(t.Context(), other, size, cache.NewContent([]byte("abc"))); !errors.Is(err, cache.ErrCorrupt) {
				t.Errorf("put under another digest, %d bytes of 3: %v", size, err)
			}
		}
		wantNoBlob(t, s.Blobs, other)
	})
	t.Run("ranges", func(t *testing.T) { testRanges(t, fresh) })
	t.Run("what does not match its digest is not kept", func(t *testing.T) { testMismatch(t, fresh) })
	t.Run("a blob already there is left alone", func(t *testing.T) {
		_, s := fresh(t)
		b := content(1, 1000)
		d := put(t, s.Blobs, b)
		if err := s.Blobs.Put(t.Context(), d, 1000, iotest.ErrReader(errors.New("read"))); err != nil {
			t.Errorf("second put: %v", err)
		}
		wantBlob(t, s.Blobs, b)
	})
	t.Run("malformed digests", func(t *testing.T) {
		_, s := fresh(t)
		for _, d := range []cache.Digest{"", "sha256:", "sha256:../../../../x", "sha1:0000", cache.Digest("sha256:" + strings.Repeat("G", 64))} {
			if err := s.Blobs.Put(t.Context(), d, 1, strings.NewReader("x")); err == nil {
				t.Errorf("put %q succeeds", d)
			}
			if _, err := s.Blobs.Open(t.Context(), d, 0, -1); err == nil {
				t.Errorf("open %q succeeds", d)
			}
		}
	})
	t.Run("list and delete", func(t *testing.T) { testListDelete(t, fresh) })
	t.Run("a cancelled context", func(t *testing.T) { testCancelled(t, fresh) })
	t.Run("side by side", func(t *testing.T) { testSideBySide(t, fresh) })
	if target.Damage != nil {
		t.Run("damage", func(t *testing.T) { testDamage(t, target, fresh) })
	}
}

func testRanges(t *testing.T, fresh freshFunc) {
	_, s := fresh(t)
	b := content(2, 10000)
	d := put(t, s.Blobs, b)
	for _, c := range []struct{ off, n, from, to int64 }{
		{0, 0, 0, 0}, {0, 1, 0, 1}, {0, 10000, 0, 10000}, {100, 50, 100, 150}, {9999, 1, 9999, 10000},
		{5000, -1, 5000, 10000}, {9990, 100, 9990, 10000}, {10000, 5, 10000, 10000}, {20000, -1, 10000, 10000}, {20000, 7, 10000, 10000},
	} {
		got, err := get(t.Context(), s.Blobs, d, c.off, c.n)
		if err != nil || !bytes.Equal(got, b[c.from:c.to]) {
			t.Errorf("%d bytes from %d on: got %d bytes, %v; want [%d,%d)", c.n, c.off, len(got), err, c.from, c.to)
		}
	}
	if _, err := get(t.Context(), s.Blobs, d, -1, 5); err == nil {
		t.Error("a negative offset is taken")
	}
	if _, err := s.Blobs.Open(t.Context(), cache.Sum([]byte("absent")), 5, 5); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("a range of an absent blob: %v", err)
	}
}

func testMismatch(t *testing.T, fresh freshFunc) {
	b := content(3, 100_000)
	d := cache.Sum(b)
	other := bytes.Clone(b)
	other[50_000] ^= 1
	for name, c := range map[string]struct {
		size int64
		r    io.Reader
	}{
		"another content":    {int64(len(b)), bytes.NewReader(other)},
		"too short":          {int64(len(b)), bytes.NewReader(b[:len(b)-1])},
		"too long":           {int64(len(b)), bytes.NewReader(append(bytes.Clone(b), 0))},
		"size too small":     {int64(len(b)) - 1, bytes.NewReader(b)},
		"size too large":     {int64(len(b)) + 1, bytes.NewReader(b)},
		"nothing":            {int64(len(b)), strings.NewReader("")},
		"an endless content": {int64(len(b)), zeroes{}},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := fresh(t)
			if err := s.Blobs.Put(t.Context(), d, c.size, c.r); !errors.Is(err, cache.ErrCorrupt) {
				t.Errorf("put: %v, want ErrCorrupt", err)
			}
			wantNoBlob(t, s.Blobs, d)
			put(t, s.Blobs, b)
			wantBlob(t, s.Blobs, b)
		})
	}
	t.Run("a failing reader", func(t *testing.T) {
		_, s := fresh(t)
		broken := errors.New("connection reset")
		err := s.Blobs.Put(t.Context(), d, int64(len(b)), io.MultiReader(bytes.NewReader(b[:70_000]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Errorf("put: %v, want the reader's error", err)
		}
		wantNoBlob(t, s.Blobs, d)
	})
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func testListDelete(t *testing.T, fresh freshFunc) {
	_, s := fresh(t)
	for info, err := range s.Blobs.List(t.Context()) {
		t.Errorf("an empty store lists %+v, %v", info, err)
	}
	want := map[cache.Digest]int64{}
	start := time.Now()
	for i := range 12 {
		want[put(t, s.Blobs, content(uint64(i), 100+i))] = int64(100 + i)
	}
	list := func() map[cache.Digest]int64 {
		got := map[cache.Digest]int64{}
		for info, err := range s.Blobs.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if _, twice := got[info.Digest]; twice {
				t.Errorf("%s is listed twice", info.Digest)
			}
			if info.LastUsed.Before(start.Add(-24*time.Hour)) || info.LastUsed.After(time.Now().Add(24*time.Hour)) {
				t.Errorf("last used %v, written at %v", info.LastUsed, start)
			}
			got[info.Digest] = info.Size
		}
		return got
	}
	same := func(a, b map[cache.Digest]int64) bool {
		return len(a) == len(b) && !slices.ContainsFunc(keys(a), func(d cache.Digest) bool { return a[d] != b[d] })
	}
	if got := list(); !same(got, want) {
		t.Errorf("list: %v, want %v", got, want)
	}
	n := 0
	for range s.Blobs.List(t.Context()) {
		if n++; n == 3 {
			break
		}
	}
	gone := keys(want)[0]
	for range 2 { // the second time it is absent already
		if err := s.Blobs.Delete(t.Context(), gone); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	delete(want, gone)
	wantNoBlob(t, s.Blobs, gone)
	if got := list(); !same(got, want) {
		t.Errorf("list after delete: %v, want %v", got, want)
	}
}

func keys(m map[cache.Digest]int64) []cache.Digest {
	var all []cache.Digest
	for d := range m {
		all = append(all, d)
	}
	return all
}

func testCancelled(t *testing.T, fresh freshFunc) {
	_, s := fresh(t)
	b := content(4, 200_000)
	d := put(t, s.Blobs, b)
	ctx, cancel := context.WithCancel(t.Context())
	next := content(5, 200_000)
	midway := io.MultiReader(bytes.NewReader(next[:100_000]), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }), bytes.NewReader(next[100_000:]))
	if err := s.Blobs.Put(ctx, cache.Sum(next), int64(len(next)), midway); !errors.Is(err, context.Canceled) {
		t.Errorf("put, cancelled midway: %v", err)
	}
	wantNoBlob(t, s.Blobs, cache.Sum(next))
	if _, err := get(ctx, s.Blobs, d, 0, -1); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v", err)
	}
	if _, err := s.Blobs.Stat(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("stat: %v", err)
	}
	var last error
	for _, err := range s.Blobs.List(ctx) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("list: %v", last)
	}
	if err := s.Blobs.Delete(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("delete: %v", err)
	}
	wantBlob(t, s.Blobs, b)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// testSideBySide has goroutines write and read the same few blobs through
// two stores at one place: whoever sees a blob sees all of it.
func testSideBySide(t *testing.T, fresh freshFunc) {
	_, s := fresh(t)
	blobs := make([][]byte, 6)
	for i := range blobs {
		blobs[i] = content(uint64(100+i), 50_000*(i+1))
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for round := range 12 {
				b := blobs[(worker+round)%len(blobs)]
				d := cache.Sum(b)
				got, err := get(t.Context(), s.Blobs, d, 0, -1)
				if err != nil && !errors.Is(err, cache.ErrNotFound) {
					t.Errorf("open: %v", err)
				}
				if err == nil && !bytes.Equal(got, b) {
					t.Errorf("a part of a blob: %d bytes of %d", len(got), len(b))
				}
				if err := s.Blobs.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
					t.Errorf("put: %v", err)
				}
				if round%5 == worker%5 {
					if err := s.Blobs.Delete(t.Context(), d); err != nil {
						t.Errorf("delete: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func testDamage(t *testing.T, target Target, fresh freshFunc) {
	for _, n := range []int{1, 1000, 500_000} {
		address, s := fresh(t)
		b := content(uint64(n), n)
		d := put(t, s.Blobs, b)
		target.Damage(t, address, d)
		r, err := s.Blobs.Open(t.Context(), d, 0, -1)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		_, err = io.Copy(io.Discard, r)
		if !errors.Is(err, cache.ErrCorrupt) {
			t.Errorf("read a damaged blob of %d bytes: %v, want ErrCorrupt", n, err)
		}
		if _, again := r.Read(make([]byte, 10)); !errors.Is(again, cache.ErrCorrupt) {
			t.Errorf("read on after ErrCorrupt: %v", again)
		}
		_ = r.Close()
		// Whoever meets it treats the blob as missing: a Put replaces it.
		put(t, s.Blobs, b)
		wantBlob(t, s.Blobs, b)
		wantBlob(t, target.Open(t, address).Blobs, b)
	}
}
