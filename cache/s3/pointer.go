package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/fastship/fastship/cache"
	minio "github.com/minio/minio-go/v7"
)

// pointerEnd ends a pointer's key; CheckPointerName allows it in no name.
const pointerEnd = "!"

// pointerBody is a pointer's content. Its mark is drawn anew for each write:
// an ETag is often the content's MD5, and a pointer that moved away and back
// must not look unmoved. It also tells our own write from another's when the
// answer was lost.
type pointerBody struct {
	Mark  string `json:"mark"`
	Value []byte `json:"value"`
}

func (s *Store) pointerKey(name string) (string, error) {
	if err := cache.CheckPointerName(name); err != nil {
		return "", err
	}
	return s.prefix + "pointers/" + name + pointerEnd, nil
}

// GetPointer implements cache.PointerStore. A damaged pointer is ErrNotFound;
// PutPointer without an old version replaces it.
func (s *Store) GetPointer(ctx context.Context, name string) (cache.Pointer, error) {
	p, _, _, err := s.readPointer(ctx, name)
	if err != nil {
		return cache.Pointer{}, fmt.Errorf("read pointer %s: %w", name, err)
	}
	return p, nil
}

// readPointer returns the ETag of a damaged pointer too.
func (s *Store) readPointer(ctx context.Context, name string) (p cache.Pointer, mark, etag string, err error) {
	key, err := s.pointerKey(name)
	if err != nil {
		return p, "", "", err
	}
	var body pointerBody
	info, err := s.framed(ctx, key, pointerFormat, name, &body)
	if err != nil {
		return p, "", info.ETag, err
	}
	return cache.Pointer{Name: name, Value: body.Value, Version: info.ETag, Modified: info.LastModified}, body.Mark, info.ETag, nil
}

// PutPointer implements cache.PointerStore.
func (s *Store) PutPointer(ctx context.Context, name string, value []byte, old string) (string, error) {
	version, err := s.putPointer(ctx, name, value, old)
	if err != nil {
		return "", fmt.Errorf("move pointer %s: %w", name, err)
	}
	return version, nil
}

func (s *Store) putPointer(ctx context.Context, name string, value []byte, old string) (string, error) {
	key, err := s.pointerKey(name)
	if err == nil {
		err = s.writing(ctx)
	}
	if err != nil {
		return "", err
	}
	if len(value) > cache.MaxPointer {
		return "", fmt.Errorf("its value has %d bytes, more than %d", len(value), cache.MaxPointer)
	}
	mine := rand.Text()
	b, err := frame(pointerFormat, name, pointerBody{Mark: mine, Value: value})
	if err != nil {
		return "", err
	}
	version, err := s.swap(ctx, key, b, old)
	if err == nil {
		return version, nil
	}
	if status(err) == 403 {
		return "", s.refused(ctx, err)
	}
	// The answer to an earlier attempt may be lost: see whose write is there.
	now, mark, etag, readErr := s.readPointer(ctx, name)
	switch {
	case readErr == nil && mark == mine:
		return now.Version, nil
	case conflict(err) && old == "" && etag != "" && errors.Is(readErr, errSum):
		if version, err = s.swap(ctx, key, b, etag); err == nil {
			return version, nil
		}
	}
	if conflict(err) || old != "" && absent(err) {
		return "", fmt.Errorf("%w: %w", cache.ErrMoved, err)
	}
	return "", s.refused(ctx, err)
}

// swap is the conditional request. It returns the client's own error.
func (s *Store) swap(ctx context.Context, key string, b []byte, old string) (string, error) {
	opt := s.putOptions()
	if old == "" {
		opt.SetMatchETagExcept("*")
	} else {
		opt.SetMatchETag(old)
	}
	info, err := s.core.PutObject(ctx, s.bucket, key, bytes.NewReader(b), int64(len(b)), "", cache.Sum(b).Hex(), opt)
	return info.ETag, err
}

// ListPointers implements cache.PointerStore.
func (s *Store) ListPointers(ctx context.Context, prefix string) iter.Seq2[cache.Pointer, error] {
	return func(yield func(cache.Pointer, error) bool) {
		s.list(ctx, "pointers/", prefix, func(name string, o minio.ObjectInfo, err error) bool {
			if err != nil {
				return yield(cache.Pointer{}, err)
			}
			name, ok := strings.CutSuffix(name, pointerEnd)
			if !ok || cache.CheckPointerName(name) != nil || !strings.HasPrefix(name, prefix) {
				return true // not ours
			}
			return yield(cache.Pointer{Name: name, Version: strings.Trim(o.ETag, `"`), Modified: o.LastModified}, nil)
		})
	}
}

// DeletePointer implements cache.PointerStore.
func (s *Store) DeletePointer(ctx context.Context, name string) error {
	key, err := s.pointerKey(name)
	if err == nil {
		err = s.remove(ctx, key)
	}
	if err != nil {
		return fmt.Errorf("delete pointer %s: %w", name, err)
	}
	return nil
}
