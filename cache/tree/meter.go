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

func (m meteredReader) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.n.Add(int64(n))
	return n, err
}

// put stores what r gives, and counts what the store took of it.
func (m *meter) put(ctx context.Context, s cache.BlobStore, d cache.Digest, size int64, r io.Reader) error {
	m.requests.Add(1)
	return s.Put(ctx, d, size, meteredReader{r, &m.bytes})
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
