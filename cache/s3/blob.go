package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"iter"
	"math"

	"github.com/fastship/fastship/cache"
	minio "github.com/minio/minio-go/v7"
)

func (s *Store) blobKey(d cache.Digest) (string, error) {
	if _, err := cache.ParseDigest(string(d)); err != nil {
		return "", err
	}
	return s.prefix + "blobs/sha256/" + d.Hex(), nil
}

// Open implements cache.BlobStore.
func (s *Store) Open(ctx context.Context, d cache.Digest, off, n int64) (io.ReadCloser, error) {
	key, err := s.blobKey(d)
	if err == nil {
		err = s.ready(ctx)
	}
	if err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, fmt.Errorf("open blob %s: negative offset %d", d, off)
	}
	if n == 0 {
		_, err := s.Stat(ctx, d)
		return io.NopCloser(bytes.NewReader(nil)), err
	}
	var opt minio.GetObjectOptions
	whole := off == 0 && n < 0
	if !whole {
		end := int64(0) // to the blob's end
		if n > 0 {
			end = off + min(n-1, math.MaxInt64-off)
		}
		if off > 0 || end > 0 {
			err = opt.SetRange(off, end)
		} else {
			opt.Set("Range", "bytes=0-0") // SetRange(0, 0) means all
		}
		if err != nil {
			return nil, fmt.Errorf("open blob %s: %w", d, err)
		}
	}
	body, info, _, err := s.core.GetObject(ctx, s.bucket, key, opt)
	switch {
	case err == nil && s.knownCorrupt(d, info.ETag):
		_ = body.Close()
		return nil, fmt.Errorf("blob %s: %w", d, cache.ErrNotFound)
	case err == nil:
		v := &reader{body: body, ctx: ctx, digest: d, store: s, etag: info.ETag}
		if whole {
			v.sum = sha256.New()
		}
		return v, nil
	case status(err) == 416: // a range behind the end is empty, as in dir
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	gone, err := s.gone(ctx, key, err)
	if gone {
		return nil, fmt.Errorf("blob %s: %w", d, cache.ErrNotFound)
	}
	return nil, fmt.Errorf("open blob %s: %w", d, s.explain(ctx, err))
}

// reader gives a blob's bytes and, with a sum, compares them at their end.
type reader struct {
	body   io.ReadCloser
	ctx    context.Context // the caller's, whose error a cut body stands for
	sum    hash.Hash       // nil for a range
	digest cache.Digest
	store  *Store
	etag   string
	err    error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.body.Read(p)
	if r.sum != nil {
		r.sum.Write(p[:n])
	}
	switch {
	case err == io.EOF && r.sum != nil:
		if got := cache.FromSum(r.sum.Sum(nil)); got != r.digest {
			r.store.markCorrupt(r.digest, r.etag)
			err = fmt.Errorf("blob %s holds %s: %w", r.digest, got, cache.ErrCorrupt)
		}
	case err != nil && err != io.EOF:
		err = fmt.Errorf("read blob %s: %w", r.digest, r.store.explain(r.ctx, err))
	}
	r.err = err
	return n, err
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.body.Close() }

// knownCorrupt tells whether this very object has failed its verification.
func (s *Store) knownCorrupt(d cache.Digest, etag string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	bad, ok := s.corrupt[d]
	return ok && bad == etag
}

func (s *Store) markCorrupt(d cache.Digest, etag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corrupt[d] = etag
}

// forget that a blob was bad: it was replaced.
func (s *Store) forget(d cache.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.corrupt, d)
}

func (s *Store) stat(ctx context.Context, d cache.Digest) (minio.ObjectInfo, error) {
	key, err := s.blobKey(d)
	if err == nil {
		err = s.ready(ctx)
	}
	if err != nil {
		return minio.ObjectInfo{}, err
	}
	o, err := s.core.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
	gone := err == nil && s.knownCorrupt(d, o.ETag)
	if err != nil {
		gone, err = s.gone(ctx, key, err)
	}
	switch {
	case gone:
		return o, fmt.Errorf("blob %s: %w", d, cache.ErrNotFound)
	case err != nil:
		return o, fmt.Errorf("find blob %s: %w", d, s.explain(ctx, err))
	}
	return o, nil
}

// Stat implements cache.BlobStore. LastUsed is when the blob was last put.
func (s *Store) Stat(ctx context.Context, d cache.Digest) (cache.BlobInfo, error) {
	o, err := s.stat(ctx, d)
	if err != nil {
		return cache.BlobInfo{}, err
	}
	return cache.BlobInfo{Digest: d, Size: o.Size, LastUsed: o.LastModified}, nil
}

// List implements cache.BlobStore.
func (s *Store) List(ctx context.Context) iter.Seq2[cache.BlobInfo, error] {
	return func(yield func(cache.BlobInfo, error) bool) {
		s.list(ctx, "blobs/sha256/", "", func(name string, o minio.ObjectInfo, err error) bool {
			if err != nil {
				return yield(cache.BlobInfo{}, err)
			}
			d, err := cache.ParseDigest("sha256:" + name)
			if err != nil {
				return true // not ours
			}
			return yield(cache.BlobInfo{Digest: d, Size: o.Size, LastUsed: o.LastModified}, nil)
		})
	}
}

// Delete implements cache.BlobStore.
func (s *Store) Delete(ctx context.Context, d cache.Digest) error {
	key, err := s.blobKey(d)
	if err != nil {
		return err
	}
	if err := s.remove(ctx, key); err != nil {
		return fmt.Errorf("delete blob %s: %w", d, err)
	}
	return nil
}
