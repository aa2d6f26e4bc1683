package dir

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncFS waits until all of the file's file system is on disk: one call where
// fsync would take one for each file of a tree.
func syncFS(f *os.File) error { return unix.Syncfs(int(f.Fd())) }
