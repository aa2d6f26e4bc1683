package dir

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

func mustPut(t *testing.T, s *Store, b []byte) cache.Digest {
	t.Helper()
	if err := s.Put(t.Context(), cache.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return cache.Sum(b)
}

// snapshot lists every path below root with its mode, size and time.
func snapshot(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all = append(all, strings.Join([]string{path, info.Mode().String(), info.ModTime().String()}, " "))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLayoutIsOCIs(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	d := mustPut(t, s, []byte("hello"))
	const hex = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	path := filepath.Join(root, "blobs", "sha256", hex)
	if got, err := s.Path(d); err != nil || got != path {
		t.Errorf("path %q, %v; want %q", got, err, path)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm()&0o222 != 0 {
		t.Errorf("%v, %v: want a file that nobody writes", info.Mode(), err)
	}
}

func TestReadingWritesNothing(t *testing.T) {
	parent := t.TempDir()
	root := filepath.Join(parent, "cache")
	read := func() {
		s := open(t, root)
		s.now = func() time.Time { return time.Now().Add(48 * time.Hour) }
		ctx, d := t.Context(), cache.Sum(oldBlob)
		_, _ = s.Stat(ctx, d)
		_, _ = s.Path(d)
		if r, err := s.Open(ctx, d, 0, -1); err == nil {
			_ = r.Close()
		}
		_, _ = s.GetAction(ctx, "old")
		for range s.List(ctx) {
		}
		_, _, _ = cache.Lookup[string](ctx, &cache.Cache{Blobs: s, Actions: s}, "old")
	}
	before := snapshot(t, parent)
	read()
	if after := snapshot(t, parent); !slices.Equal(before, after) {
		t.Errorf("an absent root: %v", after)
	}
	prepare(t, open(t, root))
	before = snapshot(t, parent)
	read()
	if after := snapshot(t, parent); !slices.Equal(before, after) {
		t.Errorf("changed:\n%s\nto\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

func TestOpenRefusesWhatIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"", file, filepath.Join(file, "below")} {
		if _, err := Open(root, Options{}); err == nil {
			t.Errorf("open %q succeeds", root)
		}
	}
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"tmp", "blobs"} { // files in the directories' places: also root cannot write
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, root)
	for name, err := range map[string]error{
		"put":    s.Put(t.Context(), cache.Sum(oldBlob), int64(len(oldBlob)), bytes.NewReader(oldBlob)),
		"action": s.PutAction(t.Context(), "k", oldAction),
		"expand": expand(s, oldTree),
	} {
		if !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v, want the system's error", name, err)
		}
	}
}

func TestCacheDeletedUnderUs(t *testing.T) {
	root := filepath.Join(t.TempDir(), "cache")
	s := open(t, root)
	prepare(t, s)
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), cache.Sum(oldBlob)); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("stat: %v", err)
	}
	prepare(t, s)
	wantBytes(t, s, oldBlob)
}

func TestSweepLeavesTheLiving(t *testing.T) {
	root := t.TempDir()
	living := open(t, root)
	w, err := living.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Write(newBlob); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(living.tmpDir(), "dead"), []byte("x"), 0o444); err != nil {
		t.Fatal(err)
	}
	deadTree := filepath.Join(living.tmpDir(), "deadtree", "sub")
	if err := os.MkdirAll(deadTree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(deadTree, 0o555); err != nil {
		t.Fatal(err)
	}
	filling := make(chan struct{})
	goOn := make(chan struct{})
	expanded := make(chan error)
	go func() {
		_, release, err := living.Expanded(context.Background(), newTree, func(dir string) error {
			close(filling)
			<-goOn
			return fillBy(living)(dir)
		})
		if err == nil {
			release()
		}
		expanded <- err
	}()
	<-filling

	mustPut(t, open(t, root), oldBlob) // another process's first write

	left, err := readDir(living.tmpDir())
	if err != nil || len(left) != 2 {
		t.Errorf("tmp holds %v, %v; want the living writer and the living fill", left, err)
	}
	close(goOn)
	if err := <-expanded; err != nil {
		t.Errorf("the living fill: %v", err)
	}
	if _, err := w.Commit(); err != nil {
		t.Errorf("the living writer: %v", err)
	}
	wantBytes(t, living, newBlob)
	wantExpanded(t, living, newTree, true)
}

// TestTwoFillersAtOnce: as between processes, which do not wait for each other.
func TestTwoFillersAtOnce(t *testing.T) {
	root := t.TempDir()
	one, two := open(t, root), open(t, root)
	dir, release, err := one.Expanded(t.Context(), newTree, func(dir string) error {
		if err := expand(two, newTree); err != nil {
			t.Errorf("the faster: %v", err)
		}
		return fillBy(one)(dir)
	})
	if err != nil {
		t.Fatalf("the slower: %v", err)
	}
	defer release()
	wantTree(t, dir)
	if left, err := readDir(one.tmpDir()); err != nil || len(left) != 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
}

// TestReadOnlyFileSystem mounts one, where the machine lets us.
func TestReadOnlyFileSystem(t *testing.T) {
	root := t.TempDir()
	prepare(t, open(t, root))
	view := t.TempDir()
	if out, err := exec.Command("mount", "--bind", root, view).CombinedOutput(); err != nil {
		t.Skipf("no bind mount here: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", view).Run() })
	if out, err := exec.Command("mount", "-o", "remount,ro,bind", view).CombinedOutput(); err != nil {
		t.Skipf("no read-only mount here: %s", out)
	}
	s := open(t, view)
	s.now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	wantBytes(t, s, oldBlob)
	wantOutputs(t, s, "old", `"old"`)
	wantExpanded(t, s, oldTree, true)
	if err := s.Put(t.Context(), cache.Sum(newBlob), int64(len(newBlob)), bytes.NewReader(newBlob)); !errors.Is(err, syscall.EROFS) {
		t.Errorf("put: %v", err)
	}
	if err := s.Trim(t.Context()); err != nil {
		t.Errorf("trim: %v", err)
	}
}

func FuzzDecodeAction(f *testing.F) {
	whole, err := encodeAction("k", newAction)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(actionHead("k", []byte("{}\n")) + "{}\n"))
	f.Add([]byte(actionFormat + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAction("k", b)
		if err != nil {
			return
		}
		again, err := encodeAction("k", a)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", a, err)
		}
		if _, err := decodeAction("k", again); err != nil {
			t.Fatalf("%+v was written and cannot be read: %v", a, err)
		}
		if _, err := decodeAction("another key", b); err == nil {
			t.Error("it passes for another key's action too")
		}
	})
}
