package oci

import (
	"bytes"
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
	expect int64 // bytes of the tar, about
	buf    []byte
	group  *errgroup.Group
	order  chan *job // blocks in the order of the tar; its room bounds what is in flight
}

// shared is what the layers of one codec share.
type shared struct {
	blocks chan block  // idle compressors; nil for one that is to be started
	spare  chan []byte // buffers of tar to use again
	packed chan []byte // and of compressed blocks
}

// share allows as many compressors at once as there are processors, but no
// more than most: each takes some memory.
func share(most int) *shared {
	workers := min(runtime.GOMAXPROCS(0), most)
	s := &shared{make(chan block, workers), make(chan []byte, 2*workers), make(chan []byte, 2*workers)}
	for range workers {
		s.blocks <- nil
	}
	return s
}

type job struct {
	src  []byte
	done chan []byte // the compressed block; closed without one after a failure
}

// newCompressor starts a compressor of a tar of about expect bytes: one that is
// smaller than a block takes less memory.
func newCompressor(ctx context.Context, codec Codec, dst io.Writer, expect int64) *compressor {
	group, ctx := errgroup.WithContext(ctx)
	c := &compressor{
		ctx: ctx, codec: codec, sum: sha256.New(), group: group, expect: expect,
		order: make(chan *job, cap(codec.shared.blocks)-1), // and one more is being collected
	}
	group.Go(func() error { return c.collect(dst) })
	return c
}

// Write implements io.Writer for the tar.
func (c *compressor) Write(p []byte) (int, error) {
	c.sum.Write(p)
	if c.codec.summed {
		c.crc = checksum(c.crc, p)
	}
	c.size += int64(len(p))
	total := len(p)
	for len(p) > 0 {
		if c.buf == nil {
			c.buf = c.buffer(c.size - int64(len(p)))
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
		blocks := c.codec.shared.blocks
		compress := <-blocks
		if compress == nil {
			var err error
			if compress, err = c.codec.newBlock(); err != nil {
				blocks <- nil
				return err
			}
		}
		out, err := compress(reuse(c.codec.shared.packed, len(j.src)/packedShare), j.src)
		blocks <- compress
		if err != nil {
			return err
		}
		recycle(c.codec.shared.spare, j.src)
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
			recycle(c.codec.shared.packed, out)
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

// packedShare is what part of a block its compressed bytes usually are.
const packedShare = 3

// buffer is for the block that begins at that offset of the tar.
func (c *compressor) buffer(offset int64) []byte {
	return reuse(c.codec.shared.spare, int(min(int64(c.codec.blockSize), max(c.expect-offset, bytes.MinRead))))
}

// reuse takes a buffer from spare, else makes one for n bytes.
func reuse(spare chan []byte, n int) []byte {
	select {
	case b := <-spare:
		return b[:0]
	default:
		return make([]byte, 0, n)
	}
}

func recycle(spare chan []byte, b []byte) {
	select {
	case spare <- b:
	default:
	}
}
