package maven

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

// A stamp saves the hashing, and is worth nothing once the file was written,
// also when size and modification time are put back.
func TestStampSeesAForgedTime(t *testing.T) {
	s := New(Config{}, Deps{State: t.TempDir()})
	file := filepath.Join(t.TempDir(), "app.jar")
	if err := os.WriteFile(file, []byte("good"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	blob := cache.Descriptor{Digest: cache.Sum([]byte("good")), Size: 4}
	time.Sleep(50 * time.Millisecond)
	all := s.stamps()
	if !all.is(file, blob) || len(all.known) != 1 {
		t.Fatalf("stamps %+v", all.known)
	}
	all.save()
	if kept := s.stamps(); len(kept.known) != 1 || !kept.is(file, blob) || kept.changed {
		t.Errorf("kept %+v", kept)
	}
	if err := os.WriteFile(file, []byte("evil"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if s.stamps().is(file, blob) {
		t.Error("a forged file passes for the kept one")
	}
}
