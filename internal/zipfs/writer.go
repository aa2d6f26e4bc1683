package zipfs

import (
	"archive/zip"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf8"
)

// dosDate is the date of every entry written: 1980-02-01, the constant that
// Java's build tools use for reproducible archives, because 1980-01-01 is
// another day in some time zones (JDK-6303183).
const dosDate = 2<<5 | 1

// Writer writes an archive: sizes in the local headers, no data descriptors,
// no extra fields, no comments, one constant time.
type Writer struct {
	z *zip.Writer
}

// NewWriter starts an archive on w.
func NewWriter(w io.Writer) *Writer { return &Writer{zip.NewWriter(w)} }

// Copy writes the entry f under another name without inflating it.
func (w *Writer) Copy(f *zip.File, name string) error {
	h := header(name, f.Method, f.CRC32, f.CompressedSize64, f.UncompressedSize64)
	if f.NonUTF8 {
		h.Flags = 0 // its name's bytes stay what they are, in whatever code page
	}
	raw, err := f.OpenRaw()
	if err != nil {
		return fmt.Errorf("copy %s: %w", f.Name, err)
	}
	out, err := w.z.CreateRaw(h)
	if err != nil {
		return fmt.Errorf("copy %s: %w", f.Name, err)
	}
	n, err := io.Copy(out, raw)
	if err != nil {
		return fmt.Errorf("copy %s: %w", f.Name, err)
	}
	if uint64(n) != f.CompressedSize64 {
		return fmt.Errorf("copy %s: %w: %d bytes instead of %d", f.Name, ErrFormat, n, f.CompressedSize64)
	}
	return nil
}

// Inflate writes the entry f under another name, stored. Its checksum is
// verified.
func (w *Writer) Inflate(f *zip.File, name string) error {
	h := header(name, zip.Store, f.CRC32, f.UncompressedSize64, f.UncompressedSize64)
	if f.NonUTF8 {
		h.Flags = 0
	}
	content, err := f.Open()
	if err != nil {
		return fmt.Errorf("inflate %s: %w", f.Name, err)
	}
	defer content.Close()
	out, err := w.z.CreateRaw(h)
	if err != nil {
		return fmt.Errorf("inflate %s: %w", f.Name, err)
	}
	size := int64(f.UncompressedSize64)
	n, err := io.Copy(out, io.LimitReader(content, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("%w: other than the %d bytes that it says", ErrFormat, size)
	}
	if err != nil {
		return fmt.Errorf("inflate %s: %w", f.Name, err)
	}
	return nil
}

// Dir writes a directory's entry; name ends in a slash.
func (w *Writer) Dir(name string) error {
	if _, err := w.z.CreateRaw(header(name, zip.Store, 0, 0, 0)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Add writes content, stored: the bytes do not depend on a compressor.
func (w *Writer) Add(name string, content []byte) error {
	size := uint64(len(content))
	out, err := w.z.CreateRaw(header(name, zip.Store, crc32.ChecksumIEEE(content), size, size))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = out.Write(content)
	return err
}

// Close writes the central directory; it does not close the file below.
func (w *Writer) Close() error { return w.z.Close() }

func header(name string, method uint16, crc uint32, compressed, size uint64) *zip.FileHeader {
	h := &zip.FileHeader{
		//lint:ignore SA1019 CreateRaw writes this field and does not look at Modified.
		Name: name, Method: method, CRC32: crc, ModifiedDate: dosDate,
		CompressedSize64: compressed, UncompressedSize64: size,
	}
	if utf8.ValidString(name) && utf8.RuneCountInString(name) < len(name) {
		h.Flags = 0x800 // APPNOTE 4.4.4, bit 11: the name is UTF-8
	}
	return h
}
