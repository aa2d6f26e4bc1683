package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRootIsWrittenToItsScratchOnly(t *testing.T) {
	s, l := spec(t, "write", "/tmp/a", "/closed/file")
	other := t.TempDir()
	write(t, other, "closed/file", "higher", 0o644)
	s.Layers = append(s.Layers, other)
	run(t, s).Wait()
	if !l.has("/tmp/a <nil>") || !l.has("/closed/file <nil>") {
		t.Error(l.all)
	}
	if raw, err := os.ReadFile(Written(s.Scratch, "/tmp/a")); err != nil || string(raw) != "hi" {
		t.Errorf("%s %v", raw, err)
	}
	for dir, want := range map[string]string{s.Layers[0]: "old", s.Layers[1]: "higher"} {
		if raw, err := os.ReadFile(filepath.Join(dir, "closed/file")); err != nil || string(raw) != want {
			t.Errorf("%s %v", raw, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "tmp/a")); err == nil {
			t.Error("the layer was written to")
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), s.Scratch) {
		t.Error("the mounts are seen outside", err)
	}
}

func TestReadonlyRoot(t *testing.T) {
	s, l := spec(t, "write", "/tmp/a", "/dev/shm/b")
	s.ReadonlyRoot, s.Dir = true, "/made"
	run(t, s).Wait()
	if !l.has("/tmp/a open /tmp/a: read-only file system") || !l.has("/dev/shm/b <nil>") {
		t.Error(l.all)
	}
}

func TestCopiedRoot(t *testing.T) {
	s, l := spec(t, "write", "/tmp/a")
	// An overlay's options are one page: longer ones make it copy.
	for i := range 40 {
		layer := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
		write(t, layer, "closed/file", fmt.Sprint(i), 0o600)
		s.Layers = append(s.Layers, layer)
	}
	run(t, s).Wait()
	if !l.has("/tmp/a <nil>") {
		t.Error(l.all)
	}
	if raw, err := os.ReadFile(Written(s.Scratch, "/tmp/a")); err != nil || string(raw) != "hi" {
		t.Errorf("%s %v", raw, err)
	}
	copied := filepath.Join(s.Scratch, "root")
	if raw, err := os.ReadFile(filepath.Join(copied, "closed/file")); err != nil || string(raw) != "39" {
		t.Errorf("%s %v", raw, err)
	}
	if info, err := os.Stat(filepath.Join(copied, "tmp")); err != nil || info.Mode() != os.ModeDir|os.ModeSticky|0o777 {
		t.Error(info, err)
	}
}

// An image may hold symlinks where the container's own files go; they lead
// into the container's root and nowhere else.
func TestImageLinksDoNotLeadOutside(t *testing.T) {
	s, _ := spec(t, "exit", "0")
	outside := t.TempDir()
	trap := t.TempDir()
	for _, name := range []string{"dev", "proc", "work"} {
		if err := os.Symlink(outside, filepath.Join(trap, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, trap, "etc/none", "", 0o644)
	if err := os.Symlink(filepath.Join(outside, "hosts"), filepath.Join(trap, "etc/hosts")); err != nil {
		t.Fatal(err)
	}
	s.Layers, s.Dir = append(s.Layers, trap), "/work/dir"
	c, err := Run(t.Context(), s)
	if err == nil {
		c.Wait()
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Error(entries, err)
	}
}
