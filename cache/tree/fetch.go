package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
)

const (
	rangeGap  = 64 << 10 // bytes read for nothing rather than ask twice: less than a round trip's worth
	rangeSize = 4 << 20  // bytes of a request: small enough to keep 16 connections evenly busy
	buffered  = 2 << 20  // files up to here are verified in memory before the sink sees them
)

// span is one request: neighbouring files or frames of a blob.
type span struct {
	blob     *blob
	off, end int64
	entries  []Entry
}

// fetch is one Fetch under way.
type fetch struct {
	c       *Cache
	sink    Sink
	sources []cache.BlobStore
	dec     *zstd.Decoder
	writers chan struct{}

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
	f := &fetch{c: c, sink: sink, sources: c.sources(t.own), dec: dec, writers: make(chan struct{}, c.cfg.Writers)}
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

// cut makes requests of the wanted entries, the largest first.
func cut(want []Entry) (spans []*span, empty []Entry) {
	sorted := make([]Entry, 0, len(want))
	for _, e := range want {
		if e.at.blob == nil {
			empty = append(empty, e)
		} else {
			sorted = append(sorted, e)
		}
	}
	slices.SortFunc(sorted, byPlace)
	var last *span
	for _, e := range sorted {
		off, end := e.at.off, e.at.off+e.Size
		if e.at.blob.kind == framed {
			fr := e.at.blob.frames[e.at.frame]
			off, end = fr.off, fr.off+fr.size
		}
		near := last != nil && last.blob.digest == e.at.blob.digest && e.at.blob.kind != whole && off <= last.end+rangeGap
		if near && (end <= last.end || end-last.off <= rangeSize) {
			last.end = max(last.end, end)
			last.entries = append(last.entries, e)
			continue
		}
		last = &span{e.at.blob, off, end, []Entry{e}}
		spans = append(spans, last)
	}
	slices.SortStableFunc(spans, func(a, b *span) int { return int((b.end - b.off) - (a.end - a.off)) })
	return spans, empty
}

// span reads one request's entries. Its own faults put entries aside; an
// error ends the whole fetch.
func (f *fetch) span(ctx context.Context, s *span, n int) error {
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
	var b []byte
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
	at, i := s.off, 0
	for i < len(s.entries) {
		j := i
		for j < len(s.entries) && s.entries[j].at.frame == s.entries[i].at.frame {
			j++
		}
		fr := s.blob.frames[s.entries[i].at.frame]
		packed, err := readFrame(r, fr.off-at, fr.size)
		if err != nil {
			return f.aside(ctx, s.entries[i:], err)
		}
		at = fr.off + fr.size
		b, err := f.dec.DecodeAll(packed, nil)
		if err != nil || int64(len(b)) != fr.raw {
			if err := f.aside(ctx, s.entries[i:j], fmt.Errorf("a frame of %s cannot be decoded: %w", s.blob.digest, cache.ErrCorrupt)); err != nil {
				return err
			}
		} else {
			for _, e := range s.entries[i:j] {
				if err := f.give(ctx, e, b[e.at.off:e.at.off+e.Size]); err != nil {
					return err
				}
			}
		}
		i = j
	}
	return nil
}

// readFrame allocates as bytes arrive, because a frame's size is a claim.
func readFrame(r io.Reader, skip, n int64) ([]byte, error) {
	if _, err := io.CopyN(io.Discard, r, skip); err != nil {
		return nil, short(err)
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, r, n)
	return b.Bytes(), short(err)
}

// give verifies a file in memory and hands it to the sink, as one of a few
// writers: more of them than processors slow each other down.
func (f *fetch) give(ctx context.Context, e Entry, b []byte) error {
	if int64(len(b)) != e.Size || digestOf(sha256.Sum256(b)) != e.Digest {
		return f.aside(ctx, []Entry{e}, fmt.Errorf("%s: %w", e.Path, cache.ErrCorrupt))
	}
	select {
	case f.writers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.writers }()
	return f.sink(ctx, e, bytes.NewReader(b))
}

// stream hands a large file to the sink while its bytes arrive.
func (f *fetch) stream(ctx context.Context, e Entry, r io.Reader) error {
	v := &verifier{r: r, left: e.Size, want: e.Digest, h: sha256.New()}
	err := f.sink(ctx, e, v)
	if v.err == nil && err == nil { // the sink stopped before the end
		_, err = io.Copy(io.Discard, v)
	}
	if v.err != nil && v.err != io.EOF {
		return f.aside(ctx, []Entry{e}, v.err)
	}
	return err
}

// verifier ends with io.EOF only when size and digest are right.
type verifier struct {
	r    io.Reader
	left int64
	want cache.Digest
	h    hash.Hash
	err  error
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if v.left == 0 {
		v.err = io.EOF
		if cache.FromSum(v.h.Sum(nil)) != v.want {
			v.err = fmt.Errorf("blob %s: %w", v.want, cache.ErrCorrupt)
		}
		return 0, v.err
	}
	n, err := v.r.Read(p[:min(int64(len(p)), v.left)])
	v.h.Write(p[:n])
	v.left -= int64(n)
	if err != nil && (err != io.EOF || v.left > 0) {
		v.err = short(err)
		return n, v.err
	}
	return n, nil
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
