package dir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

var errStopped = errors.New("the process is dead")

// stoppingFS stops the world after a number of calls that change the disk: no
// later one has any effect. A Write is cut in half by the stop.
type stoppingFS struct {
	osFS
	left    int
	stopped bool
}

func (f *stoppingFS) step() error {
	if f.left == 0 {
		f.stopped = true
		return errStopped
	}
	f.left--
	return nil
}

func (f *stoppingFS) Mkdir(path string, mode fs.FileMode) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.osFS.Mkdir(path, mode)
}

func (f *stoppingFS) Create(path string, mode fs.FileMode) (io.WriteCloser, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	w, err := f.osFS.Create(path, mode)
	return &stoppingFile{w, f}, err
}

func (f *stoppingFS) Rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.osFS.Rename(from, to)
}

func (f *stoppingFS) Remove(path string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.osFS.Remove(path)
}

func (f *stoppingFS) Chtimes(path string, at time.Time) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.osFS.Chtimes(path, at)
}

type stoppingFile struct {
	io.WriteCloser
	fs *stoppingFS
}

func (f *stoppingFile) Write(p []byte) (int, error) {
	if f.fs.left == 0 && !f.fs.stopped {
		f.fs.stopped = true
		n, _ := f.WriteCloser.Write(p[:len(p)/2])
		return n, errStopped
	}
	if err := f.fs.step(); err != nil {
		return 0, err
	}
	return f.WriteCloser.Write(p)
}

// What every store in this test holds before the operation.
var (
	oldBlob   = bytes.Repeat([]byte("old"), 1000)
	oldTree   = cache.Sum([]byte("old tree"))
	newBlob   = bytes.Repeat([]byte("new "), 2000)
	newTree   = cache.Sum([]byte("new tree"))
	oldAction = cache.Action{Outputs: []byte(`"old"`)}
	newAction = cache.Action{Outputs: []byte(`"new"`), Blobs: []cache.Descriptor{{Digest: cache.Sum(newBlob), Size: int64(len(newBlob))}}}
)

// fillBy writes a tree of two files through the store's own seam, so that
// its writes are counted too.
func fillBy(s *Store) func(string) error {
	return func(dir string) error {
		if err := s.fs.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
			return err
		}
		for _, name := range []string{"d/a", "b"} {
			w, err := s.fs.Create(filepath.Join(dir, name), 0o644)
			if err != nil {
				return err
			}
			_, err = w.Write([]byte("content of " + name))
			if err := errors.Join(err, w.Close()); err != nil {
				return err
			}
		}
		return nil
	}
}

func wantTree(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"d/a", "b"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "content of "+name {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
}

func expand(s *Store, d cache.Digest) error {
	_, release, err := s.Expanded(context.Background(), d, fillBy(s))
	if err == nil {
		release()
	}
	return err
}

// An operation whose every write is a place to die. It may be done again.
type operation struct {
	name string
	do   func(ctx context.Context, s *Store) error
	done func(t *testing.T, s *Store) // what holds when do has succeeded
}

func operations() []operation {
	return []operation{
		{"put", func(ctx context.Context, s *Store) error {
			return s.Put(ctx, cache.Sum(newBlob), int64(len(newBlob)), bytes.NewReader(newBlob))
		}, func(t *testing.T, s *Store) { wantBytes(t, s, newBlob) }},
		{"create and commit", func(ctx context.Context, s *Store) error {
			w, err := s.Create(ctx)
			if err != nil {
				return err
			}
			defer w.Abort()
			for i := 0; i < len(newBlob); i += 3000 {
				if _, err := w.Write(newBlob[i:min(i+3000, len(newBlob))]); err != nil {
					return err
				}
			}
			_, err = w.Commit()
			return err
		}, func(t *testing.T, s *Store) { wantBytes(t, s, newBlob) }},
		{"replace a corrupt blob", func(ctx context.Context, s *Store) error {
			path := filepath.Join(s.blobDir(), cache.Sum(newBlob).Hex())
			if _, err := os.Lstat(path); err != nil {
				if err := os.WriteFile(path, newBlob[:10], 0o600); err != nil { // a power cut's
					return err
				}
			}
			return s.Put(ctx, cache.Sum(newBlob), int64(len(newBlob)), bytes.NewReader(newBlob))
		}, func(t *testing.T, s *Store) { wantBytes(t, s, newBlob) }},
		{"action", func(ctx context.Context, s *Store) error { return s.PutAction(ctx, "new", newAction) },
			func(t *testing.T, s *Store) { wantOutputs(t, s, "new", "", `"new"`) }},
		{"action anew", func(ctx context.Context, s *Store) error { return s.PutAction(ctx, "replaced", newAction) },
			func(t *testing.T, s *Store) { wantOutputs(t, s, "replaced", "", `"new"`) }},
		{"delete", func(ctx context.Context, s *Store) error {
			return errors.Join(s.Delete(ctx, cache.Sum([]byte("doomed"))), s.DeleteAction(ctx, "doomed"))
		}, func(t *testing.T, s *Store) { wantOutputs(t, s, "doomed", "", "") }},
		{"expand", func(_ context.Context, s *Store) error { return expand(s, newTree) },
			func(t *testing.T, s *Store) { wantExpanded(t, s, newTree, true) }},
		{"trim", func(ctx context.Context, s *Store) error {
			s.max = 1
			s.now = func() time.Time { return time.Now().Add(3 * time.Hour) }
			if err := s.PutAction(ctx, "replaced", oldAction); err != nil { // a store that only reads does not evict
				return err
			}
			return s.Trim(ctx)
		}, func(t *testing.T, s *Store) { wantExpanded(t, s, oldTree, false) }},
		{"sweep", func(ctx context.Context, s *Store) error {
			for _, name := range []string{"one", "two"} {
				if err := os.MkdirAll(filepath.Join(s.tmpDir(), name, "sub"), 0o700); err != nil {
					return err
				}
			}
			return s.PutAction(ctx, "new", newAction)
		}, func(t *testing.T, s *Store) { wantOutputs(t, s, "new", "", `"new"`) }},
	}
}

// TestStopAfterEveryWrite ends each operation after its k-th write, for every
// k, and looks at what the next process finds.
func TestStopAfterEveryWrite(t *testing.T) {
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			for _, empty := range []bool{true, false} {
				writes := 0
				for ; stopAt(t, op, empty, writes); writes++ {
					if writes > 200 {
						t.Fatal("it never ends")
					}
				}
				t.Logf("empty %v: %d writes", empty, writes)
				if writes < 2 {
					t.Errorf("%d writes: the test stops nothing", writes)
				}
			}
		})
	}
}

