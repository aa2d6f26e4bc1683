// Package zipfs reads zip archives that others made, by their central
// directory and with suspicion, and writes archives whose bytes depend on
// their content alone. Bytes in front of the archive (a launch script) are
// tolerated.
package zipfs

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrFormat is returned, wrapped, for a file that is no zip archive or a
// broken one.
var ErrFormat = errors.New("not a valid zip archive")

// Kinds of ErrFormat: what the remedy depends on.
var (
	ErrName  = errors.New("its name is not a clean path inside the archive")
	ErrCode  = errors.New("its name is not in UTF-8, and Java opens no archive with such a name")
	ErrTwice = errors.New("is there twice")
	ErrBomb  = errors.New("lie over those of other entries")
	ErrPack  = errors.New("entries that Java reads are stored or deflated, and not encrypted")
)

// Archive is an open zip file. Its methods may be called from several
// goroutines at once.
type Archive struct {
	file   *os.File
	zip    *zip.Reader
	raw    io.ReaderAt
	info   fs.FileInfo
	files  []*zip.File
	byName map[string]*zip.File
}

// Open reads the central directory of the archive at path and refuses, with
// the entry's name, what no honest tool writes: names that leave the archive,
// a file that is there twice, encryption, unknown methods, and more compressed
// bytes than the archive has (overlapping entries, the zip bombs of
// bamsoftware.com/hacks/zipbomb).
func Open(path string) (*Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	a, err := New(f, info.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	a.file, a.info = f, info
	return a, nil
}

// New is Open for an archive that is at hand already: size bytes of r.
func New(r io.ReaderAt, size int64) (*Archive, error) {
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are judged below
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	a := &Archive{zip: z, raw: r, files: make([]*zip.File, 0, len(z.File)), byName: make(map[string]*zip.File, len(z.File))}
	left := uint64(size)
	for _, f := range z.File {
		if err := check(f); err != nil {
			return nil, fmt.Errorf("%w: entry %q: %w", ErrFormat, f.Name, err)
		}
		if f.CompressedSize64 > left {
			return nil, fmt.Errorf("%w: entry %q: its %d bytes %w", ErrFormat, f.Name, f.CompressedSize64, ErrBomb)
		}
		left -= f.CompressedSize64
		if a.byName[f.Name] != nil {
			if IsDir(f) {
				continue // some tools list a directory once per source folder
			}
			return nil, fmt.Errorf("%w: entry %q %w", ErrFormat, f.Name, ErrTwice)
		}
		a.byName[f.Name] = f
		a.files = append(a.files, f)
	}
	return a, nil
}

func check(f *zip.File) error {
	name := strings.TrimSuffix(f.Name, "/")
	switch {
	case !utf8.ValidString(name):
		return ErrCode
	case !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\x00\n\r"):
		return ErrName
	case f.Flags&1 != 0:
		return fmt.Errorf("encrypted; %w", ErrPack)
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return fmt.Errorf("packed by method %d; %w", f.Method, ErrPack)
	case f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64:
		return fmt.Errorf("stored with two sizes, %d and %d", f.CompressedSize64, f.UncompressedSize64)
	case f.CompressedSize64 >= math.MaxUint32 || f.UncompressedSize64 >= math.MaxUint32:
		return errors.New("larger than 4 GiB")
	}
	return nil
}

// IsDir tells a directory's entry.
func IsDir(f *zip.File) bool { return strings.HasSuffix(f.Name, "/") }

// Close closes the file of an archive that Open opened.
func (a *Archive) Close() error {
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}

// Modified is when the file was written; the zero time when there is none.
func (a *Archive) Modified() time.Time {
	if a.info == nil {
		return time.Time{}
	}
	return a.info.ModTime()
}

// Files lists the entries in the order of the central directory.
func (a *Archive) Files() []*zip.File { return a.files }

// Reader is the archive as the standard library sees it.
func (a *Archive) Reader() *zip.Reader { return a.zip }

// Nested opens an archive that is an entry of this one: where it lies when it
// is stored, else inflated into memory, at most limit bytes of it.
func (a *Archive) Nested(f *zip.File, limit int64) (*zip.Reader, error) {
	r, err := a.Content(f, limit)
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(Ahead(r), int64(f.UncompressedSize64))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Name, err)
	}
	return z, nil
}

// Content gives an entry's content to read anywhere in: where it lies when it
// is stored, without a look at its checksum; else inflated into memory, at
// most limit bytes of it.
func (a *Archive) Content(f *zip.File, limit int64) (io.ReaderAt, error) {
	if f.Method != zip.Store {
		b, err := Read(f, limit)
		return bytes.NewReader(b), err
	}
	offset, err := f.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Name, err)
	}
	return io.NewSectionReader(a.raw, offset, int64(f.UncompressedSize64)), nil
}

// Lookup returns an entry by its whole name, or nil.
func (a *Archive) Lookup(name string) *zip.File { return a.byName[name] }

// Read returns the content of a small entry: more than limit bytes are an
// error. The checksum is verified.
func Read(f *zip.File, limit int64) ([]byte, error) {
	if f.UncompressedSize64 > uint64(limit) {
		return nil, fmt.Errorf("read %s: %d bytes where at most %d make sense", f.Name, f.UncompressedSize64, limit)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name, err)
	}
	return b, nil
}
