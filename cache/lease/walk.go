package lease

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// found is what a walk found below a repository.
type found struct {
	files map[string]present // regular files, by path with slashes
	dirs  []string           // the root not included
	other []string           // links, sockets and what else is not a file
}

// present is a file as stat tells of it.
type present struct {
	mode  fs.FileMode // permissions
	stamp stamp
}

// walk lists root and stats every file, on all processors: reading a warm
// repository is nothing but system calls.
func walk(root string) (*found, error) {
	w := &walker{root: root, found: found{files: map[string]present{}}}
	w.group.SetLimit(runtime.GOMAXPROCS(0) + 1)
	err := w.dir("")
	return &w.found, errors.Join(err, w.group.Wait())
}

type walker struct {
	root  string
	group errgroup.Group
	mu    sync.Mutex
	found found
}

// dir lists one directory and those below it, each by another goroutine where
// one is free.
func (w *walker) dir(name string) error {
	f, err := openDir(filepath.Join(w.root, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	entries, err := f.ReadDir(-1)
	if err != nil {
		_ = f.Close()
		return err
	}
	var below, other []string
	files := make(map[string]present, len(entries))
	for _, e := range entries {
		full := path.Join(name, e.Name())
		switch {
		case e.IsDir():
			below = append(below, full)
		case e.Type().IsRegular():
			p, err := statAt(f, e.Name())
			if errors.Is(err, fs.ErrNotExist) {
				continue // gone since
			}
			if err != nil {
				_ = f.Close()
				return fmt.Errorf("stat %s: %w", full, err)
			}
			files[full] = p
		default:
			other = append(other, full)
		}
	}
	if err := f.Close(); err != nil { // before going down: a deep tree holds no descriptors
		return err
	}
	w.mu.Lock()
	for p, stat := range files {
		w.found.files[p] = stat
	}
	w.found.dirs = append(w.found.dirs, below...)
	w.found.other = append(w.found.other, other...)
	w.mu.Unlock()
	for _, d := range below {
		if w.group.TryGo(func() error { return w.dir(d) }) {
			continue
		}
		if err := w.dir(d); err != nil {
			return err
		}
	}
	return nil
}

// openDir opens a directory, also one whose permissions a build took away.
func openDir(p string) (*os.File, error) {
	f, err := os.Open(p)
	if errors.Is(err, fs.ErrPermission) && os.Chmod(p, 0o755) == nil {
		f, err = os.Open(p)
	}
	return f, err
}

func statAt(dir *os.File, name string) (present, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			return presentOf(&st), nil
		}
		if !errors.Is(err, unix.EINTR) {
			return present{}, err
		}
	}
}

// statOpen stats an open file.
func statOpen(f *os.File) (present, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return present{}, fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	return presentOf(&st), nil
}

func presentOf(st *unix.Stat_t) present {
	return present{mode: fs.FileMode(st.Mode & 0o777), stamp: stampOf(st)}
}