// stopAt reports whether the operation was stopped by its k-th write.
func stopAt(t *testing.T, op operation, empty bool, k int) (stopped bool) {
	root := filepath.Join(t.TempDir(), "cache")
	if !empty || op.name == "trim" || op.name == "delete" || op.name == "replace a corrupt blob" {
		empty = false
		prepare(t, open(t, root))
	}
	s := open(t, root)
	dying := &stoppingFS{left: k}
	s.fs = dying
	err := op.do(t.Context(), s)
	if !dying.stopped && err != nil {
		t.Fatalf("%s: %v", op.name, err)
	}

	next := open(t, root)
	t.Run(fmt.Sprintf("after %d", k), func(t *testing.T) {
		wantTrusted(t, next, op.name, empty)
		if err := op.do(t.Context(), next); err != nil {
			t.Fatalf("again: %v", err)
		}
		op.done(t, next)
		wantTrusted(t, open(t, root), op.name, empty)
		if op.name == "delete" {
			return // it alone needs no file in tmp, and so does not sweep
		}
		if left, err := readDir(next.tmpDir()); err != nil || len(left) != 0 {
			t.Errorf("left in tmp: %v, %v", left, err)
		}
	})
	return dying.stopped
}

func prepare(t *testing.T, s *Store) {
	t.Helper()
	for _, b := range [][]byte{oldBlob, []byte("doomed")} {
		if err := s.Put(t.Context(), cache.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []cache.Key{"old", "replaced", "doomed"} {
		if err := s.PutAction(t.Context(), k, oldAction); err != nil {
			t.Fatal(err)
		}
	}
	if err := expand(s, oldTree); err != nil {
		t.Fatal(err)
	}
}

// wantTrusted holds what is true at any time: all that is found is whole, and
// nothing that was there before is lost but by the operation's own doing.
func wantTrusted(t *testing.T, s *Store, op string, empty bool) {
	t.Helper()
	for info, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if op == "replace a corrupt blob" && info.Size == 10 {
			continue // the damage that the operation is about
		}
		if r, err := s.Open(t.Context(), info.Digest, 0, -1); err != nil {
			t.Error(err)
		} else if _, err := io.Copy(io.Discard, r); errors.Join(err, r.Close()) != nil {
			t.Error(err)
		}
	}
	wantOutputs(t, s, "new", "", `"new"`, "")
	wantOutputs(t, s, "replaced", `"old"`, `"new"`, "")
	for _, tree := range []cache.Digest{oldTree, newTree} {
		if dir, release, err := s.Expanded(t.Context(), tree, func(string) error { return errors.New("absent") }); err == nil {
			wantTree(t, dir)
			release()
		}
	}
	if empty || op == "trim" {
		return
	}
	wantBytes(t, s, oldBlob)
	wantOutputs(t, s, "old", `"old"`)
	wantExpanded(t, s, oldTree, true)
}

func wantBytes(t *testing.T, s *Store, want []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), cache.Sum(want), 0, -1)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

// wantOutputs wants an action to have one of the outputs; "" is for none.
func wantOutputs(t *testing.T, s *Store, k cache.Key, want ...string) {
	t.Helper()
	a, err := s.GetAction(t.Context(), k)
	if err != nil && !errors.Is(err, cache.ErrNotFound) {
		t.Error(err)
	}
	for _, w := range want {
		if string(a.Outputs) == w {
			return
		}
	}
	t.Errorf("action %s: %q, want one of %q", k, a.Outputs, want)
}

func wantExpanded(t *testing.T, s *Store, d cache.Digest, want bool) {
	t.Helper()
	dir, release, err := s.Expanded(t.Context(), d, func(string) error { return errors.New("absent") })
	if got := err == nil; got != want {
		t.Errorf("the tree is there: %v, want %v; %v", got, want, err)
	}
	if err == nil {
		wantTree(t, dir)
		release()
	}
}
