package container

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// copyTree lays the tree at from over the one at to, as a layer over those
// below it: a file replaces what is there, a directory merges with one.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		present, err := os.Lstat(target)
		if err == nil && !(present.IsDir() && info.IsDir()) {
			if err := os.RemoveAll(target); err != nil {
				return err
			}
		}
		if err := copyEntry(path, target, info); err != nil {
			return fmt.Errorf("copy %s: %w", relative, err)
		}
		return nil
	})
}

func copyEntry(from, to string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	switch info.Mode().Type() {
	case fs.ModeDir:
		if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		if err := os.Symlink(target, to); err != nil {
			return err
		}
		return lchown(to, st)
	case 0:
		if err := copyFile(from, to); err != nil {
			return err
		}
	default:
		return nil // sockets, pipes and devices: /dev is the container's own
	}
	if err := lchown(to, st); err != nil {
		return err
	}
	if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
		return err
	}
	times := []unix.Timespec{{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}, {Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, times, unix.AT_SYMLINK_NOFOLLOW)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in) // copy_file_range where the file system can
	return errors.Join(err, out.Close())
}

// lchown keeps owners where this process may; one mapped user owns all else.
func lchown(path string, st *syscall.Stat_t) error {
	err := os.Lchown(path, int(st.Uid), int(st.Gid))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
