package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
)

// buffered is the size in bytes up to which files are verified in memory
// before the sink sees them.
const buffered = 2 << 20

// fetch is one Fetch under way.
type fetch struct {
	c       *Cache
	sink    Sink
	sources []cache.BlobStore
	dec     *zstd.Decoder
	writers chan struct{}
	buffers buffers
	ahead   chan struct{}

	mu    sync.Mutex
	again []Entry
	gone  map[cache.Digest]bool // absent or bad, not merely out of reach
	cause error
}

// Fetch reads the wanted entries of t and gives each to sink. What is absent
// or bad, also when asked a second time, is returned as missing, with one
// warning in all. The error is the sink's or the context's.
func (c *Cache) Fetch(ctx context.Context, t *Tree, want []Entry, sink Sink) (missing []Entry, err error) {
	if c.cfg.Local != nil {
		c.keepLocal(ctx, t)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(c.cfg.Writers), zstd.WithDecoderMaxMemory(maxFrame), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	f := &fetch{c: c, sink: sink, sources: c.sources(t.own), dec: dec, writers: make(chan struct{}, c.cfg.Writers), ahead: make(chan struct{}, ahead)}
	if err := f.round(ctx, want, 0); err != nil {
		return nil, err
	}
	if again := f.again; len(again) > 0 {
		if err := f.round(ctx, again, 1); err != nil {
			return nil, err
		}
	}
	if missing = f.again; len(missing) > 0 {
		for _, e := range missing {
			if f.gone[e.Digest] {
				t.lose(e.Digest)
				t.lose(e.at.blob.digest)
			}
		}
		c.cfg.Warn(fmt.Errorf("fetch %s and %d more: %w", missing[0].Path, len(missing)-1, f.cause))
	}
	return missing, nil
}

// round asks for entries once, beginning with source n where there are two.
func (f *fetch) round(ctx context.Context, want []Entry, n int) error {
	f.again, f.gone, f.cause = nil, map[cache.Digest]bool{}, nil
	spans, empty := cut(want)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(f.c.cfg.Requests)
	g.Go(func() error {
		for _, e := range empty {
			if err := f.give(ctx, e, nil); err != nil {
				return err
			}
		}
		return nil
	})
	for _, s := range spans {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return f.span(ctx, s, n)
		})
	}
	return g.Wait()
}

// span reads one request's entries. Its own faults put entries aside; an
// error ends the whole fetch.
func (f *fetch) span(ctx context.Context, s *span, n int) error {
	if s.blob.kind == whole && s.end > rangesFrom {
		r := f.ranges(ctx, s, n)
		defer r.Close()
		return f.stream(ctx, s.entries[0], r)
	}
	r, err := f.open(ctx, s, n)
	if err != nil {
		return f.aside(ctx, s.entries, err)
	}
	defer r.Close()
	if s.blob.kind == framed {
		return f.frames(ctx, s, r)
	}
	if s.blob.kind == whole && s.end > buffered {
		return f.stream(ctx, s.entries[0], r)
	}
	at := s.off
	b := f.buffers.get(min(int(s.end-s.off), buffered))
	defer func() { f.buffers.put(b) }()
	for i, e := range s.entries {
		same := i > 0 && s.entries[i-1].at.off == e.at.off && s.entries[i-1].Size == e.Size
		if !same {
			if e.at.off < at { // segments of different saves may disagree about a pack
				if err := f.aside(ctx, []Entry{e}, cache.ErrCorrupt); err != nil {
					return err
				}
				continue
			}
			if b, err = readAt(r, b, e.at.off-at, e.Size); err != nil {
				return f.aside(ctx, s.entries[i:], err)
			}
			at = e.at.off + e.Size
		}
		if err := f.give(ctx, e, b); err != nil {
			return err
		}
	}
	return nil
}

// readAt skips bytes and reads n into b, which it grows.
func readAt(r io.Reader, b []byte, skip, n int64) ([]byte, error) {
	if _, err := io.CopyN(io.Discard, r, skip); err != nil {
		return b, short(err)
	}
	if n > buffered {
		return b, fmt.Errorf("a packed file of %d bytes: %w", n, cache.ErrCorrupt)
	}
	b = slices.Grow(b[:0], int(n))[:n]
	_, err := io.ReadFull(r, b)
	return b, short(err)
}

// short names a body that ended early for what it is.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the bytes end early: %w", cache.ErrCorrupt)
	}
	return err
}

func (f *fetch) open(ctx context.Context, s *span, n int) (r io.ReadCloser, err error) {
	for i := range f.sources {
		var e error
		if r, e = f.sources[(i+n)%len(f.sources)].Open(ctx, s.blob.digest, s.off, s.end-s.off); e == nil {
			return r, nil
		}
		if err == nil || errors.Is(err, cache.ErrNotFound) {
			err = e
		}
	}
	return nil, err
}

// frames decodes the frames that a request has and gives their files.
func (f *fetch) frames(ctx context.Context, s *span, r io.Reader) error {
	at := s.off
	for left := s.entries; len(left) > 0; {
		fr, n := left[0].at.of(), 1
		for n < len(left) && left[n].at.of() == fr {
			n++
		}
		if fr.off < at { // segments of different saves may disagree about a pack
			if err := f.aside(ctx, left[:n], cache.ErrCorrupt); err != nil {
				return err
			}
			left = left[n:]
			continue
		}
		err := f.frame(ctx, left[:n], fr, r, fr.off-at)
		if errors.Is(err, errCut) {
			return f.aside(ctx, left, err)
		}
		if err != nil {
			return err
		}
		at, left = fr.off+fr.size, left[n:]
	}
	return nil
}

// errCut is a body that gives no more bytes, as against a frame of wrong ones.
var errCut = errors.New("the rest cannot be read")

func (f *fetch) frame(ctx context.Context, entries []Entry, fr frame, r io.Reader, skip int64) error {
	packed, err := f.readFrame(r, skip, fr.size)
	if err != nil {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	defer f.buffers.put(packed)
	plain := f.buffers.get(int(fr.raw))
	defer f.buffers.put(plain)
	b, err := f.dec.DecodeAll(packed, plain[:0])
	if err != nil || int64(len(b)) != fr.raw {
		return f.aside(ctx, entries, fmt.Errorf("a frame of %s cannot be decoded: %w", entries[0].at.blob.digest, cache.ErrCorrupt))
	}
	for _, e := range entries {
		if err := f.give(ctx, e, b[e.at.off:e.at.off+e.Size]); err != nil {
			return err
		}
	}
	return nil
}

// readFrame allocates for a large frame as its bytes arrive, because its size
// is a claim.
func (f *fetch) readFrame(r io.Reader, skip, n int64) ([]byte, error) {
	if _, err := io.CopyN(io.Discard, r, skip); err != nil {
		return nil, short(err)
	}
	if n <= 2*frameSize {
		b := f.buffers.get(int(n))
		_, err := io.ReadFull(r, b)
		return b, short(err)
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, r, n)
	return b.Bytes(), short(err)
}

// aside keeps entries for the second round. When the whole fetch was stopped,
// that is the error.
func (f *fetch) aside(ctx context.Context, entries []Entry, cause error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.again = append(f.again, entries...)
	f.cause = cause
	if errors.Is(cause, cache.ErrNotFound) || errors.Is(cause, cache.ErrCorrupt) {
		for _, e := range entries {
			f.gone[e.Digest] = true
		}
	}
	return nil
}
