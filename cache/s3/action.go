package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"

	"github.com/fastship/fastship/cache"
	minio "github.com/minio/minio-go/v7"
)

var keyForm = regexp.MustCompile(`^[0-9A-Za-z_-][0-9A-Za-z._-]{0,127}$`)

func (s *Store) actionKey(k cache.Key) (string, error) {
	if !keyForm.MatchString(string(k)) {
		return "", fmt.Errorf("action key %q: want up to 128 letters, digits, '-', '_' and '.'", k)
	}
	return s.prefix + "actions/" + string(k), nil
}

// maxSmall bounds in bytes what is read of an action or a pointer.
const maxSmall = 16 << 20

// small reads an action's or a pointer's object. ErrNotFound when absent.
func (s *Store) small(ctx context.Context, key string) ([]byte, minio.ObjectInfo, error) {
	if err := s.ready(ctx); err != nil {
		return nil, minio.ObjectInfo{}, err
	}
	body, info, _, err := s.core.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		gone, err := s.gone(ctx, key, err)
		if gone {
			return nil, info, cache.ErrNotFound
		}
		return nil, info, s.explain(ctx, err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxSmall))
	if err != nil {
		return nil, info, s.explain(ctx, err)
	}
	return b, info, nil
}

// framed reads what frame wrote into v. Bytes that are wrong or cut are asked
// for once more: they may have gone wrong on their way.
func (s *Store) framed(ctx context.Context, key, format, name string, v any) (minio.ObjectInfo, error) {
	for again := false; ; again = true {
		b, info, err := s.small(ctx, key)
		if err == nil {
			err = unframe(format, name, b, v)
		} else if info.ETag == "" || s.ready(ctx) != nil {
			return info, err // there was no answer to be cut
		}
		if err == nil || again {
			return info, err
		}
	}
}

// GetAction implements cache.ActionStore.
func (s *Store) GetAction(ctx context.Context, k cache.Key) (cache.Action, error) {
	key, err := s.actionKey(k)
	if err != nil {
		return cache.Action{}, err
	}
	var a cache.Action
	_, err = s.framed(ctx, key, actionFormat, string(k), &a)
	if err != nil {
		return cache.Action{}, fmt.Errorf("read action %s: %w", k, err)
	}
	return a, nil
}

// PutAction implements cache.ActionStore.
func (s *Store) PutAction(ctx context.Context, k cache.Key, a cache.Action) error {
	key, err := s.actionKey(k)
	if err == nil {
		err = s.writing(ctx)
	}
	var b []byte
	if err == nil {
		b, err = frame(actionFormat, string(k), a)
	}
	if err == nil {
		if _, err = s.core.PutObject(ctx, s.bucket, key, bytes.NewReader(b), int64(len(b)), "", cache.Sum(b).Hex(), s.putOptions()); err != nil {
			err = s.refused(ctx, err)
		}
	}
	if err != nil {
		return fmt.Errorf("write action %s: %w", k, err)
	}
	return nil
}

// DeleteAction implements cache.ActionStore.
func (s *Store) DeleteAction(ctx context.Context, k cache.Key) error {
	key, err := s.actionKey(k)
	if err == nil {
		err = s.remove(ctx, key)
	}
	if err != nil {
		return fmt.Errorf("delete action %s: %w", k, err)
	}
	return nil
}

// ListActions implements cache.Store.
func (s *Store) ListActions(ctx context.Context) iter.Seq2[cache.ActionInfo, error] {
	return func(yield func(cache.ActionInfo, error) bool) {
		s.list(ctx, "actions/", "", func(name string, o minio.ObjectInfo, err error) bool {
			if err == nil && !keyForm.MatchString(name) {
				return true // not ours
			}
			return yield(cache.ActionInfo{Key: cache.Key(name), Modified: o.LastModified}, err)
		})
	}
}

// An action's or pointer's object is one line with the format's name and a sum
// over its name and the rest, and then JSON: damage, and an object under
// another name than its own, are told from one that holds.
const (
	actionFormat  = "fastship-action-1 "
	pointerFormat = "fastship-pointer-1 "
)

func head(format, name string, body []byte) string {
	return format + string(cache.Sum(append([]byte(name+"\n"), body...)))
}

func frame(format, name string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append([]byte(head(format, name, body)+"\n"), body...), nil
}

// unframe reads what frame wrote. What it cannot read counts as absent.
func unframe(format, name string, b []byte, v any) error {
	first, body, _ := bytes.Cut(b, []byte("\n"))
	err := errSum
	if string(first) == head(format, name, body) {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		return errors.Join(err, cache.ErrNotFound)
	}
	return nil
}
