package s3

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"github.com/fastship/fastship/cache"
	minio "github.com/minio/minio-go/v7"
)

const (
	maxSingle    = 16 << 20         // bytes; more travels in parts
	partSize     = 8 << 20          // bytes
	maxParts     = 10_000           // S3's limit
	abortTimeout = 10 * time.Second // for telling the server to drop parts
)

// putParts sends a large blob part by part through one buffer. The blob is
// made only when all its bytes have the digest; what goes wrong before drops
// the parts. Its completion carries no condition and needs none: whoever
// writes this name writes the same bytes.
func (s *Store) putParts(ctx context.Context, key string, d cache.Digest, size int64, r io.Reader) error {
	id, err := s.core.NewMultipartUpload(ctx, s.bucket, key, s.putOptions())
	if err != nil {
		return fmt.Errorf("write blob %s: %w", d, s.refused(ctx, err))
	}
	parts, err := s.sendParts(ctx, key, id, d, size, r)
	if err == nil {
		if _, err = s.core.CompleteMultipartUpload(ctx, s.bucket, key, id, parts, minio.PutObjectOptions{}); err == nil {
			s.forget(d)
			return nil
		}
		// The answer may be lost after the completion: then it is there.
		if o, statErr := s.stat(ctx, d); statErr == nil && o.Size == size {
			return nil
		}
		err = fmt.Errorf("write blob %s: %w", d, s.refused(ctx, err))
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_ = s.core.AbortMultipartUpload(after, s.bucket, key, id) // else a lifecycle rule drops them
	return err
}

func (s *Store) sendParts(ctx context.Context, key, id string, d cache.Digest, size int64, r io.Reader) ([]minio.CompletePart, error) {
	length := max(partSize, (size+maxParts-1)/maxParts)
	from, release, err := newSource(ctx, s.memory, d, r, length)
	if err != nil {
		return nil, fmt.Errorf("write blob %s: %w", d, err)
	}
	defer release()
	whole := sha256.New()
	var parts []minio.CompletePart
	for left := size; left > 0; {
		n := min(left, length)
		sum := sha256.New()
		piece, err := from.next(n, io.MultiWriter(whole, sum))
		if err != nil {
			return nil, err
		}
		left -= n
		part, err := s.core.PutObjectPart(ctx, s.bucket, key, id, len(parts)+1, piece, n, minio.PutObjectPartOptions{Sha256Hex: cache.FromSum(sum.Sum(nil)).Hex(), DisableContentSha256: true})
		if err != nil {
			return nil, fmt.Errorf("write blob %s: %w", d, s.refused(ctx, err))
		}
		parts = append(parts, minio.CompletePart{PartNumber: part.PartNumber, ETag: part.ETag})
	}
	if err := from.end(); err != nil {
		return nil, err
	}
	if got := cache.FromSum(whole.Sum(nil)); got != d {
		return nil, fmt.Errorf("write blob %s: got %s: %w", d, got, cache.ErrCorrupt)
	}
	return parts, nil
}
