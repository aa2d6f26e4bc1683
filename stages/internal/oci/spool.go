package oci

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fastship/fastship/internal/scratch"
)

// mostStreams of a layer are at work at once.
const mostStreams = 2

// spool keeps the blocks of a tar, and what became of them, in files that
// nobody else sees, instead of in memory: for compressors that are large
// themselves and slower than any disk. They count in the budget, and as work, from the
// layer's first block to its end.
type spool struct {
	codec    Codec
	tar      *os.File
	packed   *os.File    // every block's at twice the place that it has in tar, since it may grow
	at, size int64       // of the block at hand
	free     chan stream // compressors that have nothing to do
	engaged  int         // all of them
}

func newSpool(c Codec) (*spool, error) {
	s := &spool{codec: c, free: make(chan stream, mostStreams)}
	var err error
	if s.tar, err = scratch.File(); err != nil {
		return nil, err
	}
	if s.packed, err = scratch.File(); err != nil {
		s.tar.Close()
		return nil, err
	}
	return s, nil
}

// take is compressor.take.
func (s *spool) take(p []byte) (n int, full bool, err error) {
	n = int(min(int64(len(p)), int64(s.codec.blockSize)-s.size))
	if _, err := s.tar.Write(p[:n]); err != nil {
		return 0, false, fmt.Errorf("keep the layer for its compression: %w", err)
	}
	s.size += int64(n)
	return n, s.size == int64(s.codec.blockSize), nil
}

// cut makes a job of the block at hand.
func (s *spool) cut(j *job) {
	j.at, j.size = s.at, s.size
	s.at, s.size = s.at+s.size, 0
}

// weight is what a compressor counts in the budget.
func (s *spool) weight() int64 { return min(s.codec.memory, s.codec.budget.bytes) }

// engage waits for room for the first compressor, and takes a second one where
// there is room and work for it.
func (s *spool) engage(ctx context.Context) error {
	b, weight := s.codec.budget, s.weight()
	switch {
	case s.engaged == 0:
		if err := b.room.Acquire(ctx, weight); err != nil {
			return context.Cause(ctx)
		}
	case s.engaged >= min(mostStreams, cap(b.running)), len(s.free) > 0, !b.room.TryAcquire(weight):
		return nil
	}
	select {
	case b.running <- struct{}{}:
		s.engaged++
	case <-ctx.Done():
		b.room.Release(weight)
		return context.Cause(ctx)
	}
	b.forget()
	made, err := s.codec.newStream()
	if err == nil {
		s.free <- made
	}
	return err
}

func (s *spool) compress(ctx context.Context, j *job) error {
	compress := <-s.free
	defer func() { s.free <- compress }()
	place := io.NewOffsetWriter(s.packed, 2*j.at)
	out := bufio.NewWriterSize(place, 128<<10)
	if err := compress(out, cancelled{ctx, io.NewSectionReader(s.tar, j.at, j.size)}, j.size); err != nil {
		return fmt.Errorf("compress the layer: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("keep the layer's compressed bytes: %w", err)
	}
	var err error
	j.packed, err = place.Seek(0, io.SeekCurrent)
	return err
}

// cancelled is a reader that ends with its context: a block takes seconds.
type cancelled struct {
	ctx context.Context
	io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.Reader.Read(p)
}

func (s *spool) write(dst io.Writer, j *job) error {
	n, err := io.Copy(dst, io.NewSectionReader(s.packed, 2*j.at, j.packed))
	if err == nil && n < j.packed {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// close gives everything back.
func (s *spool) close() {
	for range s.engaged {
		<-s.codec.budget.running
	}
	s.codec.budget.room.Release(int64(s.engaged) * s.weight())
	_ = errors.Join(s.tar.Close(), s.packed.Close()) // nobody needs what they hold
}
