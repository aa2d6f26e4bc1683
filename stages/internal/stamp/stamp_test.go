package stamp

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

func write(t *testing.T, path, text string) cache.Descriptor {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return cache.Descriptor{Digest: cache.Sum([]byte(text)), Size: int64(len(text))}
}

// settle waits until a change of the file shows in its ctime.
func settle() { time.Sleep(40 * time.Millisecond) }

func TestBookSeesAForgedTime(t *testing.T) {
	state, file := t.TempDir(), filepath.Join(t.TempDir(), "app.jar")
	good := write(t, file, "good")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	settle()
	b := Open(state)
	if !b.Is(file, good) || len(b.known) != 1 {
		t.Fatalf("stamps %+v", b.known)
	}
	b.Save()
	if kept := Open(state); len(kept.known) != 1 || !kept.Is(file, good) || kept.changed {
		t.Errorf("kept %+v", kept)
	}
	write(t, file, "evil")
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if Open(state).Is(file, good) {
		t.Error("a forged file passes for the kept one")
	}
}

// The proof that a known file is not read: its entry says another digest.
func TestBookDoesNotReadWhatItKnows(t *testing.T) {
	state, file := t.TempDir(), filepath.Join(t.TempDir(), "app.jar")
	write(t, file, "good")
	settle()
	b := Open(state)
	if _, err := b.Digest(file); err != nil {
		t.Fatal(err)
	}
	planted := b.known[file]
	planted.digest = cache.Sum([]byte("planted"))
	b.known[file] = planted
	b.Save()
	if d, err := Open(state).Digest(file); err != nil || d.Digest != planted.digest {
		t.Errorf("digest %v, %v: the file was read", d, err)
	}
}

func TestBookDoesNotTrustAFreshFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	is := write(t, file, "a")
	b := Open("")
	if !b.Is(file, is) {
		t.Fatal("not what was written")
	}
	if len(b.known) > 0 {
		t.Error("a file written within the clock's tick was stamped")
	}
	old := stamp{ctime: 7 * int64(time.Second)} // a file system of whole seconds
	if old.settled(time.Unix(8, 900_000_000)) || !old.settled(time.Unix(9, 1)) {
		t.Error("whole seconds are not given two")
	}
}

func TestBookForgetsWhatIsGone(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"a", "b"} {
		write(t, filepath.Join(dir, name), name)
	}
	settle()
	b := Open(state)
	for _, name := range []string{"a", "b"} {
		if _, err := b.Digest(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	b.Save()
	if kept := Open(state); len(kept.known) != 1 {
		t.Errorf("kept %+v", kept.known)
	}
	if d, err := b.Digest(filepath.Join(dir, "a")); err == nil {
		t.Errorf("an absent file has the digest %v", d)
	}
}

func TestBookRefusesLinksAndBrokenBooks(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	is := write(t, filepath.Join(dir, "a"), "a")
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(state, bookFile), format+"\nab 1 2 3 4 5 half\n\n"+is.Digest.Hex()+" 1 2 3 4 5 /cut")
	b := Open(state)
	if b.Is(filepath.Join(dir, "link"), is) {
		t.Error("a link passes for a file")
	}
	if !b.Is(filepath.Join(dir, "a"), is) {
		t.Error("a broken book hides a file")
	}
	if len(b.known) > 1 {
		t.Errorf("read %+v", b.known)
	}
	var none *Book
	if !none.Is(filepath.Join(dir, "a"), is) {
		t.Error("without a book a file is not hashed")
	}
	none.Save()
}

func TestBookIsSafeForMany(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	is := write(t, filepath.Join(dir, "a"), "a")
	settle()
	b := Open(state)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if !b.Is(filepath.Join(dir, "a"), is) {
				t.Error("not what was written")
			}
			b.Save()
		})
	}
	all.Wait()
	if left, _ := filepath.Glob(filepath.Join(state, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
