// Package scratch makes temporary folders that do not outlive their process
// for long: one that a killed process left is removed by the next that makes
// its like.
package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Dir makes a folder of mode 0700 below parent, whose name begins with
// prefix, and first removes those of this user that nobody holds any more.
// remove removes it; a process that dies without it gives the folder up, as
// its flock(2) lock ends.
func Dir(parent, prefix string) (dir string, remove func(), err error) {
	Sweep(parent, prefix)
	for {
		dir, err = os.MkdirTemp(parent, prefix)
		if err != nil {
			return "", nil, err
		}
		lock, err := hold(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EWOULDBLOCK) {
			continue // a sweep came between the two, and removes it
		}
		if err != nil {
			_ = os.RemoveAll(dir)
			return "", nil, err
		}
		return dir, func() {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}, nil
	}
}

// Sweep removes the folders with this prefix that a killed process of this
// user left below parent.
func Sweep(parent, prefix string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return // nothing to be swept; making one will say more
	}
	for _, e := range entries {
		if e.IsDir() && len(e.Name()) > len(prefix) && e.Name()[:len(prefix)] == prefix {
			sweep(filepath.Join(parent, e.Name()))
		}
	}
}

func sweep(dir string) {
	lock, err := hold(dir)
	if err != nil {
		return // in use, another user's, or gone
	}
	defer lock.Close()
	if info, err := lock.Stat(); err == nil && ours(info) {
		_ = os.RemoveAll(dir)
	}
}

func ours(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// hold opens and locks a folder. The error is fs.ErrNotExist, wrapped, also
// when the path has come to name something else meanwhile.
func hold(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	var held, now os.FileInfo
	if err == nil {
		held, err = f.Stat()
	}
	if err == nil {
		now, err = os.Lstat(dir)
	}
	if err == nil && !os.SameFile(held, now) {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}
