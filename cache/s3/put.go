package s3

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/fastship/fastship/cache"
	minio "github.com/minio/minio-go/v7"
)

const (
	// headFrom is the size in bytes from which Put asks first whether the
	// blob is there: below it, sending costs less than asking.
	headFrom = 512 << 10
	// renewAfter is the age at which a Put renews a blob, well below the day
	// for which gc spares what nothing refers to yet.
	renewAfter = 12 * time.Hour
)

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
	if size > maxSingle {
		return s.putParts(ctx, key, d, size, r)
	}
	return s.putWhole(ctx, key, d, size, r, bad)
}

// putWhole sends a small blob by one request, on the condition that none is
// there unless it replaces a bad one.
func (s *Store) putWhole(ctx context.Context, key string, d cache.Digest, size int64, r io.Reader, replace bool) error {
	from, release, err := newSource(ctx, s.memory, d, r, size)
	if err != nil {
		return fmt.Errorf("write blob %s: %w", d, err)
	}
	defer release()
	var sum hash.Hash // nil: the bytes are known to have the digest
	if c, ok := r.(*cache.Content); !ok || c.Digest() != d || c.Size() != size {
		sum = sha256.New()
	}
	body, err := from.next(size, sum)
	if err != nil {
		// A blob that is there needs no bytes.
		if there, statErr := s.renewed(ctx, key, d, size); there && statErr == nil && !replace {
			return nil
		}
		return err
	}
	if err := from.end(); err != nil {
		return err
	}
	if sum != nil {
		if got := cache.FromSum(sum.Sum(nil)); got != d {
			return fmt.Errorf("write blob %s: got %s: %w", d, got, cache.ErrCorrupt)
		}
	}
	for {
		opt := s.putOptions()
		if !replace {
			opt.SetMatchETagExcept("*")
		}
		// The digest is the payload's signature too: the server checks it.
		_, err := s.core.PutObject(ctx, s.bucket, key, body, size, "", d.Hex(), opt)
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
	to := minio.CopyDestOptions{
		Bucket: s.bucket, Object: key, Encryption: s.sse, ReplaceMetadata: true,
		UserMetadata: map[string]string{"renewed": s.now().UTC().Format(time.RFC3339)},
	}
	from := minio.CopySrcOptions{Bucket: s.bucket, Object: key, MatchETag: o.ETag}
	copied, err := s.core.Client.CopyObject(ctx, to, from)
	if err == nil && !copied.LastModified.After(o.LastModified) {
		// Versitygw then writes the metadata alone; a copy of parts is a new object.
		_, err = s.core.ComposeObject(ctx, to, from)
	}
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
