package stored

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"

	"github.com/fastship/fastship/cache"
)

const bufferSize = 128 << 10

// Rewrite writes the new jar and returns the digest of the whole original,
// which it reads once, front to end, so that the caller can tell whether that
// is still the jar it knows. Memory is bounded, whatever the jar's size. A
// content that is not what its header says gives *Unfaithful; what was
// written until then is of no use.
func (j *Jar) Rewrite(w io.Writer) (cache.Digest, error) {
	sum := sha256.New()
	in := reader{r: bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(j.source, 0, j.length), sum), bufferSize)}
	out := bufio.NewWriterSize(w, bufferSize)
	u := newUnpacker(out)
	for _, i := range j.inFile {
		e := &j.entries[i]
		if err := in.skipTo(e.data); err != nil {
			return "", err
		}
		if _, err := out.Write(e.local); err != nil {
			return "", err
		}
		if err := u.unpack(&in, e); err != nil {
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
		n, err := out.Write(j.entries[i].central)
		if err != nil {
			return "", err
		}
		directory += int64(n)
	}
	if _, err := out.Write(j.end(directory)); err != nil {
		return "", err
	}
	return cache.FromSum(sum.Sum(nil)), out.Flush()
}

// reader knows where it is.
type reader struct {
	r  *bufio.Reader
	at int64
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.at += int64(n)
	return n, err
}

func (r *reader) skipTo(offset int64) error {
	n, err := io.CopyN(io.Discard, r, offset-r.at)
	if errors.Is(err, io.EOF) {
		return unfaithful("it is cut short by %d bytes", offset-r.at-n)
	}
	return err
}

// unpacker writes contents; it is used for one after the other.
type unpacker struct {
	out     io.Writer
	packed  *bufio.Reader // what flate reads fastest
	inflate io.ReadCloser
	buf     []byte
}

func newUnpacker(out io.Writer) *unpacker {
	packed := bufio.NewReaderSize(nil, 32<<10)
	return &unpacker{out: out, packed: packed, inflate: flate.NewReader(packed), buf: make([]byte, 32<<10)}
}

// unpack writes one entry's content: exactly its size, with its checksum.
func (u *unpacker) unpack(in io.Reader, e *entry) error {
	var content = io.LimitReader(in, e.packed)
	if e.method == methodDeflated {
		u.packed.Reset(content)
		if err := u.inflate.(flate.Resetter).Reset(u.packed, nil); err != nil {
			return err
		}
		content = u.inflate
	}
	name := e.local[localLength:][:le.Uint16(e.local[26:])]
	var sum uint32
	for left := e.size; ; {
		n, err := content.Read(u.buf)
		if left -= int64(n); left < 0 {
			return unfaithful("entry %q has more than its %d bytes", name, e.size)
		}
		sum = crc32.Update(sum, crc32.IEEETable, u.buf[:n])
		if _, err := u.out.Write(u.buf[:n]); err != nil {
			return err
		}
		if err == nil {
			continue
		}
		damaged, cut := errors.AsType[flate.CorruptInputError](err)
		switch {
		case cut:
			return unfaithful("entry %q is damaged: %v", name, damaged)
		case errors.Is(err, io.ErrUnexpectedEOF):
			return unfaithful("entry %q is damaged: its deflated bytes end early", name)
		case !errors.Is(err, io.EOF):
			return fmt.Errorf("read entry %q: %w", name, err)
		case left > 0:
			return unfaithful("entry %q has %d bytes less than it says", name, left)
		case sum != e.crc:
			return unfaithful("entry %q has not the checksum that it says", name)
		}
		return nil
	}
}
