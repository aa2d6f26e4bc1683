package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"math"
	"time"

	"github.com/fastship/fastship/cache"
	minio "github.com/minio/minio-go/v7"
)

const (
	// headFrom is the size in bytes from which Put asks first whether the
	// blob is there: below it, sending costs less than asking.
	headFrom = 128 << 10
	// renewAfter is the age at which a Put renews a blob, well below the day
	// for which gc spares what nothing refers to yet.
	renewAfter = 12 * time.Hour
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

// Put implements cache.BlobStore. A blob that is there is renewed when it was
// last put more than 12 hours ago.
func (s *Store) Put(ctx context.Context, d cache.Digest, size int64, r io.Reader) error {
	key, err := s.blobKey(d)
	if err == nil {
		err = s.writing(ctx)
	}
	if err != nil {
		return fmt.Errorf("write blob %s: %w", d, err)
	}
	s.mu.Lock()
	_, bad := s.corrupt[d]
	s.mu.Unlock()
	if size >= headFrom && !bad {
		if there, err := s.renewed(ctx, key, d, size); there || err != nil {
			return err
		}
	}
	r = &untilDone{ctx, r}
	if size > maxSingle {
		return s.putParts(ctx, key, d, size, r)
	}
	return s.putWhole(ctx, key, d, size, r, bad)
}

// putWhole sends a small blob by one request, on the condition that none is
// there unless it replaces a bad one.
func (s *Store) putWhole(ctx context.Context, key string, d cache.Digest, size int64, r io.Reader, replace bool) error {
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		// A blob that is there needs no bytes.
		if there, statErr := s.renewed(ctx, key, d, size); there && statErr == nil && !replace {
			return nil
		}
		return short(d, err)
	}
	if err := wantEnd(d, r); err != nil {
		return err
	}
	if got := cache.Sum(b); got != d {
		return fmt.Errorf("write blob %s: got %s: %w", d, got, cache.ErrCorrupt)
	}
	for {
		opt := s.putOptions()
		if !replace {
			opt.SetMatchETagExcept("*")
		}
		// The digest is the payload's signature too: the server checks it.
		_, err := s.core.PutObject(ctx, s.bucket, key, bytes.NewReader(b), size, "", d.Hex(), opt)
		switch {
		case err == nil:
			s.forget(d)
			return nil
		case !conflict(err):
			return fmt.Errorf("write blob %s: %w", d, s.refused(ctx, err))
		case replace:
			return nil // somebody else is writing the same bytes
		}
		if there, err := s.renewed(ctx, key, d, size); there || err != nil {
			return err
		}
		replace = true // what is there has another size or is known to be bad
	}
}

// renewed tells whether the blob is there, and makes it young when it is old.
func (s *Store) renewed(ctx context.Context, key string, d cache.Digest, size int64) (bool, error) {
	o, err := s.stat(ctx, d)
	if errors.Is(err, cache.ErrNotFound) || err == nil && o.Size != size {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if s.now().Sub(o.LastModified) < renewAfter {
		return true, nil
	}
	// A copy onto itself is legal only when it replaces something.
	_, err = s.core.Client.CopyObject(ctx, minio.CopyDestOptions{
		Bucket: s.bucket, Object: key, Encryption: s.sse, ReplaceMetadata: true,
		UserMetadata: map[string]string{"renewed": s.now().UTC().Format(time.RFC3339)},
	}, minio.CopySrcOptions{Bucket: s.bucket, Object: key, MatchETag: o.ETag})
	switch {
	case err == nil, conflict(err): // a conflict: somebody renewed it just now
		return true, nil
	case absent(err):
		return false, nil
	}
	return false, fmt.Errorf("renew blob %s: %w", d, s.refused(ctx, err))
}

// untilDone is a reader that ends with a context: that of one Put.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

func short(d cache.Digest, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("write blob %s: its bytes end early: %w", d, cache.ErrCorrupt)
	}
	return fmt.Errorf("write blob %s: %w", d, err)
}

// wantEnd finds a reader that does not end where it should.
func wantEnd(d cache.Digest, r io.Reader) error {
	n, err := io.ReadFull(r, make([]byte, 1))
	switch {
	case n > 0:
		return fmt.Errorf("write blob %s: more bytes than its size: %w", d, cache.ErrCorrupt)
	case err != io.EOF:
		return fmt.Errorf("write blob %s: %w", d, err)
	}
	return nil
}
