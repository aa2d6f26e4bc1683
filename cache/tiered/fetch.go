package tiered

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fastship/fastship/cache"
)

// errLocal marks a fault of this machine's disk in the middle of a transfer.
var errLocal = errors.New("the local cache")

// fetch brings a remote blob into the local store. ErrNotFound, wrapped, when
// no remote store gives it whole, for whatever reason; else the context's
// error or the local store's.
func (s *Store) fetch(ctx context.Context, d cache.Digest) error {
	leave, err := s.fetching.Take(ctx, d)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := s.local.Stat(ctx, d); err == nil {
		return nil // by another caller meanwhile
	}
	found, err := s.findBlob(ctx, d)
	if err != nil {
		return err
	}
	sources := []Remote{found.from}
	for _, r := range s.remotes {
		if r != found.from {
			sources = append(sources, r) // where the first one's is bad
		}
	}
	for _, r := range sources {
		err := s.fetchFrom(ctx, r, found.value)
		if err == nil || ctx.Err() != nil || errors.Is(err, errLocal) {
			return err
		}
	}
	s.mu.Lock()
	s.blobs[d] = answer[cache.BlobInfo]{}
	s.mu.Unlock()
	return fmt.Errorf("blob %s: %w", d, cache.ErrNotFound)
}

func (s *Store) fetchFrom(ctx context.Context, r Remote, info cache.BlobInfo) error {
	return s.guard.do(ctx, info.Size, func(ctx context.Context, alive func()) error {
		body, err := r.Open(ctx, info.Digest, 0, -1)
		if err != nil {
			return err
		}
		defer body.Close()
		source := &transfer{Reader: body, alive: alive}
		err = s.local.Put(ctx, info.Digest, info.Size, source)
		if err == nil || source.err != nil || errors.Is(err, cache.ErrCorrupt) || ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%w: %w", errLocal, err)
	})
}

// transfer tells of every piece that moves, and remembers a failed read.
type transfer struct {
	io.Reader
	alive func()
	err   error
}

// Read implements io.Reader.
func (t *transfer) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if n > 0 {
		t.alive()
	}
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}
