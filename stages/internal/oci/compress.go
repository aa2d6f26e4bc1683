package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/internal/aside"
)

// compressor takes a tar, hashes it, and writes it compressed to dst: cut
// into blocks that are compressed side by side and written in order. What is
// in memory at any time is bounded by the codec's budget.
type compressor struct {
	ctx    context.Context // that of one WriteLayer call
	codec  Codec
	sum    hash.Hash
	crc    uint32
	size   int64
	expect int64   // bytes of the tar, about
	buf    *buffer // being filled; nil between two blocks
	spool  *spool  // instead of buffers, of a codec whose compressors read
	group  *errgroup.Group
	order  chan *job // blocks in the order of the tar
}

// job is a block that is being compressed, in memory or in a spool.
type job struct {
	buf      buffer
	at, size int64     // of the block in the spool
	packed   int64     // bytes of it, in the spool
	done     chan bool // true once it is compressed; closed without after a failure
}

// newCompressor starts a compressor of a tar of about expect bytes: one that is
// smaller than a block takes less memory. It ends by finish or abandon.
func newCompressor(ctx context.Context, codec Codec, dst io.Writer, expect int64) (*compressor, error) {
	group, ctx := errgroup.WithContext(ctx)
	c := &compressor{
		ctx: ctx, codec: codec, sum: sha256.New(), group: group, expect: expect,
		order: make(chan *job, 3*mostRunning), // the budget is a closer bound
	}
	if codec.newStream != nil {
		var err error
		if c.spool, err = newSpool(codec); err != nil {
			return nil, err
		}
	}
	codec.budget.begin()
	group.Go(func() error { return c.collect(dst) })
	return c, nil
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
		n, full, err := c.take(p, c.size-int64(len(p)))
		if err == nil && full {
			err = c.submit()
		}
		if err != nil {
			return 0, err
		}
		p = p[n:]
	}
	return total, nil
}

// take puts what it can of p, which is at that offset of the tar, into the
// block at hand, and tells whether that is full now.
func (c *compressor) take(p []byte, offset int64) (n int, full bool, err error) {
	if c.spool != nil {
		return c.spool.take(p)
	}
	if c.buf == nil {
		b, err := c.codec.budget.buffer(c.ctx, c.codec)
		if err != nil {
			return 0, false, err
		}
		c.buf = &b
		if want := min(int64(c.codec.blockSize), max(c.expect-offset, bytes.MinRead)); int64(cap(b.src)) < want {
			c.buf.src = make([]byte, 0, want)
		}
	}
	n = min(len(p), c.codec.blockSize-len(c.buf.src))
	c.buf.src = append(c.buf.src, p[:n]...)
	return n, len(c.buf.src) == c.codec.blockSize, nil
}

// submit has the block at hand compressed.
func (c *compressor) submit() error {
	j := &job{done: make(chan bool, 1)}
	work := c.compress
	if c.spool != nil {
		if err := c.spool.engage(c.ctx); err != nil {
			return err
		}
		c.spool.cut(j)
		work = func(j *job) error { return c.spool.compress(c.ctx, j) }
	} else {
		j.buf, c.buf = *c.buf, nil
	}
	select {
	case c.order <- j:
	case <-c.ctx.Done():
		c.drop(j)
		return context.Cause(c.ctx)
	}
	c.group.Go(func() error {
		defer close(j.done)
		err := context.Cause(c.ctx) // of blocks that waited when it ended
		if err == nil {
			aside.Do(c.ctx, func() { err = work(j) })
		}
		if err == nil {
			j.done <- true
		}
		return err
	})
	return nil
}

// packedShare is what part of a block its compressed bytes usually are.
const packedShare = 3

func (c *compressor) compress(j *job) error {
	compress, err := c.codec.budget.compressor(c.codec)
	if err != nil {
		return err
	}
	defer c.codec.budget.rest(c.codec, compress)
	if cap(j.buf.packed) == 0 {
		j.buf.packed = make([]byte, 0, len(j.buf.src)/packedShare)
	}
	j.buf.packed, err = compress(j.buf.packed, j.buf.src)
	return err
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
			if err := c.write(dst, j); err != nil {
				return err
			}
		}
	}
}

// write waits for a block and writes it.
func (c *compressor) write(dst io.Writer, j *job) (err error) {
	defer c.drop(j)
	switch ok := <-j.done; {
	case !ok: // the group has the error and ends the context
	case c.spool != nil:
		err = c.spool.write(dst, j)
	default:
		_, err = dst.Write(j.buf.packed)
	}
	return err
}

// drop gives a block's memory back.
func (c *compressor) drop(j *job) {
	if c.spool == nil {
		c.codec.budget.recycle(c.codec, j.buf)
	}
}

// finish flushes the last block and waits for everything before it. After it,
// or after abandon, nothing runs any more.
func (c *compressor) finish(dst io.Writer) error {
	var err error
	if c.buf != nil && len(c.buf.src) > 0 || c.spool != nil && c.spool.size > 0 {
		err = c.submit()
	}
	if failed := c.end(); failed != nil {
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
func (c *compressor) abandon() error { return c.end() }

// end waits for what runs, and gives back what it held.
func (c *compressor) end() error {
	close(c.order)
	err := c.group.Wait()
	for j := range c.order { // of a failure
		c.drop(j)
	}
	if c.buf != nil {
		c.drop(&job{buf: *c.buf})
		c.buf = nil
	}
	if c.spool != nil {
		c.spool.close()
	}
	c.codec.budget.end()
	return err
}
