package stored

import (
	"encoding/binary"
	"errors"
	"io"
)

// Signatures, lengths and flags of PKWARE's APPNOTE.TXT 6.3.10, 4.3 and 4.4.
const (
	localSignature   = 0x04034b50
	centralSignature = 0x02014b50
	endSignature     = 0x06054b50
	end64Signature   = 0x06064b50
	locatorSignature = 0x07064b50

	localLength   = 30
	centralLength = 46
	endLength     = 22
	end64Length   = 56
	locatorLength = 20

	flagEncrypted  = 1 << 0
	flagLevel      = 3 << 1 // how hard deflate tried
	flagDescriptor = 1 << 3
	flagStrong     = 1 << 6
	flagMasked     = 1 << 13

	methodStored   = 0
	methodDeflated = 8

	extraZip64 = 0x0001
)

const (
	maxDirectory = 64 << 20 // bytes: 600,000 entries
	max32        = 1<<32 - 1
	max16        = 1<<16 - 1
)

var le = binary.LittleEndian

// directory is the central directory and what is said about it.
type directory struct {
	records []byte // the headers, one after the other
	start   int64  // where they begin
	count   uint64
	comment []byte // the archive's
}

// findDirectory reads the records at the end of the archive. Everything has
// to touch: bytes before the directory's end record that nothing names, or
// after it, belong to something else (a launch script, a signing block).
func findDirectory(r io.ReaderAt, size int64) (directory, error) {
	tail := make([]byte, min(size, endLength+max16))
	if err := readAt(r, tail, size-int64(len(tail))); err != nil {
		return directory{}, err
	}
	i := len(tail) - endLength
	for ; i >= 0; i-- {
		if le.Uint32(tail[i:]) == endSignature && int(le.Uint16(tail[i+20:])) == len(tail)-i-endLength {
			break
		}
	}
	if i < 0 {
		return directory{}, unfaithful("it has no central directory at its end")
	}
	end := tail[i:]
	at := size - int64(len(tail)) + int64(i)
	d := directory{count: uint64(le.Uint16(end[10:])), comment: end[endLength:]}
	length, start := uint64(le.Uint32(end[12:])), uint64(le.Uint32(end[16:]))
	disks := uint64(le.Uint16(end[4:])) | uint64(le.Uint16(end[6:]))
	here := uint64(le.Uint16(end[8:]))
	if big, err := find64(r, at); err != nil {
		return directory{}, err
	} else if big != nil {
		disks = uint64(le.Uint32(big[16:]) | le.Uint32(big[20:]))
		here, d.count = le.Uint64(big[24:]), le.Uint64(big[32:])
		length, start = le.Uint64(big[40:]), le.Uint64(big[48:])
		at -= locatorLength + end64Length
	}
	switch {
	case disks != 0 || here != d.count:
		return directory{}, unfaithful("it is one part of several")
	case length > maxDirectory:
		return directory{}, unfaithful("its directory has %d bytes", length)
	case start > uint64(at) || start+length != uint64(at):
		return directory{}, unfaithful("it has bytes that are no part of the archive, in front of it or within")
	}
	d.start = int64(start)
	d.records = make([]byte, length)
	return d, readAt(r, d.records, d.start)
}

// find64 returns the zip64 end record that stands right before the locator
// before at, nil without one.
func find64(r io.ReaderAt, at int64) ([]byte, error) {
	if at < locatorLength+end64Length {
		return nil, nil
	}
	b := make([]byte, end64Length+locatorLength)
	if err := readAt(r, b, at-int64(len(b))); err != nil {
		return nil, err
	}
	locator := b[end64Length:]
	if le.Uint32(locator) != locatorSignature {
		return nil, nil
	}
	if le.Uint32(b) != end64Signature || le.Uint64(locator[8:]) != uint64(at)-uint64(len(b)) || le.Uint64(b[4:]) != end64Length-12 {
		return nil, unfaithful("its zip64 records are not where they say")
	}
	return b[:end64Length], nil
}

// readAt fills p; a file that is shorter than it was is not faithful.
func readAt(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return unfaithful("it is cut short")
	}
	return err
}

// withoutZip64 takes the zip64 field off a local header's extra data: its
// sizes fit without it once they are known. The central header decides, and
// one that needs the field is refused.
func withoutZip64(extra []byte) []byte {
	out := make([]byte, 0, len(extra))
	for len(extra) >= 4 {
		n := 4 + int(le.Uint16(extra[2:]))
		if n > len(extra) {
			break // padding of tools that align: kept as it is
		}
		if le.Uint16(extra) != extraZip64 {
			out = append(out, extra[:n]...)
		}
		extra = extra[n:]
	}
	return append(out, extra...)
}

func hasZip64(extra []byte) bool { return len(withoutZip64(extra)) != len(extra) }
