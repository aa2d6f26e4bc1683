package lease

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A mapping that was written before the file's content is recorded writes
// again afterwards: without settle, the page would not fault.
func TestAMappingThatOutlivesTheBuild(t *testing.T) {
	root := t.TempDir()
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err == nil && st.Type == unix.TMPFS_MAGIC {
		t.Skip("tmpfs does not move the ctime on writes through a mapping")
	}
	p, c := pool(t, root, Options{}), repository(5)
	l := take(t, p, content{})
	for name, b := range c {
		if err := errors.Join(os.MkdirAll(filepath.Dir(l.path(name)), 0o755), os.WriteFile(l.path(name), []byte(b), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	m, _, err := mapFile(l.path(victim))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(m) }()
	copy(m, c[victim][:4]) // the page is dirty and writable now
	aged()
	closeLease(t, l, sortedKeys(c)...)
	copy(m, "EVIL")
	l = take(t, p, c)
	if a := apply(t, l, c, c.fetch); a.Kept.Files != 9 || a.Fetched.Files != 1 {
		t.Errorf("%+v", a)
	}
}

func TestAFullDisk(t *testing.T) {
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("mount a small file system: %v", err)
	}
	defer func() { _ = unix.Unmount(small, unix.MNT_DETACH) }()
	c := content{}
	for _, name := range []string{"a", "b", "c", "d"} {
		c["org/"+name+".jar"] = strings.Repeat(name, 100_000)
	}
	p := pool(t, small, Options{})
	l := take(t, p, c)
	if _, err := l.apply(t.Context(), c.entries(), c.fetch); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("apply: %v, want a full disk", err)
	}
	half := content{"org/a.jar": c["org/a.jar"]}
	apply(t, l, half, half.fetch) // what fits
	if err := l.Discard(); err != nil {
		t.Fatal(err)
	}
	wantHomes(t, p)
}
