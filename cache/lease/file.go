package lease

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/fastship/fastship/cache"
)

// errChanged is a file that did not stay the same while it was read.
var errChanged = errors.New("changed while it was read")

// openFile opens a regular file for reading and never follows a link.
func openFile(p string) (*os.File, error) {
	return os.OpenFile(p, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// sum hashes a file so that its digest may be recorded: its pages are written
// out first (see settle), and its stat is the same before and after.
func sum(p string) (record, error) {
	f, err := openFile(p)
	if err != nil {
		return record{}, err
	}
	defer f.Close()
	if err := settle(f); err != nil {
		return record{}, fmt.Errorf("write out %s: %w", p, err)
	}
	before, err := statOpen(f)
	if err != nil {
		return record{}, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return record{}, err
	}
	after, err := statOpen(f)
	if err != nil {
		return record{}, err
	}
	if before != after {
		return record{}, fmt.Errorf("read %s: %w", p, errChanged)
	}
	return record{digest: cache.FromSum(h.Sum(nil)), mode: after.mode, stamp: after.stamp}, nil
}

// write makes a new file of what r gives, which must have the size and, when
// check is set, the digest. What fails leaves no file. A repository's files
// come right under their names: the index alone says what is trusted.
func write(p string, r io.Reader, size int64, mode fs.FileMode, d cache.Digest, check bool) (rec record, err error) {
	f, err := create(p, mode)
	if err != nil {
		return rec, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(p) // unrecorded, and so removed by the next Apply at the latest
		}
	}()
	defer f.Close()
	var sum hash.Hash
	if check {
		sum = sha256.New()
	}
	n, err := fill(f, r, size, sum)
	if err != nil {
		return rec, fmt.Errorf("write %s: %w", p, err)
	}
	if n != size || check && cache.FromSum(sum.Sum(nil)) != d {
		return rec, fmt.Errorf("write %s: %w", p, cache.ErrCorrupt)
	}
	now, err := statOpen(f)
	if err == nil && now.mode != mode.Perm() { // the umask took some away
		if err = f.Chmod(mode.Perm()); err == nil {
			now, err = statOpen(f)
		}
	}
	if err != nil {
		return rec, err
	}
	return record{digest: d, mode: now.mode, stamp: now.stamp}, f.Close()
}

// create makes a new file, in place of one that is there, and the folders that
// it lacks: each writer its own, instead of all waiting for one that makes them.
func create(p string, mode fs.FileMode) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := os.OpenFile(p, flags, mode.Perm())
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(p, flags, mode.Perm())
	}
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(p, flags, mode.Perm())
}

// pieceSize is how much is written at once. The kernel keeps a file's pages
// in larger units, and has less to do, when it is given them in one piece.
const pieceSize = 512 << 10

// fill copies r, and at most a little more than size, to f.
func fill(f *os.File, r io.Reader, size int64, sum hash.Hash) (n int64, err error) {
	if b, ok := r.(*bytes.Reader); ok && sum == nil { // verified, and in memory already
		return b.WriteTo(f)
	}
	piece := make([]byte, min(size+1, pieceSize))
	for n <= size && err == nil {
		var got int
		got, err = io.ReadFull(r, piece)
		if sum != nil {
			sum.Write(piece[:got])
		}
		if _, err := f.Write(piece[:got]); err != nil {
			return n, err
		}
		n += int64(got)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// removeTree removes all below p and p, directories without permissions too.
func removeTree(p string) error {
	err := os.RemoveAll(p)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(p, func(at string, e fs.DirEntry, err error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(at, 0o700) // what matters shows in the removal
		}
		return nil
	})
	return os.RemoveAll(p)
}
