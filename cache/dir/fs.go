package dir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// fileSystem is every call by which the store changes the disk. It exists so
// that a test can stop the world after each one of them.
type fileSystem interface {
	Mkdir(path string, mode fs.FileMode) error
	// Create makes a new file, to be written, and marks it as live (see
	// hold) until it is closed.
	Create(path string, mode fs.FileMode) (io.WriteCloser, error)
	Rename(from, to string) error
	Remove(path string) error
	Chtimes(path string, t time.Time) error
}

type osFS struct{}

func (osFS) Mkdir(path string, mode fs.FileMode) error { return os.Mkdir(path, mode) }
func (osFS) Rename(from, to string) error              { return os.Rename(from, to) }
func (osFS) Remove(path string) error                  { return os.Remove(path) }

// Chtimes leaves the access time alone.
func (osFS) Chtimes(path string, t time.Time) error { return os.Chtimes(path, time.Time{}, t) }

func (osFS) Create(path string, mode fs.FileMode) (io.WriteCloser, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	if err := lock(f, shared); err != nil {
		_ = f.Close()
		return nil, err
	}
	if _, err := os.Lstat(path); err != nil {
		_ = f.Close() // swept between creation and lock
		return nil, err
	}
	return f, nil
}

// mkdirAll is os.MkdirAll by single steps.
func mkdirAll(to fileSystem, path string) error {
	err := to.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
		if err := mkdirAll(to, filepath.Dir(path)); err != nil {
			return err
		}
		err = to.Mkdir(path, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// inDir runs op, which needs the directory, and makes the directory when op
// fails for the lack of it: the usual case costs no extra call, and a cache
// that somebody deletes under us comes back.
func inDir(to fileSystem, dir string, op func() error) error {
	err := op()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := mkdirAll(to, dir); err != nil {
		return err
	}
	return op()
}

// removeTree removes a file or a directory and all below it, directories
// without write permission included.
func removeTree(from fileSystem, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return ignoreAbsent(err)
	}
	if info.IsDir() {
		if info.Mode().Perm()&0o700 != 0o700 {
			_ = os.Chmod(path, 0o700) // what matters shows in the removal
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return ignoreAbsent(err)
		}
		for _, e := range entries {
			if err := removeTree(from, filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return ignoreAbsent(from.Remove(path))
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
