package dir

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

const day = 24 * time.Hour

// aged sets the time of last use of a path.
func aged(t *testing.T, path string, age time.Duration) {
	t.Helper()
	then := time.Now().Add(-age)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

// agedBlob puts n bytes, last used age ago.
func agedBlob(t *testing.T, s *Store, fill byte, n int, age time.Duration) cache.Digest {
	t.Helper()
	d := mustPut(t, s, bytes.Repeat([]byte{fill}, n))
	aged(t, filepath.Join(s.blobDir(), d.Hex()), age)
	return d
}

func has(t *testing.T, s *Store, d cache.Digest) bool {
	t.Helper()
	_, err := s.Stat(t.Context(), d)
	if err != nil && !errors.Is(err, cache.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// capped is a store with a cap that has written something.
func capped(t *testing.T, root string, max int64) *Store {
	t.Helper()
	s, err := Open(root, Options{MaxBytes: max})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, []byte(rand.Text())) // new to the store, so that it is written
	return s
}

func mustTrim(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTrimEvictsTheLeastRecentlyUsed(t *testing.T) {
	s := capped(t, t.TempDir(), 5000)
	oldest := agedBlob(t, s, 'a', 1000, 30*day)
	tree := cache.Sum([]byte("tree"))
	if _, release, err := s.Expanded(t.Context(), tree, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "f"), make([]byte, 1000), 0o600)
	}); err != nil {
		t.Fatal(err)
	} else {
		release()
	}
	treeHome := filepath.Join(s.expandedDir(), tree.Hex())
	aged(t, treeHome, 20*day)
	if err := s.PutAction(t.Context(), "old", oldAction); err != nil {
		t.Fatal(err)
	}
	aged(t, filepath.Join(s.actionDir(), "old"), 15*day)
	newer := agedBlob(t, s, 'b', 2000, 10*day)
	newest := agedBlob(t, s, 'c', 2300, 5*day)

	mustTrim(t, s) // 6300 and an action: down to 4500
	if has(t, s, oldest) {
		t.Error("the least recently used blob is kept")
	}
	if _, err := os.Lstat(treeHome); err == nil {
		t.Error("the least recently used tree is kept")
	}
	if !has(t, s, newer) || !has(t, s, newest) {
		t.Error("more is evicted than needed")
	}
	wantOutputs(t, s, "old", `"old"`, "")

	agedBlob(t, s, 'd', 5000, 40*day)
	mustTrim(t, s)
	if !has(t, s, cache.Sum(bytes.Repeat([]byte{'d'}, 5000))) {
		t.Error("it evicts twice in one store's life")
	}
}

func TestTrimUnderTheCapEvictsNothing(t *testing.T) {
	s := capped(t, t.TempDir(), 5000)
	d := agedBlob(t, s, 'a', 4900, 300*day)
	mustTrim(t, s)
	if !has(t, s, d) {
		t.Error("evicted")
	}
}

func TestTrimOfAStoreThatOnlyReadEvictsNothing(t *testing.T) {
	root := t.TempDir()
	d := agedBlob(t, capped(t, root, 1), 'a', 1000, 300*day)
	s, err := Open(root, Options{MaxBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !has(t, s, d) {
		t.Fatal("absent")
	}
	mustTrim(t, s)
	info, err := os.Lstat(filepath.Join(s.blobDir(), d.Hex()))
	if err != nil {
		t.Fatal("evicted: ", err)
	}
	if time.Since(info.ModTime()) > time.Hour {
		t.Error("its use is not recorded")
	}
}

func TestTrimSparesWhatWasJustUsed(t *testing.T) {
	root := t.TempDir()
	writer := capped(t, root, 1)
	fresh := agedBlob(t, writer, 'f', 1000, time.Hour) // recorded an hour ago: its use since may be unrecorded
	read := agedBlob(t, writer, 'r', 1000, 300*day)
	byPath := agedBlob(t, writer, 'p', 1000, 300*day)
	unused := agedBlob(t, writer, 'u', 1000, 3*time.Hour)
	wantBytes(t, writer, bytes.Repeat([]byte{'r'}, 1000))
	if _, err := writer.Path(byPath); err != nil {
		t.Fatal(err)
	}
	mustTrim(t, capped(t, root, 1)) // another process
	for name, d := range map[string]cache.Digest{"written": fresh, "read": read, "named": byPath} {
		if !has(t, writer, d) {
			t.Errorf("what was just %s is evicted", name)
		}
	}
	if has(t, writer, unused) {
		t.Error("what nobody used is kept")
	}
}

func TestTrimSparesHeldTrees(t *testing.T) {
	root := t.TempDir()
	holder := open(t, root)
	dir, release, err := holder.Expanded(t.Context(), oldTree, fillBy(holder))
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(holder.expandedDir(), oldTree.Hex())
	aged(t, home, 300*day)
	mustTrim(t, capped(t, root, 1))
	wantTree(t, dir)
	release()
	mustTrim(t, capped(t, root, 1))
	if _, err := os.Lstat(home); err == nil {
		t.Error("kept after its release")
	}
	wantExpanded(t, holder, oldTree, false)
}

func TestTrimWaitsForNobody(t *testing.T) {
	root := t.TempDir()
	s := capped(t, root, 1)
	d := agedBlob(t, s, 'a', 1000, 300*day)
	other, err := hold(root, exclusive)
	if err != nil {
		t.Fatal(err)
	}
	mustTrim(t, s)
	if !has(t, s, d) {
		t.Error("two processes trim at once")
	}
	_ = other.Close()
}
