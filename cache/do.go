package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Do returns the outputs of the work that key names: from the cache when the
// action and every blob of it are there, else by doing it and keeping what
// came out. hit tells which. A fault of the cache is told to c.Warn and never
// fails the work; work's own error is returned as it is and nothing is kept.
func Do[T any](ctx context.Context, c *Cache, key Key, work func(context.Context) (T, []Descriptor, error)) (out T, blobs []Descriptor, hit bool, err error) {
	if out, blobs, ok := Lookup[T](ctx, c, key); ok {
		return out, blobs, true, nil
	}
	out, blobs, err = work(ctx)
	if err != nil {
		return out, blobs, false, err
	}
	Keep(ctx, c, key, out, blobs)
	return out, blobs, false, nil
}

// Lookup returns an action's outputs when the cache holds it with all its
// blobs. It writes nothing, so plans may call it.
func Lookup[T any](ctx context.Context, c *Cache, key Key) (out T, blobs []Descriptor, ok bool) {
	a, err := c.Actions.GetAction(ctx, key)
	if err != nil {
		if !errors.Is(err, ErrNotFound) {
			c.warn(fmt.Errorf("look up %s in the cache: %w", key, err))
		}
		return out, nil, false
	}
	for _, b := range a.Blobs {
		info, err := c.Blobs.Stat(ctx, b.Digest)
		if err != nil {
			if !errors.Is(err, ErrNotFound) {
				c.warn(fmt.Errorf("look up %s in the cache: %w", b.Digest, err))
			}
			return out, nil, false
		}
		if info.Size != b.Size {
			c.warn(fmt.Errorf("blob %s has %d bytes instead of %d: %w", b.Digest, info.Size, b.Size, ErrCorrupt))
			return out, nil, false
		}
	}
	if err := json.Unmarshal(a.Outputs, &out); err != nil {
		c.warn(fmt.Errorf("read the cached outputs of %s: %w", key, err))
		var zero T
		return zero, nil, false
	}
	return out, a.Blobs, true
}

// Keep stores finished work under its key. Its blobs must be in c.Blobs
// already: blobs before the action, so that no action points at nothing.
func Keep[T any](ctx context.Context, c *Cache, key Key, out T, blobs []Descriptor) {
	raw, err := json.Marshal(out)
	if err == nil {
		err = c.Actions.PutAction(ctx, key, Action{Outputs: raw, Blobs: blobs, Created: time.Now().UTC()})
	}
	if err != nil {
		c.warn(fmt.Errorf("keep %s in the cache: %w", key, err))
	}
}

// warn tells a fault. Work that was given up is none of the cache's.
func (c *Cache) warn(err error) {
	if c.Warn != nil && !errors.Is(err, context.Canceled) {
		c.Warn(err)
	}
}
