// Package unpack lays layers of images into a tree of files, as container
// engines do.
package unpack

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Whiteouts are files in a layer that stand for what it takes away from those
// below it (OCI image specification, layer.md).
const (
	whiteoutPrefix = ".wh."
	opaqueWhiteout = ".wh..wh..opq"
)

// ErrWhiteout says that a layer takes something away and cannot be a tree of
// its own.
var ErrWhiteout = errors.New("the layer has whiteouts")

// Unpacker lays the entries of one layer into a tree. Nothing it does leaves
// root, whatever the names and links in the layer or in the tree say.
type Unpacker struct {
	root   *os.Root
	owners bool                // keep owners: for root only
	onto   bool                // the tree has the layers below it, which whiteouts act on
	seen   map[string]struct{} // paths of this layer with their parents, only with onto
	room   int64               // bytes that files may still take
}

// TaskStorage is what a task has for its image on Fargate, in bytes, unless it
// asks for more (ephemeralStorage). It also bounds what a small, hostile
// archive may grow to.
const TaskStorage = 20 << 30

// New makes the unpacker of one layer. Onto says that root has the layers
// below it; without, a layer that takes files away is refused by ErrWhiteout.
// Root's own processes keep owners, others cannot.
func New(root *os.Root, onto bool) *Unpacker {
	return &Unpacker{root: root, owners: os.Geteuid() == 0, onto: onto, seen: map[string]struct{}{}, room: TaskStorage}
}

// Decompress reads a layer's blob by what its first bytes are: media types
// are known to lie. close frees the decompressor.
func Decompress(r io.Reader) (plain io.Reader, close func(), err error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	magic, _ := buffered.Peek(4) // too short: an empty or broken tar, which says so
	switch {
	case strings.HasPrefix(string(magic), "\x1f\x8b"):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { z.Close() }, nil
	case string(magic) == "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return buffered, func() {}, nil
}

// Unpack reads a tar to its end.
func (u *Unpacker) Unpack(r io.Reader) error {
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := u.entry(header, archive); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

func (u *Unpacker) entry(h *tar.Header, content io.Reader) error {
	name := path.Clean("/" + h.Name)[1:]
	if name == "" {
		if h.Typeflag == tar.TypeDir {
			return u.root.Chmod(".", u.mode(h)) // the root's own entry
		}
		return errors.New("an entry other than a directory for the root")
	}
	parent, err := u.parent(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	if strings.HasPrefix(base, whiteoutPrefix) {
		if !u.onto {
			return ErrWhiteout
		}
		return u.whiteout(parent, base)
	}
	name = path.Join(parent, base)
	for p := name; u.onto && p != "."; p = path.Dir(p) {
		u.seen[p] = struct{}{}
	}
	if err := u.clear(name, h.Typeflag == tar.TypeDir); err != nil {
		return err
	}
	return u.create(name, h, content)
}

// clear takes away what an entry replaces; a directory merges with one.
func (u *Unpacker) clear(name string, dir bool) error {
	info, err := u.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && dir && info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	return u.root.RemoveAll(name)
}

func (u *Unpacker) create(name string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		if err := u.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case tar.TypeReg:
		if u.room -= h.Size; u.room < 0 {
			return errors.New("the image is larger than the 20 GiB that a task has")
		}
		if err := u.file(name, content); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if err := u.root.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return u.own(name, h)
	case tar.TypeLink:
		target := path.Clean("/" + h.Linkname)[1:]
		parent, err := u.parent(path.Dir(target))
		if err != nil {
			return err
		}
		return u.root.Link(path.Join(parent, path.Base(target)), name)
	default:
		return nil // devices and pipes: /dev is the container's own
	}
	if err := u.own(name, h); err != nil {
		return err
	}
	if err := u.root.Chmod(name, u.mode(h)); err != nil { // after the owner, which clears setuid
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return nil
	}
	return u.root.Chtimes(name, h.ModTime, h.ModTime) // class data archives look at jars' times
}

func (u *Unpacker) file(name string, content io.Reader) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

func (u *Unpacker) own(name string, h *tar.Header) error {
	if !u.owners {
		return nil
	}
	return u.root.Lchown(name, h.Uid, h.Gid)
}

// mode is the entry's; without owners everything belongs to one user, who must
// be able to clear it away again.
func (u *Unpacker) mode(h *tar.Header) fs.FileMode {
	mode := h.FileInfo().Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	if !u.owners {
		mode |= 0o400
		if h.Typeflag == tar.TypeDir {
			mode |= 0o700
		}
	}
	return mode
}

func (u *Unpacker) whiteout(parent, base string) error {
	if base != opaqueWhiteout {
		return u.root.RemoveAll(path.Join(parent, strings.TrimPrefix(base, whiteoutPrefix)))
	}
	dir, err := u.root.Open(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return err
	}
	for _, n := range names {
		if err := u.hide(path.Join(parent, n)); err != nil {
			return err
		}
	}
	return nil
}

// hide takes away what lower layers have at name, and keeps what this layer
// put there before its whiteout came.
func (u *Unpacker) hide(name string) error {
	if _, ours := u.seen[name]; !ours {
		return u.root.RemoveAll(name)
	}
	info, err := u.root.Lstat(name)
	if err != nil || !info.IsDir() {
		return err
	}
	return u.whiteout(name, opaqueWhiteout)
}

// maxLinks is the kernel's own bound on symlinks in one path.
const maxLinks = 40

// parent returns where a directory of the layer really is in the tree: its
// symlinks are followed as in a chroot, missing directories are made.
func (u *Unpacker) parent(dir string) (string, error) {
	if dir == "." {
		return ".", nil
	}
	resolved := "."
	left := strings.Split(dir, "/")
	for links := 0; len(left) > 0; {
		part := left[0]
		left = left[1:]
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			resolved = path.Dir(resolved) // "." stays "."
			continue
		}
		next := path.Join(resolved, part)
		info, err := u.root.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := u.root.Mkdir(next, 0o755); err != nil {
				return "", err
			}
			if err := u.root.Chmod(next, 0o755); err != nil { // whatever the umask
				return "", err
			}
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return "", fmt.Errorf("too many symlinks in %s", dir)
			}
			target, err := u.root.Readlink(next)
			if err != nil {
				return "", err
			}
			if path.IsAbs(target) {
				resolved = "."
			}
			left = append(strings.Split(target, "/"), left...)
			continue
		case !info.IsDir():
			return "", fmt.Errorf("%s is not a directory", next)
		}
		resolved = next
	}
	return resolved, nil
}
