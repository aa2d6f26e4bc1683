package cachetest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fastship/fastship/cache"
)

func testLocal(t *testing.T, fresh func(t *testing.T) cache.LocalStore) {
	t.Run("create and commit", func(t *testing.T) { testCreate(t, fresh(t)) })
	t.Run("abort", func(t *testing.T) {
		s := fresh(t)
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := content(1, 100_000)
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		w.Abort()
		if _, err := w.Commit(); err == nil {
			t.Error("commit after abort succeeds")
		}
		if _, err := w.Write(b); err == nil {
			t.Error("write after abort succeeds")
		}
		wantNoBlob(t, s, cache.Sum(b))
	})
	t.Run("path", func(t *testing.T) {
		s := fresh(t)
		b := content(2, 5000)
		if _, err := s.Path(cache.Sum(b)); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("path of an absent blob: %v", err)
		}
		path, err := s.Path(put(t, s, b))
		if err != nil || !filepath.IsAbs(path) {
			t.Fatalf("path: %q, %v", path, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, b) {
			t.Errorf("read the path: %d bytes, %v", len(got), err)
		}
	})
	t.Run("expanded", func(t *testing.T) { testExpanded(t, fresh(t)) })
	t.Run("expanded by many", func(t *testing.T) { testExpandedByMany(t, fresh(t)) })
	t.Run("a fill that fails", func(t *testing.T) { testFailingFill(t, fresh(t)) })
}

func testCreate(t *testing.T, s cache.LocalStore) {
	// Two writers of one content, written piece by piece in turns.
	b := content(1, 300_000)
	var writers [2]cache.BlobWriter
	for i := range writers {
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		writers[i] = w
	}
	for i := 0; i < len(b); i += 1000 {
		for _, w := range writers {
			if n, err := w.Write(b[i : i+1000]); n != 1000 || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	wantNoBlob(t, s, cache.Sum(b))
	for _, w := range writers {
		d, err := w.Commit()
		if err != nil || d.Digest != cache.Sum(b) || d.Size != int64(len(b)) {
			t.Errorf("commit: %+v, %v", d, err)
		}
		w.Abort() // does nothing now
		wantBlob(t, s, b)
	}
	if _, err := writers[0].Write([]byte("x")); err == nil {
		t.Error("write after commit succeeds")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Create(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("create, cancelled: %v", err)
	}
}

// fillTree writes a small tree; treeIs tells whether all of it is there.
func fillTree(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "lib", "empty"), 0o755); err != nil {
		return err
	}
	for name, n := range treeFiles() {
		if err := os.WriteFile(filepath.Join(dir, name), content(uint64(n), n), 0o644); err != nil {
			return err
		}
	}
	return os.Symlink("lib/a", filepath.Join(dir, "link"))
}

func treeFiles() map[string]int { return map[string]int{"lib/a": 10, "lib/b": 70_000, "c": 0} }

func treeIs(dir string) error {
	for name, n := range treeFiles() {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if !bytes.Equal(b, content(uint64(n), n)) {
			return errors.New(name + " differs")
		}
	}
	_, err := os.Readlink(filepath.Join(dir, "link"))
	return err
}

func testExpanded(t *testing.T, s cache.LocalStore) {
	d := cache.Sum([]byte("an archive"))
	dir, release, err := s.Expanded(t.Context(), d, fillTree)
	if err != nil {
		t.Fatal(err)
	}
	if err := treeIs(dir); err != nil {
		t.Error(err)
	}
	release()
	release() // once or more
	again, release, err := s.Expanded(t.Context(), d, func(string) error { return errors.New("filled twice") })
	if err != nil || again != dir {
		t.Fatalf("second time: %q, %v; want %q", again, err, dir)
	}
	defer release()
	other, releaseOther, err := s.Expanded(t.Context(), cache.Sum([]byte("another")), func(string) error { return nil })
	if err != nil || other == dir {
		t.Fatalf("another digest: %q, %v", other, err)
	}
	releaseOther()
	if _, _, err := s.Expanded(t.Context(), "sha256:../..", fillTree); err == nil {
		t.Error("a malformed digest is expanded")
	}
}

func testExpandedByMany(t *testing.T, s cache.LocalStore) {
	var fills atomic.Int32
	var wg sync.WaitGroup
	dirs := make([]string, 8)
	for i := range dirs {
		wg.Go(func() {
			dir, release, err := s.Expanded(t.Context(), cache.Sum([]byte("x")), func(dir string) error {
				fills.Add(1)
				return fillTree(dir)
			})
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			dirs[i] = dir
			if err := treeIs(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, dir := range dirs {
		if dir != dirs[0] {
			t.Errorf("two trees: %s and %s", dir, dirs[0])
		}
	}
	if n := fills.Load(); n != 1 {
		t.Errorf("filled %d times", n)
	}
}

func testFailingFill(t *testing.T, s cache.LocalStore) {
	d := cache.Sum([]byte("x"))
	broken := errors.New("bad archive")
	if _, _, err := s.Expanded(t.Context(), d, func(dir string) error { return errors.Join(fillTree(dir), broken) }); !errors.Is(err, broken) {
		t.Errorf("got %v, want fill's error", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("fill's panic is lost")
			}
		}()
		_, _, _ = s.Expanded(t.Context(), d, func(string) error { panic("bug") })
	}()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Expanded(cancelled, d, fillTree); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	filled := false
	dir, release, err := s.Expanded(t.Context(), d, func(dir string) error { filled = true; return fillTree(dir) })
	if err != nil || !filled {
		t.Fatalf("after failures: filled %v, %v", filled, err)
	}
	defer release()
	if err := treeIs(dir); err != nil {
		t.Error(err)
	}
}
