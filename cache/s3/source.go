package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/fastship/fastship/cache"
	"golang.org/x/sync/semaphore"
)

// maxBuffered bounds the bytes that all uploads of a store hold in memory. A
// source that can be read twice, such as bytes.Reader, needs none.
const maxBuffered = 32 << 20

// source gives a blob's bytes piece by piece, each to be read again when an
// attempt to send it fails.
type source struct {
	digest cache.Digest
	r      io.Reader
	again  io.ReaderAt // the same bytes; nil where there is no reading twice
	size   int64       // of again
	off    int64       // of the next piece
	buffer []byte
}

// newSource prepares to read pieces of up to n bytes, and waits for memory where
// they are to be held. The caller calls release.
func newSource(ctx context.Context, memory *semaphore.Weighted, d cache.Digest, r io.Reader, n int64) (s *source, release func(), err error) {
	s = &source{digest: d, r: &untilDone{ctx, r}}
	if twice, ok := r.(interface {
		io.ReaderAt
		io.Seeker
		Size() int64
	}); ok {
		if s.off, err = twice.Seek(0, io.SeekCurrent); err == nil {
			s.again, s.size = twice, twice.Size()
			return s, func() {}, nil
		}
	}
	held := min(n, maxBuffered)
	if err := memory.Acquire(ctx, held); err != nil {
		return nil, nil, err
	}
	s.buffer = make([]byte, n)
	return s, func() { memory.Release(held) }, nil
}

// next reads n bytes into the sums and returns them. Without sums, bytes that
// can be read twice are not read now.
func (s *source) next(n int64, sums io.Writer) (io.ReadSeeker, error) {
	if s.again == nil {
		b := s.buffer[:n]
		if _, err := io.ReadFull(s.r, b); err != nil {
			return nil, short(s.digest, err)
		}
		if sums == nil {
			return bytes.NewReader(b), nil
		}
		_, err := sums.Write(b)
		return bytes.NewReader(b), err
	}
	piece := io.NewSectionReader(s.again, s.off, n)
	if sums == nil {
		if s.size-s.off < n {
			return nil, short(s.digest, io.ErrUnexpectedEOF)
		}
		s.off += n
		return piece, nil
	}
	if _, err := io.CopyN(sums, piece, n); err != nil {
		return nil, short(s.digest, err)
	}
	s.off += n
	_, err := piece.Seek(0, io.SeekStart)
	return piece, err
}

// end finds a source that does not end where it should.
func (s *source) end() error {
	if s.again == nil {
		return wantEnd(s.digest, s.r)
	}
	if s.off < s.size {
		return fmt.Errorf("write blob %s: more bytes than its size: %w", s.digest, cache.ErrCorrupt)
	}
	return nil
}
