package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
)

// Config says where trees are kept. Only Own must be set.
type Config struct {
	Own   cache.Store     // the scope that is written
	Base  cache.Store     // the trusted scope an untrusted one reads; nil for trusted
	Local cache.BlobStore // keeps segments on this machine; nil: nothing does
	Warn  func(error)     // told of each fault that was got round, once; may be called from several goroutines
	Now   func() time.Time
	// Requests bounds the requests under way (0: 16), Writers the sinks that
	// write small files (0: one per CPU).
	Requests, Writers int
}

// Cache finds, fetches and saves trees. Its methods may be called from several
// goroutines and processes.
type Cache struct {
	cfg Config

	mu  sync.Mutex
	bad map[cache.Digest]bool // segments that a store has with other bytes
}

// New returns the cache of a configuration. It does nothing yet.
func New(cfg Config) *Cache {
	cfg.Warn = once(cfg.Warn)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Requests <= 0 {
		cfg.Requests = 16
	}
	if cfg.Writers <= 0 {
		cfg.Writers = runtime.GOMAXPROCS(0)
	}
	return &Cache{cfg: cfg, bad: map[cache.Digest]bool{}}
}

// once drops what was said before: Find and Save may meet the same fault.
func once(warn func(error)) func(error) {
	var mu sync.Mutex
	said := map[string]bool{}
	return func(err error) {
		mu.Lock()
		again := said[err.Error()]
		said[err.Error()] = true
		mu.Unlock()
		if warn != nil && !again {
			warn(err)
		}
	}
}

// Find returns the tree of the first pointer there is: each name in Own, then
// in Base. One that cannot be read is passed over, with a warning when there
// is another. ErrNotFound, wrapped, when there is none, and the first fault
// when one was met. Find writes nothing.
func (c *Cache) Find(ctx context.Context, pointers ...string) (*Tree, string, error) {
	var fault error
	for _, name := range pointers {
		for _, own := range []bool{true, false} {
			store := c.cfg.Own
			if !own {
				store = c.cfg.Base
			}
			if store == nil {
				continue
			}
			t, _, err := c.read(ctx, store, name, own)
			if err == nil {
				if fault != nil {
					c.cfg.Warn(fault)
				}
				return t, name, nil
			}
			if ctx.Err() != nil || errors.Is(err, cache.ErrAway) {
				return nil, "", err
			}
			switch {
			case errors.Is(err, errAbsent):
			case errors.Is(err, cache.ErrNotFound), errors.Is(err, cache.ErrCorrupt):
				c.cfg.Warn(err)
			case fault == nil:
				fault = err
			}
		}
	}
	if fault != nil {
		return nil, "", fault
	}
	return nil, "", fmt.Errorf("find a tree: %w", cache.ErrNotFound)
}

// errAbsent tells a pointer that is not there from one whose segments are not.
var errAbsent = errors.New("no such pointer")

// read returns a pointer's tree. The version is set as soon as the pointer
// itself was read, so that a save can replace a broken one.
func (c *Cache) read(ctx context.Context, store cache.Store, name string, own bool) (*Tree, string, error) {
	p, err := store.GetPointer(ctx, name)
	if errors.Is(err, cache.ErrNotFound) {
		return nil, "", fmt.Errorf("%w: %w", errAbsent, err)
	}
	if err != nil {
		return nil, "", err // which names the pointer
	}
	refs, err := decodePointer(name, p.Value)
	if err != nil {
		return nil, p.Version, err
	}
	t, err := c.load(ctx, refs, own)
	if err != nil {
		return nil, p.Version, fmt.Errorf("read the tree of pointer %s: %w", name, err)
	}
	t.pointer, t.version = name, p.Version
	return t, p.Version, nil
}

// load reads segments side by side and lays them over each other.
func (c *Cache) load(ctx context.Context, refs []segmentRef, own bool) (*Tree, error) {
	lists, stored := make([][]Entry, len(refs)), make([][]byte, len(refs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.cfg.Requests)
	for i, ref := range refs {
		g.Go(func() error {
			b, local, err := c.segment(ctx, ref, own)
			if err != nil {
				return err
			}
			if lists[i], err = decodeSegment(b); err != nil {
				return fmt.Errorf("segment %s: %w", ref.Digest, err)
			}
			if !local {
				stored[i] = b
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	entries := lists[0]
	if len(lists) > 1 {
		entries = union(lists...)
	}
	t := newTree(entries)
	t.segments, t.owner, t.own = refs, c, own
	if c.cfg.Local != nil {
		t.fresh = map[cache.Digest][]byte{}
		for i, b := range stored {
			if b != nil {
				t.fresh[refs[i].Digest] = b
			}
		}
	}
	return t, nil
}

// sources are the stores to ask, the one the tree was found in first: a miss
// costs a round trip, and the digest decides in either.
func (c *Cache) sources(own bool) []cache.BlobStore {
	switch {
	case c.cfg.Base == nil:
		return []cache.BlobStore{c.cfg.Own}
	case own:
		return []cache.BlobStore{c.cfg.Own, c.cfg.Base}
	}
	return []cache.BlobStore{c.cfg.Base, c.cfg.Own}
}

// segment returns a segment's stored bytes, from Local, else from the first
// source whose bytes are right; a bad answer is asked for once more.
func (c *Cache) segment(ctx context.Context, ref segmentRef, own bool) (b []byte, local bool, err error) {
	if c.cfg.Local != nil {
		if b, err := readBlob(ctx, c.cfg.Local, ref); err == nil {
			return b, true, nil
		}
	}
	sources := c.sources(own)
	for try := range 2 {
		for _, s := range sources {
			var e error
			if b, e = readBlob(ctx, s, ref); e == nil {
				return b, false, nil
			}
			if err == nil || !errors.Is(e, cache.ErrNotFound) {
				err = e
			}
		}
		if ctx.Err() != nil || try == 0 && errors.Is(err, cache.ErrNotFound) {
			break
		}
	}
	if errors.Is(err, cache.ErrCorrupt) {
		c.mu.Lock()
		c.bad[ref.Digest] = true
		c.mu.Unlock()
	}
	return nil, false, fmt.Errorf("read segment %s: %w", ref.Digest, err)
}

func readBlob(ctx context.Context, s cache.BlobStore, ref segmentRef) ([]byte, error) {
	r, err := s.Open(ctx, ref.Digest, 0, ref.Size)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, ref.Size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != ref.Size || cache.Sum(b) != ref.Digest {
		return nil, fmt.Errorf("blob %s: %w", ref.Digest, cache.ErrCorrupt)
	}
	return b, nil
}

// keepLocal stores what Find fetched; Find itself writes nothing.
func (c *Cache) keepLocal(ctx context.Context, t *Tree) {
	t.mu.Lock()
	fresh := t.fresh
	t.fresh = nil
	t.mu.Unlock()
	for d, b := range fresh {
		if err := c.cfg.Local.Put(ctx, d, int64(len(b)), bytes.NewReader(b)); err != nil {
			c.cfg.Warn(fmt.Errorf("keep segment %s here: %w", d, err))
			return
		}
	}
}
