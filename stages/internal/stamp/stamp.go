// Package stamp knows files' digests again without reading the files: by what
// the kernel says of them.
package stamp

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/atomicfile"
	"golang.org/x/sys/unix"
)

// bookFile is the book's name in a project's state folder: after a line with
// the format's name one line a file, with sha256, size, mtime, ctime, inode,
// device and path. A book is read at every run, and JSON would take ten times
// as long.
const (
	bookFile = "stamps"
	format   = "fastship-stamps-1"
)

// stamp is what the kernel says of a file whose digest is known. No program
// can set ctime, so equal stamps mean equal bytes.
type stamp struct {
	digest             cache.Digest
	size, mtime, ctime int64 // bytes; nanoseconds
	inode, device      uint64
}

// Book holds digests by absolute path, from one run to the next. It may be
// used from several goroutines. A nil Book hashes every file.
type Book struct {
	file string // empty keeps none

	mu      sync.Mutex
	known   map[string]stamp
	changed bool
}

// Open reads the book of a project's state folder. It writes nothing; an
// absent or broken book is an empty one. An empty folder keeps no book.
func Open(state string) *Book {
	b := &Book{known: map[string]stamp{}}
	if state == "" {
		return b
	}
	b.file = filepath.Join(state, bookFile)
	text, err := os.ReadFile(b.file)
	if err != nil {
		return b
	}
	head, lines, _ := strings.Cut(string(text), "\n")
	if head != format {
		return b
	}
	for line := range strings.Lines(lines) {
		if path, s, ok := parse(line); ok {
			b.known[path] = s
		}
	}
	return b
}

// parse reads a whole line of the book.
func parse(line string) (path string, s stamp, ok bool) {
	line, whole := strings.CutSuffix(line, "\n")
	fields := strings.SplitN(line, " ", 7)
	if !whole || len(fields) != 7 {
		return "", s, false
	}
	digest, err := cache.ParseDigest("sha256:" + fields[0])
	for i, to := range []*int64{&s.size, &s.mtime, &s.ctime} {
		var e error
		*to, e = strconv.ParseInt(fields[1+i], 10, 64)
		err = errors.Join(err, e)
	}
	for i, to := range []*uint64{&s.inode, &s.device} {
		var e error
		*to, e = strconv.ParseUint(fields[4+i], 10, 64)
		err = errors.Join(err, e)
	}
	s.digest = digest
	return fields[6], s, err == nil
}

// Digest is a file's size and sha256, without Name and MediaType. The file is
// read only when its stamp is not known.
func (b *Book) Digest(path string) (cache.Descriptor, error) {
	now, found := look(path)
	if found && b != nil {
		b.mu.Lock()
		known := b.known[path]
		b.mu.Unlock()
		if now.digest = known.digest; known == now {
			return cache.Descriptor{Digest: now.digest, Size: now.size}, nil
		}
	}
	started := time.Now()
	d, err := hash(path)
	if err != nil || !found || b == nil {
		return d, err
	}
	after, _ := look(path)
	now.digest, after.digest = d.Digest, d.Digest
	if after == now && now.settled(started) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.known[path], b.changed = now, true
	}
	return d, nil
}

// Is tells whether a file holds these bytes. A link is not a file.
func (b *Book) Is(path string, want cache.Descriptor) bool {
	now, found := look(path)
	if !found || now.size != want.Size {
		return false
	}
	d, err := b.Digest(path)
	return err == nil && d.Digest == want.Digest && d.Size == want.Size
}

// Save keeps the book, without the files that are gone or were written since;
// without a book, files are hashed again.
func (b *Book) Save() {
	if b == nil || b.file == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.changed {
		return
	}
	for path, s := range Open(filepath.Dir(b.file)).known { // another stage may have kept its own meanwhile
		if _, ours := b.known[path]; !ours {
			b.known[path] = s
		}
	}
	text := []byte(format + "\n")
	for path, s := range b.known {
		now, _ := look(path)
		if now.digest = s.digest; now != s {
			delete(b.known, path)
		} else if !strings.Contains(path, "\n") {
			text = fmt.Appendf(text, "%s %d %d %d %d %d %s\n", s.digest.Hex(), s.size, s.mtime, s.ctime, s.inode, s.device, path)
		}
	}
	b.changed = atomicfile.Write(b.file, text, 0o600) != nil
}

// settled tells whether a write after the given moment would show in ctime:
// the kernel's clock ticks every few milliseconds, and some file systems keep
// whole seconds, or two.
func (s stamp) settled(at time.Time) bool {
	tick := 20 * time.Millisecond
	if s.ctime%int64(time.Second) == 0 {
		tick = 2 * time.Second
	}
	return s.ctime < at.Add(-tick).UnixNano()
}

func look(path string) (stamp, bool) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return stamp{}, false
	}
	return stamp{size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(), inode: st.Ino, device: uint64(st.Dev)}, true
}

func hash(path string) (cache.Descriptor, error) {
	f, err := os.Open(path)
	if err != nil {
		return cache.Descriptor{}, fmt.Errorf("hash a file: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	buffer := 256 << 10
	if info, err := f.Stat(); err == nil {
		buffer = int(max(512, min(int64(buffer), info.Size()+1))) // most files are small
	}
	size, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, buffer))
	if err != nil {
		return cache.Descriptor{}, fmt.Errorf("hash %s: %w", path, err)
	}
	return cache.Descriptor{Digest: cache.FromSum(h.Sum(nil)), Size: size}, nil
}
