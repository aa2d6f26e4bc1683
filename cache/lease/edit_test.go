package lease

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The ways to edit a file in place without a trace in its size or mtime.
func edits() map[string]func(path string) error {
	write := func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte("EVIL"), 0)
		return errors.Join(err, f.Close())
	}
	return map[string]func(string) error{
		"in place": write,
		"with its mtime put back": func(path string) error {
			info, err := os.Stat(path)
			return errors.Join(err, write(path), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"through a mapping": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			m, _, err := mapFile(path)
			if err != nil {
				return err
			}
			copy(m, "EVIL")
			return errors.Join(unix.Munmap(m), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
	}
}

func mapFile(path string) ([]byte, *os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, 4, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return m, f, err
}

const victim = "org/group1/a1/1.0/a1-1.0.jar"

func TestAnEditPoisonsNobody(t *testing.T) {
	for name, edit := range edits() {
		t.Run(name, func(t *testing.T) {
			p, c := pool(t, t.TempDir(), Options{}), repository(5)
			l := take(t, p, c)
			apply(t, l, c, c.fetch)
			aged()
			if err := edit(l.path(victim)); err != nil {
				t.Fatal(err)
			}
			other := take(t, p, c) // copies while the edited one is in use
			if a := apply(t, other, c, c.fetch); a.Fetched.Files != 1 || a.Copied.Files != 9 {
				t.Errorf("another lease: %+v", a)
			}
			changes, err := l.Changes(t.Context())
			if err != nil || len(changes.Edited) != 1 || changes.Edited[0].Path != victim || len(changes.Added)+len(changes.Removed) != 0 {
				t.Errorf("changes: %+v, %v", changes, err)
			}
			closeLease(t, l)
			closeLease(t, other)
			for range 2 {
				l := take(t, p, c)
				apply(t, l, c, c.fetch)
				defer closeLease(t, l)
			}
		})
		t.Run(name+", after the end of the build", func(t *testing.T) {
			p, c := pool(t, t.TempDir(), Options{}), repository(5)
			l := take(t, p, c)
			apply(t, l, c, c.fetch)
			closeLease(t, l)
			if err := edit(l.path(victim)); err != nil { // at once: racy
				t.Fatal(err)
			}
			l = take(t, p, c)
			if a := apply(t, l, c, c.fetch); a.Kept.Files != 9 {
				t.Errorf("next: %+v", a)
			}
		})
	}
}
