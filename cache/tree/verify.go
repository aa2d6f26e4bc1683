package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
)

// Verified counts what Verify read and what was bad: dropped, unless it ran
// dry.
type Verified struct {
	Blobs       int   `json:"blobs"`
	Pointers    int   `json:"pointers"`
	Actions     int   `json:"actions"`
	Bytes       int64 `json:"bytes"` // of the blobs
	BadBlobs    int   `json:"badBlobs"`
	BadPointers int   `json:"badPointers"`
	BadActions  int   `json:"badActions"`
	Mended      int   `json:"mended"` // of BadPointers, those that kept some segments
}

// Verify reads all that Own holds. A bad blob is deleted, so that its next use
// is a miss; a pointer loses the segments that are not there, and goes when
// none is left; an action goes when a blob of it is not there. The error is a
// store's that cannot be read.
func (c *Cache) Verify(ctx context.Context, dryRun bool) (Verified, error) {
	v := &verify{c: c, dry: dryRun, good: map[cache.Digest]bool{}}
	for _, step := range []func(context.Context) error{v.blobs, v.pointers, v.actions} {
		if err := step(ctx); err != nil {
			return v.got, fmt.Errorf("verify the cache: %w", err)
		}
	}
	return v.got, nil
}

type verify struct {
	c   *Cache
	dry bool
	mu  sync.Mutex
	// good are the blobs that were read right.
	good map[cache.Digest]bool
	got  Verified
}

func (v *verify) blobs(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(v.c.cfg.Requests)
	for b, err := range v.c.cfg.Own.List(ctx) {
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		g.Go(func() error { return v.blob(ctx, b) })
	}
	return g.Wait()
}

func (v *verify) blob(ctx context.Context, b cache.BlobInfo) error {
	r, err := v.c.cfg.Own.Open(ctx, b.Digest, 0, -1)
	var n int64
	if err == nil {
		n, err = io.Copy(io.Discard, r)
		r.Close()
	}
	if errors.Is(err, cache.ErrNotFound) {
		return nil
	}
	if err != nil && !errors.Is(err, cache.ErrCorrupt) {
		return err
	}
	v.mu.Lock()
	v.got.Blobs++
	v.got.Bytes += n
	if err == nil {
		v.good[b.Digest] = true
	} else {
		v.got.BadBlobs++
	}
	v.mu.Unlock()
	if err == nil || v.dry {
		return nil
	}
	return v.c.cfg.Own.Delete(ctx, b.Digest)
}

func (v *verify) pointers(ctx context.Context) error {
	for p, err := range v.c.cfg.Own.ListPointers(ctx, "") {
		if err != nil {
			return err
		}
		if p, err = v.c.cfg.Own.GetPointer(ctx, p.Name); errors.Is(err, cache.ErrNotFound) {
			continue
		} else if err != nil {
			return err
		}
		v.got.Pointers++
		if err := v.pointer(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (v *verify) pointer(ctx context.Context, p cache.Pointer) error {
	refs, _ := decodePointer(p.Name, p.Value) // none: it goes
	var left []segmentRef
	for _, ref := range refs {
		_, err := v.c.load(ctx, []segmentRef{ref}, true)
		if err == nil {
			left = append(left, ref)
		} else if !errors.Is(err, cache.ErrNotFound) && !errors.Is(err, cache.ErrCorrupt) {
			return err
		}
	}
	if len(left) > 0 && len(left) == len(refs) {
		return nil
	}
	v.got.BadPointers++
	if len(left) > 0 {
		v.got.Mended++
	}
	if v.dry {
		return nil
	}
	if len(left) == 0 {
		return v.c.cfg.Own.DeletePointer(ctx, p.Name)
	}
	value, err := encodePointer(left)
	if err != nil {
		return err
	}
	_, err = v.c.cfg.Own.PutPointer(ctx, p.Name, value, p.Version)
	if errors.Is(err, cache.ErrMoved) {
		return nil // somebody's save came first, and began anew
	}
	return err
}

func (v *verify) actions(ctx context.Context) error {
	for a, err := range v.c.cfg.Own.ListActions(ctx) {
		if err != nil {
			return err
		}
		v.got.Actions++
		action, err := v.c.cfg.Own.GetAction(ctx, a.Key)
		bad := errors.Is(err, cache.ErrNotFound)
		if err != nil && !bad {
			return err
		}
		for _, b := range action.Blobs {
			if v.good[b.Digest] {
				continue
			}
			// It may have come after the blobs were listed.
			_, err := v.c.cfg.Own.Stat(ctx, b.Digest)
			bad = bad || errors.Is(err, cache.ErrNotFound)
			if err != nil && !errors.Is(err, cache.ErrNotFound) {
				return err
			}
		}
		if !bad {
			continue
		}
		v.got.BadActions++
		if !v.dry {
			if err := v.c.cfg.Own.DeleteAction(ctx, a.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// PointerStatus is what `fastship cache status` shows of a pointer.
type PointerStatus struct {
	Name     string
	Modified time.Time
	Entries  int
	Bytes    int64 // of the files
	Segments int
	Packs    int     // not counting blobs that are one file
	Dead     float64 // share of the packs' decoded bytes that this tree does not use
	Err      error   // why the tree cannot be read; the numbers are then zero
}

// Status tells of every pointer in Own, in no promised order.
func (c *Cache) Status(ctx context.Context) ([]PointerStatus, error) {
	var out []PointerStatus
	for p, err := range c.cfg.Own.ListPointers(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("list the pointers: %w", err)
		}
		s := PointerStatus{Name: p.Name, Modified: p.Modified}
		t, _, err := c.read(ctx, c.cfg.Own, p.Name, true)
		if err != nil {
			s.Err = err
		} else {
			s.Entries, s.Bytes, s.Segments = t.Len(), t.Bytes(), len(t.segments)
			s.Packs, s.Dead = dead(t.entries)
		}
		out = append(out, s)
	}
	return out, nil
}

// dead counts the packs of entries and the share of them that no entry uses.
func dead(entries []Entry) (packs int, share float64) {
	var all usage
	u := usages(entries)
	for _, p := range u {
		all.live += p.live
		all.total += p.total
	}
	if all.total == 0 {
		return 0, 0
	}
	return len(u), all.dead()
}
