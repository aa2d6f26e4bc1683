package oci

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// compressor takes a tar, hashes it, and writes it compressed to dst: cut
// into blocks that are compressed side by side and written in order. At most
// a handful of blocks is in memory at any time.
type compressor struct {
	ctx    context.Context // that of one WriteLayer call
	codec  Codec
	sum    hash.Hash
	crc    uint32
	size   int64
	buf    []byte
	group  *errgroup.Group
	order  chan *job   // blocks in the order of the tar; its room bounds what is in flight
	spare  chan []byte // buffers to use again
	blocks chan block  // idle compressors
}

// Bounds of what is compressed side by side, in blocks and in bytes: each
// block in flight takes its size twice, and an encoder as much again.
const (
	maxWorkers  = 8
	maxInFlight = 16 << 20
)

type job struct {
	src  []byte
	done chan []byte // the compressed block; closed without one after a failure
}

func newCompressor(ctx context.Context, codec Codec, dst io.Writer) (*compressor, error) {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers, maxInFlight/codec.blockSize)
	group, ctx := errgroup.WithContext(ctx)
	c := &compressor{
		ctx: ctx, codec: codec, sum: sha256.New(), group: group,
		order:  make(chan *job, workers),
		spare:  make(chan []byte, 2*workers),
		blocks: make(chan block, workers),
	}
	for range workers {
		b, err := codec.newBlock()
		if err != nil {
			return nil, err
		}
		c.blocks <- b
	}
	group.Go(func() error { return c.collect(dst) })
	return c, nil
}

// Write implements io.Writer for the tar.
func (c *compressor) Write(p []byte) (int, error) {
	c.sum.Write(p)
	c.crc = checksum(c.crc, p)
	c.size += int64(len(p))
	total := len(p)
	for len(p) > 0 {
		if c.buf == nil {
			c.buf = c.buffer()
		}
		n := min(len(p), c.codec.blockSize-len(c.buf))
		c.buf, p = append(c.buf, p[:n]...), p[n:]
		if len(c.buf) == c.codec.blockSize {
			if err := c.submit(); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

func (c *compressor) submit() error {
	j := &job{src: c.buf, done: make(chan []byte, 1)}
	c.buf = nil
	select {
	case c.order <- j:
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
	c.group.Go(func() error {
		defer close(j.done)
		compress := <-c.blocks
		out, err := compress(c.buffer(), j.src)
		c.blocks <- compress
		if err != nil {
			return err
		}
		c.recycle(j.src)
		j.done <- out
		return nil
	})
	return nil
}

// collect writes the compressed blocks in order.
func (c *compressor) collect(dst io.Writer) error {
	if _, err := dst.Write(c.codec.header); err != nil {
		return err
	}
	for {
		select {
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		case j, more := <-c.order:
			if !more {
				return nil
			}
			out, ok := <-j.done
			if !ok {
				continue // the group has the error and ends the context
			}
			if _, err := dst.Write(out); err != nil {
				return err
			}
			c.recycle(out)
		}
	}
}

// finish flushes the last block and waits for everything before it. After it,
// or after abandon, nothing runs any more.
func (c *compressor) finish(dst io.Writer) error {
	var err error
	if len(c.buf) > 0 {
		err = c.submit()
	}
	close(c.order)
	if failed := c.group.Wait(); failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	_, err = dst.Write(c.codec.trailer(c.crc, c.size))
	return err
}

// abandon waits for the goroutines after the tar could not be made. The
// error, if any, is why they ended.
func (c *compressor) abandon() error {
	close(c.order)
	return c.group.Wait()
}

func (c *compressor) buffer() []byte {
	select {
	case b := <-c.spare:
		return b[:0]
	default:
		return make([]byte, 0, c.codec.blockSize)
	}
}

func (c *compressor) recycle(b []byte) {
	select {
	case c.spare <- b:
	default:
	}
}
