package stored

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/inflate"
)

// maxWhole is the largest entry, in bytes packed or not, that is unpacked in
// one piece: far above classes, and bounds the memory. Larger ones stream.
const maxWhole = 2 << 20

// Look is shown the entries of a jar on their way, in the order of the file:
// its name and its content, which is valid until Look returns; nil for one of
// more than 2 MiB. What it saw counts only if Rewrite ends without an error.
type Look func(name string, content []byte)

// Rewrite writes the new jar and returns the digest of the whole original,
// which it reads once, front to end, so that the caller can tell whether that
// is still the jar it knows. Memory is bounded, whatever the jar's size. A
// content that is not what its header says gives *Unfaithful; what was
// written until then is of no use. look may be nil.
func (j *Jar) Rewrite(w io.Writer, look Look) (cache.Digest, error) {
	in := newReader(j.source, j.length)
	out := writer{w: w}
	u := unpacker{in: in, out: &out, decoder: inflate.NewDecoder(), look: look}
	for _, i := range j.inFile {
		e := &j.entries[i]
		if err := in.skipTo(e.data); err != nil {
			return "", err
		}
		if err := out.write(e.local); err != nil {
			return "", err
		}
		if err := u.unpack(e); err != nil {
			return "", err
		}
		if err := in.skipTo(e.data + e.packed); err != nil { // deflate may end before its bytes do
			return "", err
		}
	}
	if err := in.skipTo(j.length); err != nil {
		return "", err
	}
	var directory int64
	for i := range j.entries {
		central := j.entries[i].central
		if err := out.write(central); err != nil {
			return "", err
		}
		directory += int64(len(central))
	}
	if err := out.write(j.end(directory)); err != nil {
		return "", err
	}
	return cache.FromSum(in.sum.Sum(nil)), out.flush()
}

// unpacker writes contents; it is used for one after the other.
type unpacker struct {
	in      *reader
	out     *writer
	decoder *inflate.Decoder
	stream  io.ReadCloser // of the entries that are too large for decoder, nil before the first
	look    Look          // may be nil
}

// unpack writes one entry's content: exactly its size, with its checksum.
func (u *unpacker) unpack(e *entry) error {
	if max(e.packed, e.size) <= maxWhole {
		return u.whole(e)
	}
	if u.look != nil {
		u.look(string(e.name()), nil)
	}
	packed := io.LimitReader(u.in, e.packed)
	if e.method == methodStored {
		return u.copy(packed, e)
	}
	if u.stream == nil {
		u.stream = flate.NewReader(packed)
	} else if err := u.stream.(flate.Resetter).Reset(packed, nil); err != nil {
		return err
	}
	return u.copy(u.stream, e)
}

// whole unpacks an entry to where it is written from.
func (u *unpacker) whole(e *entry) error {
	packed, err := u.in.next(int(e.packed))
	if err != nil {
		return e.judge(0, 0, err)
	}
	content, err := u.out.room(int(e.size))
	if err != nil {
		return err
	}
	var n int
	if e.method == methodStored {
		n = copy(content, packed)
	} else {
		n, err = u.decoder.Decode(content, packed)
	}
	u.out.filled(n)
	if err := e.judge(e.size-int64(n), crc32.ChecksumIEEE(content[:n]), err); err != nil {
		return err
	}
	if u.look != nil {
		u.look(string(e.name()), content)
	}
	return nil
}

// copy writes what a reader gives of an entry.
func (u *unpacker) copy(content io.Reader, e *entry) error {
	var sum uint32
	for left := e.size; ; {
		// A byte more than there should be, so that it is seen.
		buf, err := u.out.room(int(min(left+1, writeSize)))
		if err != nil {
			return err
		}
		n, err := content.Read(buf)
		if left -= int64(n); left < 0 {
			return e.judge(0, 0, inflate.ErrLarger)
		}
		u.out.filled(n)
		sum = crc32.Update(sum, crc32.IEEETable, buf[:n])
		if errors.Is(err, io.EOF) {
			return e.judge(left, sum, nil)
		}
		if err != nil {
			return e.judge(0, 0, err)
		}
	}
}

// judge tells what is wrong with an entry whose content ended with err, left
// bytes too early and with that checksum; nil if nothing is.
func (e *entry) judge(left int64, sum uint32, err error) error {
	name := e.name()
	_, cut := errors.AsType[*Unfaithful](err)
	_, damaged := errors.AsType[inflate.Damaged](err)
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	switch {
	case cut:
		return err
	case errors.Is(err, inflate.ErrLarger):
		return unfaithful("entry %q has more than its %d bytes", name, e.size)
	case damaged || corrupt:
		return unfaithful("entry %q is damaged: %v", name, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return unfaithful("entry %q is damaged: its deflated bytes end early", name)
	case err != nil:
		return fmt.Errorf("read entry %q: %w", name, err)
	case left > 0:
		return unfaithful("entry %q has %d bytes less than it says", name, left)
	case sum != e.crc:
		return unfaithful("entry %q has not the checksum that it says", name)
	}
	return nil
}

func (e *entry) name() []byte { return e.local[localLength:][:le.Uint16(e.local[26:])] }
