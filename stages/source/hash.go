package source

import (
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"github.com/fastship/fastship/cache"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// hashFiles gives every file without an id that of its bytes on disk: git's
// blob id, so that a file has the same one before and after its commit. Files
// that are gone by now, and what is neither file nor link, are left out. The
// result is sorted by path.
func hashFiles(ctx context.Context, dir string, files []file, useSHA256 bool) ([]file, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * runtime.GOMAXPROCS(0))
	buffers := sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}
	const batch = 64 // files a goroutine takes at once: small ones cost less than a hand-over
	for chunk := range slices.Chunk(files, batch) {
		if !slices.ContainsFunc(chunk, func(f file) bool { return f.id == "" }) {
			continue
		}
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			buffer := buffers.Get().(*[]byte)
			defer buffers.Put(buffer)
			h := sha1.New()
			if useSHA256 {
				h = sha256.New()
			}
			for i := range chunk {
				if chunk[i].id != "" {
					continue
				}
				if err := hashFile(dir, &chunk[i], h, *buffer); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f file) bool { return f.id == "" })
	byPath := func(a, b file) int { return cmp.Compare(a.path, b.path) }
	if !slices.IsSortedFunc(files, byPath) { // git's index is
		slices.SortFunc(files, byPath)
	}
	return slices.CompactFunc(files, func(a, b file) bool { return a.path == b.path }), nil
}

// hashFile fills in f's id, and its mode unless git has told it. It leaves the
// id empty when there is no such file. System calls are made without package
// os, which makes two more of them for each file.
func hashFile(dir string, f *file, h hash.Hash, buffer []byte) error {
	name := dir + "/" + f.path
	fd, err := retry(func() (int, error) {
		return unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EOPNOTSUPP):
		return nil // gone, or a socket
	case errors.Is(err, unix.ELOOP):
		return hashLink(name, f, h)
	case err != nil:
		return &os.PathError{Op: "read", Path: name, Err: err}
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return &os.PathError{Op: "read", Path: name, Err: err}
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	if f.mode == "" {
		f.mode = "100644"
		if stat.Mode&unix.S_IXUSR != 0 { // the bit that git looks at
			f.mode = "100755"
		}
	}
	begin(h, stat.Size)
	for left := stat.Size; left > 0; {
		n, err := retry(func() (int, error) { return unix.Read(fd, buffer[:min(left, int64(len(buffer)))]) })
		if err == nil && n == 0 {
			err = errChanged
		}
		if err != nil {
			return &os.PathError{Op: "read", Path: name, Err: err}
		}
		h.Write(buffer[:n])
		left -= int64(n)
	}
	f.id = hex.EncodeToString(h.Sum(nil))
	return nil
}

// errChanged is a file that got shorter while it was read.
var errChanged = errors.New("it changed while it was read")

func hashLink(name string, f *file, h hash.Hash) error {
	text, err := os.Readlink(name)
	if err != nil {
		return err
	}
	begin(h, int64(len(text)))
	h.Write([]byte(text))
	f.mode, f.id = "120000", hex.EncodeToString(h.Sum(nil))
	return nil
}

// begin starts the hash of a git blob of size bytes.
func begin(h hash.Hash, size int64) {
	h.Reset()
	var header [32]byte
	b := append(header[:0], "blob "...)
	b = strconv.AppendInt(b, size, 10)
	h.Write(append(b, 0))
}

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// treeDigest names sorted files by path, mode and content.
func treeDigest(files []file) string {
	h := sha256.New()
	line := []byte("fastship source 1\x00")
	for _, f := range files {
		line = append(line, f.mode...)
		line = append(line, ' ')
		line = append(line, f.id...)
		line = append(line, ' ')
		line = append(line, f.path...)
		line = append(line, 0) // no path has this byte in it
		h.Write(line)
		line = line[:0]
	}
	h.Write(line)
	return string(cache.FromSum(h.Sum(nil)))
}
