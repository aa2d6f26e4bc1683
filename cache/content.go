package cache

import (
	"bytes"
	"sync/atomic"
)

// Content is bytes in memory and their digest, which cannot disagree: only
// NewContent makes one. A BlobStore whose Put is given one as its reader need
// not hash the bytes again. The bytes must not change while it is in use.
type Content struct {
	r      bytes.Reader
	digest Digest
	taken  atomic.Bool
}

// NewContent hashes b.
func NewContent(b []byte) *Content {
	c := &Content{digest: Sum(b)}
	c.r.Reset(b)
	return c
}

// Digest names the bytes.
func (c *Content) Digest() Digest { return c.digest }

// Size is the number of bytes.
func (c *Content) Size() int64 { return c.r.Size() }

// Taken tells whether anything was read: a Put that found the blob there
// reads nothing.
func (c *Content) Taken() bool { return c.taken.Load() }

// Read implements io.Reader.
func (c *Content) Read(p []byte) (int, error) {
	c.taken.Store(true)
	return c.r.Read(p)
}

// ReadAt implements io.ReaderAt.
func (c *Content) ReadAt(p []byte, off int64) (int, error) {
	c.taken.Store(true)
	return c.r.ReadAt(p, off)
}

// Seek implements io.Seeker.
func (c *Content) Seek(offset int64, whence int) (int64, error) { return c.r.Seek(offset, whence) }
