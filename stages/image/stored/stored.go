// Package stored rewrites a jar so that its entries lie in it uncompressed: a
// compressor over the whole layer then sees what the jars have in common, and
// the JVM inflates nothing when it starts.
//
// What the rewritten jar says is what the original said: the same entries in
// the same order, both in the file and in its directory, with the same names
// byte by byte, contents, times, comments, attributes and extra data. So
// signatures hold, which cover manifest and contents, and multi-release jars
// are what they were. Only how the content is packed is another: methods,
// packed sizes, offsets, and no data descriptors. A jar of which this cannot
// be promised is refused with *Unfaithful.
package stored

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/fastship/fastship/internal/zipfs"
)

// Version names this rewriter: another version may give other bytes for the
// same jar, so it belongs into the key of whatever holds them.
const Version = "stored jars 1"

// Unfaithful tells why a jar has to stay as it is.
type Unfaithful struct{ Reason string }

func (e *Unfaithful) Error() string { return e.Reason }

func unfaithful(format string, args ...any) error {
	return &Unfaithful{fmt.Sprintf(format, args...)}
}

// A jar that is larger than bombSize and would grow bombFactor times is left
// alone: jars of classes grow about twofold.
const (
	bombSize   = 256 << 20
	bombFactor = 20
)

// Jar is a jar that can be rewritten. It keeps the directory in memory, and
// reads contents when they are written.
type Jar struct {
	source  io.ReaderAt
	length  int64 // bytes of the original
	entries []entry
	inFile  []int // the entries in the order of their offsets
	comment []byte
	start   int64 // of the new directory
	size    int64 // bytes of the new jar
}

// entry is one of the jar's.
type entry struct {
	local   []byte // the new local header, with name and extra data
	central []byte // the new central header, with name, extra data and comment
	data    int64  // where the content is in the original
	packed  int64  // its bytes there
	size    int64  // its bytes as they are meant
	crc     uint32
	method  uint16
}

// Read reads the directory of the jar in size bytes of source and every local
// header. Errors are *Unfaithful, or those of source. What a header says of
// its content is found out by Rewrite.
func Read(source io.ReaderAt, size int64) (*Jar, error) {
	d, err := findDirectory(source, size)
	if err != nil {
		return nil, err
	}
	j := &Jar{source: source, length: size, comment: d.comment}
	offsets := make([]int64, 0, min(d.count, uint64(len(d.records)/centralLength)))
	j.entries = make([]entry, 0, cap(offsets))
	headers := zipfs.Ahead(source)
	for rest := d.records; len(rest) > 0; {
		var record []byte
		if record, rest, err = cut(rest); err != nil {
			return nil, err
		}
		e, err := newEntry(headers, record, d.start)
		if err != nil {
			return nil, err
		}
		offsets = append(offsets, int64(le.Uint32(record[42:])))
		j.entries = append(j.entries, e)
	}
	if uint64(len(j.entries)) != d.count {
		return nil, unfaithful("its directory has %d entries and tells of %d", len(j.entries), d.count)
	}
	if err := j.arrange(offsets, d.start); err != nil {
		return nil, err
	}
	return j, j.place()
}

// cut takes the first header off a directory.
func cut(b []byte) (record, rest []byte, err error) {
	if len(b) < centralLength || le.Uint32(b) != centralSignature {
		return nil, nil, unfaithful("its directory is damaged")
	}
	n := centralLength + int(le.Uint16(b[28:])) + int(le.Uint16(b[30:])) + int(le.Uint16(b[32:]))
	if n > len(b) {
		return nil, nil, unfaithful("its directory is damaged")
	}
	return b[:n], b[n:], nil
}

// newEntry makes the new headers of one entry.
func newEntry(source io.ReaderAt, record []byte, limit int64) (entry, error) {
	flags, method := le.Uint16(record[8:]), le.Uint16(record[10:])
	name := record[centralLength:][:le.Uint16(record[28:])]
	extra := record[centralLength+len(name):][:le.Uint16(record[30:])]
	packed, size, offset := le.Uint32(record[20:]), le.Uint32(record[24:]), le.Uint32(record[42:])
	switch {
	case flags&(flagEncrypted|flagStrong|flagMasked) != 0:
		return entry{}, unfaithful("entry %q is encrypted", name)
	case method != methodStored && method != methodDeflated:
		return entry{}, unfaithful("entry %q is compressed by method %d", name, method)
	case method == methodStored && packed != size:
		return entry{}, unfaithful("entry %q is stored and has two sizes, %d and %d", name, packed, size)
	case packed == max32 || size == max32 || offset == max32 || hasZip64(extra):
		return entry{}, unfaithful("entry %q is zip64", name)
	case le.Uint16(record[34:]) != 0:
		return entry{}, unfaithful("it is one part of several")
	}
	local, data, err := readLocal(source, int64(offset), name, method)
	if err != nil {
		return entry{}, err
	}
	if data+int64(packed) > limit {
		return entry{}, unfaithful("entry %q reaches over its end", name)
	}
	e := entry{local: local, central: record, data: data, packed: int64(packed), size: int64(size), crc: le.Uint32(record[16:]), method: method}
	const clear = flagLevel | flagDescriptor
	le.PutUint16(e.local[6:], le.Uint16(e.local[6:])&^clear)
	le.PutUint16(e.local[8:], methodStored)
	le.PutUint32(e.local[14:], e.crc)
	le.PutUint32(e.local[18:], size)
	le.PutUint32(e.local[22:], size)
	le.PutUint16(e.central[8:], flags&^clear)
	le.PutUint16(e.central[10:], methodStored)
	le.PutUint32(e.central[20:], size)
	return e, nil
}

