package dir

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A lock says that a live process works on a file or directory: shared by
// those who write or read it, exclusive for the one that removes it. flock(2)
// locks end with their process, belong to the open file and so hold between
// goroutines too, and work on directories and read-only file systems.
type lockKind int

const (
	shared    lockKind = syscall.LOCK_SH | syscall.LOCK_NB
	exclusive lockKind = syscall.LOCK_EX | syscall.LOCK_NB
)

// errBusy is a lock that somebody else has.
var errBusy = errors.New("in use by another process")

func lock(f *os.File, kind lockKind) error {
	for {
		err := syscall.Flock(int(f.Fd()), int(kind))
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", f.Name(), errBusy)
		case err != nil:
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		return nil
	}
}

// hold opens and locks what path names. Closing the file ends the lock. The
// error is fs.ErrNotExist, wrapped, also when the path has come to name
// something else meanwhile.
func hold(path string, kind lockKind) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := lock(f, kind); err != nil {
		_ = f.Close()
		return nil, err
	}
	ours, err := f.Stat()
	if err == nil {
		var now os.FileInfo
		if now, err = os.Lstat(path); err == nil && !os.SameFile(ours, now) {
			err = &os.PathError{Op: "lock", Path: path, Err: os.ErrNotExist}
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
