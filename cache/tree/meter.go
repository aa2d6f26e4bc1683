package tree

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/fastship/fastship/cache"
)

// meter counts what a save asks of its stores.
type meter struct {
	requests, files atomic.Int64
	bytes           atomic.Int64
}

type meteredReader struct {
	io.Reader
	n *atomic.Int64
}

// Read implements io.Reader.
func (m meteredReader) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.n.Add(int64(n))
	return n, err
}

// meteredFile can be read twice, so that a store need not hold its bytes.
type meteredFile struct {
	meteredReader
	file interface {
		io.ReaderAt
		io.Seeker
	}
	size int64
}

// ReadAt implements io.ReaderAt.
func (m meteredFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.file.ReadAt(p, off)
	m.n.Add(int64(n))
	return n, err
}

// Seek implements io.Seeker.
func (m meteredFile) Seek(offset int64, whence int) (int64, error) {
	return m.file.Seek(offset, whence)
}

// Size is the number of bytes that the file should have.
func (m meteredFile) Size() int64 { return m.size }

// put stores what r gives, and counts what the store took of it.
func (m *meter) put(ctx context.Context, s cache.BlobStore, d cache.Digest, size int64, r io.Reader) error {
	m.requests.Add(1)
	var taken atomic.Int64
	metered := io.Reader(meteredReader{r, &taken})
	if f, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	}); ok {
		metered = meteredFile{meteredReader{r, &taken}, f, size}
	}
	err := s.Put(ctx, d, size, metered)
	m.bytes.Add(min(taken.Load(), size)) // a store may read twice: for the sum, and to send
	return err
}

// putContent stores bytes in memory.
func (m *meter) putContent(ctx context.Context, s cache.BlobStore, c *cache.Content) error {
	m.requests.Add(1)
	err := s.Put(ctx, c.Digest(), c.Size(), c)
	if c.Taken() {
		m.bytes.Add(c.Size())
	}
	return err
}
