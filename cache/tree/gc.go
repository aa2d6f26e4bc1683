package tree

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fastship/fastship/cache"
)

// GCOptions say what GC may remove. Zero ages mean the defaults.
type GCOptions struct {
	DryRun     bool
	Now        time.Time     // zero: the Cache's clock
	MinAge     time.Duration // of an unreferenced blob: 24 h
	ActionAge  time.Duration // since an action was last put: 30 days
	PointerAge time.Duration // since a pointer last moved: 60 days
}

// Collected counts what GC removed, or would remove.
type Collected struct {
	Blobs    int   `json:"blobs"`
	Actions  int   `json:"actions"`
	Pointers int   `json:"pointers"`
	Bytes    int64 `json:"bytes"`  // of the blobs
	Kept     int   `json:"kept"`   // blobs left
	Broken   int   `json:"broken"` // pointers that cannot be read: Verify mends them
}

// GC removes from Own the pointers and actions that are old, and the blobs
// that no live one refers to. It is safe beside writers: blobs are listed
// before pointers are read, so that what a save finished meanwhile is marked;
// what it has only begun is younger than MinAge, because a Put renews a blob;
// and each is looked at once more before it goes. A store that cannot be read
// ends it before anything is removed.
func (c *Cache) GC(ctx context.Context, o GCOptions) (Collected, error) {
	o = o.defaults(c)
	got, err := c.gc(ctx, o)
	if err != nil {
		return got, fmt.Errorf("clear the cache: %w", err)
	}
	return got, nil
}

func (o GCOptions) defaults(c *Cache) GCOptions {
	if o.Now.IsZero() {
		o.Now = c.cfg.Now()
	}
	if o.MinAge <= 0 {
		o.MinAge = 24 * time.Hour
	}
	if o.ActionAge <= 0 {
		o.ActionAge = 30 * 24 * time.Hour
	}
	if o.PointerAge <= 0 {
		o.PointerAge = 60 * 24 * time.Hour
	}
	return o
}

func (c *Cache) gc(ctx context.Context, o GCOptions) (got Collected, err error) {
	own := c.cfg.Own
	var old []cache.BlobInfo
	for b, err := range own.List(ctx) {
		if err != nil {
			return got, err
		}
		if o.Now.Sub(b.LastUsed) > o.MinAge {
			old = append(old, b)
		} else {
			got.Kept++
		}
	}
	live := map[cache.Digest]bool{}
	oldPointers, err := c.markPointers(ctx, o, live, &got)
	if err != nil {
		return got, err
	}
	oldActions, err := c.markActions(ctx, o, live)
	if err != nil {
		return got, err
	}
	for _, name := range oldPointers {
		if !o.DryRun {
			if err := own.DeletePointer(ctx, name); err != nil {
				return got, err
			}
		}
		got.Pointers++
	}
	for _, k := range oldActions {
		if !o.DryRun {
			if err := own.DeleteAction(ctx, k); err != nil {
				return got, err
			}
		}
		got.Actions++
	}
	for _, b := range old {
		if live[b.Digest] {
			got.Kept++
			continue
		}
		if err := c.collect(ctx, o, b, &got); err != nil {
			return got, err
		}
	}
	return got, nil
}

// collect removes one blob that is still old.
func (c *Cache) collect(ctx context.Context, o GCOptions, b cache.BlobInfo, got *Collected) error {
	info, err := c.cfg.Own.Stat(ctx, b.Digest)
	if errors.Is(err, cache.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.Now.Sub(info.LastUsed) <= o.MinAge {
		got.Kept++
		return nil
	}
	if !o.DryRun {
		if err := c.cfg.Own.Delete(ctx, b.Digest); err != nil {
			return err
		}
	}
	got.Blobs++
	got.Bytes += info.Size
	return nil
}

// markPointers marks what live pointers refer to and returns the old ones.
func (c *Cache) markPointers(ctx context.Context, o GCOptions, live map[cache.Digest]bool, got *Collected) (old []string, err error) {
	for p, err := range c.cfg.Own.ListPointers(ctx, "") {
		if err != nil {
			return nil, err
		}
		if o.Now.Sub(p.Modified) > o.PointerAge {
			old = append(old, p.Name)
			continue
		}
		t, _, err := c.read(ctx, c.cfg.Own, p.Name, true)
		switch {
		case errors.Is(err, errAbsent):
			continue
		case errors.Is(err, cache.ErrNotFound) || errors.Is(err, cache.ErrCorrupt):
			// Mark what can be read of it, so that Verify can mend it.
			got.Broken++
			c.cfg.Warn(err)
			if err := c.markBroken(ctx, p.Name, live); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		mark(live, t)
	}
	return old, nil
}

func mark(live map[cache.Digest]bool, t *Tree) {
	for _, s := range t.segments {
		live[s.Digest] = true
	}
	for _, e := range t.entries {
		if e.at.blob != nil {
			live[e.at.blob.digest] = true
		}
	}
}

func (c *Cache) markBroken(ctx context.Context, name string, live map[cache.Digest]bool) error {
	p, err := c.cfg.Own.GetPointer(ctx, name)
	if errors.Is(err, cache.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	refs, err := decodePointer(name, p.Value)
	if err != nil {
		return nil // it refers to nothing
	}
	for _, ref := range refs {
		t, err := c.load(ctx, []segmentRef{ref}, true)
		if err == nil {
			mark(live, t)
		} else if !errors.Is(err, cache.ErrNotFound) && !errors.Is(err, cache.ErrCorrupt) {
			return err
		}
	}
	return nil
}

func (c *Cache) markActions(ctx context.Context, o GCOptions, live map[cache.Digest]bool) (old []cache.Key, err error) {
	for a, err := range c.cfg.Own.ListActions(ctx) {
		if err != nil {
			return nil, err
		}
		if o.Now.Sub(a.Modified) > o.ActionAge {
			old = append(old, a.Key)
			continue
		}
		action, err := c.cfg.Own.GetAction(ctx, a.Key)
		if errors.Is(err, cache.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, b := range action.Blobs {
			live[b.Digest] = true
		}
	}
	return old, nil
}
