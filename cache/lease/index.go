package lease

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fastship/fastship/cache"
)

// stamp is what stat tells of a file. Nothing that changes a file's bytes
// leaves it as it is: the ctime cannot be set back, and no lease links files,
// which alone would move it.
type stamp struct {
	size, mtime, ctime int64 // bytes; nanoseconds since 1970
	inode              uint64
}

// record is a file whose content is known.
type record struct {
	digest cache.Digest
	mode   fs.FileMode
	stamp  stamp
	// racy: the file is so young that a change within the same tick of the
	// file system's clock would leave its ctime. It is hashed before it is
	// trusted.
	racy bool
}

// index is what a lease is known to hold, by path with slashes.
type index struct {
	bytes int64 // of all files
	files map[string]record
}

// tick is more than any file system's clock takes between two of its steps
// (Linux: 10 ms at HZ=100).
const tick = 20 * time.Millisecond

// The index's file: this line, the number of bytes in the lease (decimal),
// the boot's name, and the sum of the rest, each on a line; then the records,
// sorted by path: length and bytes of the path, mode, size, mtime, ctime,
// inode, flags (1: racy) as varints, and 32 bytes of sha256.
const (
	indexName   = "index"
	indexFormat = "fastship-lease-1"
)

func (x *index) encode(now time.Time, boot string) []byte {
	var body []byte
	paths := make([]string, 0, len(x.files))
	for path := range x.files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		r := x.files[path]
		body = binary.AppendUvarint(body, uint64(len(path)))
		body = append(body, path...)
		body = binary.AppendUvarint(body, uint64(r.mode))
		body = binary.AppendVarint(body, r.stamp.size)
		body = binary.AppendVarint(body, r.stamp.mtime)
		body = binary.AppendVarint(body, r.stamp.ctime)
		body = binary.AppendUvarint(body, r.stamp.inode)
		var flags uint64
		if r.racy || now.UnixNano()-r.stamp.ctime < int64(tick) {
			flags = 1
		}
		body = binary.AppendUvarint(body, flags)
		sum, _ := hex.DecodeString(r.digest.Hex()) // parsed before it got here
		body = append(body, sum...)
	}
	head := fmt.Sprintf("%s\n%d\n%s\n%s\n", indexFormat, x.bytes, boot, cache.Sum(body).Hex())
	return append([]byte(head), body...)
}

var errIndex = errors.New("not a lease's index")

// decodeIndex reads an index. After another boot every record is racy.
func decodeIndex(b []byte, boot string) (*index, error) {
	var head [4]string
	for i := range head {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return nil, errIndex
		}
		head[i], b = string(line), rest
	}
	x := &index{files: map[string]record{}}
	if head[0] != indexFormat || cache.Sum(b).Hex() != head[3] {
		return nil, errIndex
	}
	for len(b) > 0 {
		path, r, rest, err := decodeRecord(b)
		if err != nil {
			return nil, err
		}
		r.racy = r.racy || head[2] != boot
		x.put(path, r)
		b = rest
	}
	return x, nil
}

func decodeRecord(b []byte) (path string, r record, rest []byte, err error) {
	unsigned := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = errIndex
			return 0
		}
		b = b[n:]
		return v
	}
	signed := func() int64 {
		v, n := binary.Varint(b)
		if n <= 0 {
			err = errIndex
			return 0
		}
		b = b[n:]
		return v
	}
	take := func(n uint64) []byte {
		if err != nil || n > uint64(len(b)) {
			err = errIndex
			return nil
		}
		taken := b[:n]
		b = b[n:]
		return taken
	}
	path = string(take(unsigned()))
	r.mode = fs.FileMode(unsigned())
	r.stamp = stamp{size: signed(), mtime: signed(), ctime: signed(), inode: unsigned()}
	r.racy = unsigned() != 0
	r.digest = cache.FromSum(take(sha256.Size))
	if err == nil && !filepath.IsLocal(filepath.FromSlash(path)) {
		err = errIndex
	}
	return path, r, b, err
}

func (x *index) put(path string, r record) {
	x.bytes += r.stamp.size - x.files[path].stamp.size
	x.files[path] = r
}

// readIndex reads a lease's index; one that is absent or damaged is empty.
func readIndex(home, boot string) *index {
	b, err := os.ReadFile(filepath.Join(home, indexName))
	if err == nil {
		if x, err := decodeIndex(b, boot); err == nil {
			return x
		}
	}
	return &index{files: map[string]record{}}
}

// readSize reads from the index's head how many bytes a lease holds.
func readSize(home string) (size int64, used time.Time, err error) {
	f, err := os.Open(filepath.Join(home, indexName))
	if err != nil {
		return 0, used, err
	}
	defer f.Close()
	var format string
	if _, err := fmt.Fscan(f, &format, &size); err != nil || format != indexFormat {
		return 0, used, errIndex
	}
	info, err := f.Stat()
	if err != nil {
		return 0, used, err
	}
	return size, info.ModTime(), nil
}
