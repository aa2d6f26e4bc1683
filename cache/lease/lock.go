package lease

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// errBusy is a lease that somebody holds.
var errBusy = errors.New("in use by another process")

// hold opens and locks a directory. flock(2) locks end with their process,
// and belong to the open file, so they hold between goroutines too. The error
// is os.ErrNotExist, wrapped, also when the path has come to name something
// else meanwhile.
func hold(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errBusy
	}
	if err == nil {
		err = same(f, path)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// same tells whether path still names the open file.
func same(f *os.File, path string) error {
	ours, err := f.Stat()
	if err != nil {
		return err
	}
	now, err := os.Lstat(path)
	if err == nil && !os.SameFile(ours, now) {
		err = os.ErrNotExist
	}
	return err
}
