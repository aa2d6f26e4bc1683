package container

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// RemoveAll removes a directory and all below it like os.RemoveAll, also where
// directories do not let their owner in: an image's read-only ones, and the
// work directory that overlayfs leaves behind.
func RemoveAll(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // before it is read: WalkDir calls first
		}
		return nil
	})
	return os.RemoveAll(dir)
}