// readLocal reads a local header and returns it without what only zip64
// needs, and where the content begins.
func readLocal(source io.ReaderAt, offset int64, name []byte, method uint16) (local []byte, data int64, err error) {
	local = make([]byte, localLength+len(name))
	if err := readAt(source, local, offset); err != nil {
		return nil, 0, err
	}
	if le.Uint32(local) != localSignature || int(le.Uint16(local[26:])) != len(name) || le.Uint16(local[8:]) != method || le.Uint16(local[6:])&flagEncrypted != 0 ||
		!bytes.Equal(local[localLength:], name) {
		return nil, 0, unfaithful("entry %q has two headers that differ", name)
	}
	data = offset + int64(len(local))
	if n := le.Uint16(local[28:]); n > 0 {
		extra := make([]byte, n)
		if err := readAt(source, extra, data); err != nil {
			return nil, 0, err
		}
		data += int64(n)
		extra = withoutZip64(extra)
		le.PutUint16(local[28:], uint16(len(extra)))
		local = append(local, extra...)
	}
	return local, data, nil
}

// arrange finds the order of the entries in the file. They must fill it: the
// only bytes between two of them are a data descriptor (APPNOTE 4.3.9: 12 to
// 24 bytes), else something is there that the copy would lose.
func (j *Jar) arrange(offsets []int64, end int64) error {
	j.inFile = make([]int, len(offsets))
	for i := range j.inFile {
		j.inFile[i] = i
	}
	slices.SortStableFunc(j.inFile, func(a, b int) int { return cmp.Compare(offsets[a], offsets[b]) })
	var at, slack int64
	for _, i := range append(j.inFile, -1) {
		next := end
		if i >= 0 {
			next = offsets[i]
		}
		switch gap := next - at; {
		case gap < 0:
			return unfaithful("its entries lie over each other")
		case gap > slack:
			return unfaithful("it has bytes that are no part of the archive, in front of it or within")
		}
		if i >= 0 {
			at, slack = j.entries[i].data+j.entries[i].packed, 24
		}
	}
	return nil
}

// place gives every entry its new offset.
func (j *Jar) place() error {
	var directory int64
	for _, i := range j.inFile {
		e := &j.entries[i]
		if j.start+e.size >= max32 {
			return unfaithful("it would have more than 4 GiB")
		}
		le.PutUint32(e.central[42:], uint32(j.start))
		j.start += int64(len(e.local)) + e.size
		directory += int64(len(e.central))
	}
	if j.start > bombSize && j.start/bombFactor > j.length {
		return unfaithful("it would grow from %d to %d bytes", j.length, j.start)
	}
	if j.start+directory >= max32 {
		return unfaithful("it would have more than 4 GiB")
	}
	j.size = j.start + directory + int64(len(j.end(directory)))
	return nil
}

// end makes the records after the directory; zip64's, when there are more
// entries than the ordinary one can count.
func (j *Jar) end(directory int64) []byte {
	var b []byte
	count := uint64(len(j.entries))
	if count >= max16 {
		b = le.AppendUint32(b, end64Signature)
		b = le.AppendUint64(b, end64Length-12)
		b = le.AppendUint16(b, 45) // made by and needed: version 4.5 of the format
		b = le.AppendUint16(b, 45)
		b = le.AppendUint64(b, 0) // disks
		for _, n := range []uint64{count, count, uint64(directory), uint64(j.start)} {
			b = le.AppendUint64(b, n)
		}
		b = le.AppendUint32(b, locatorSignature)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, uint64(j.start+directory))
		b = le.AppendUint32(b, 1)
		count = max16
	}
	b = le.AppendUint32(b, endSignature)
	b = le.AppendUint32(b, 0) // disks
	b = le.AppendUint16(b, uint16(count))
	b = le.AppendUint16(b, uint16(count))
	b = le.AppendUint32(b, uint32(directory))
	b = le.AppendUint32(b, uint32(j.start))
	b = le.AppendUint16(b, uint16(len(j.comment)))
	return append(b, j.comment...)
}

// Size is the bytes that Rewrite will write.
func (j *Jar) Size() int64 { return j.size }
