package road

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/fault"
)

// CacheStatus is what is kept for one scope, on this machine and beyond.
type CacheStatus struct {
	Scope   string       `json:"scope"`
	Dir     string       `json:"dir"`
	Cap     int64        `json:"cap"` // bytes
	Bytes   int64        `json:"bytes"`
	Folders []CachedKind `json:"folders"`
	// Store is the remote store's address, Remote what lies there; absent
	// without one.
	Store  string       `json:"store,omitempty"`
	Remote []CachedKind `json:"remote,omitempty"`
	Trees  []CachedTree `json:"trees"` // Maven repositories, of the remote store where there is one
}

// CachedKind is one kind of what is kept.
type CachedKind struct {
	Kind  string `json:"kind"` // blobs, actions, expanded, leases
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"` // 0 for the remote store's actions, which a listing does not size
}

// CachedTree is a Maven repository that a branch's builds share.
type CachedTree struct {
	Name     string    `json:"name"`
	Modified time.Time `json:"modified"`
	Files    int       `json:"files"`
	Bytes    int64     `json:"bytes"`
	Packs    int       `json:"packs"`
	Dead     float64   `json:"dead"` // share of the packs' bytes that no file uses
	Fault    string    `json:"fault,omitempty"`
}

// ReadCacheStatus counts what is kept for opt's scope. It writes nothing; an
// absent cache is an empty one.
func ReadCacheStatus(ctx context.Context, opt Options, warn func(error)) (CacheStatus, error) {
	places, local, err := cachePlaces(ctx, opt, warn)
	if err != nil {
		return CacheStatus{}, err
	}
	s := CacheStatus{Scope: opt.scope(), Dir: local.Root(), Cap: local.MaxBytes(), Trees: []CachedTree{}}
	for _, kind := range []string{"blobs", "actions", "expanded", leasesDir} {
		k, err := countFolder(ctx, filepath.Join(s.Dir, kind), kind)
		if err != nil {
			return s, fmt.Errorf("count the cache: %w", err)
		}
		s.Folders, s.Bytes = append(s.Folders, k), s.Bytes+k.Bytes
	}
	last := places[len(places)-1]
	if len(places) > 1 {
		s.Store = last.where
		if s.Remote, err = countStore(ctx, last.store); err != nil {
			return s, fmt.Errorf("count the cache: %w", err)
		}
	}
	pointers, err := last.trees.Status(ctx)
	for _, p := range pointers {
		t := CachedTree{p.Name, p.Modified, p.Entries, p.Bytes, p.Packs, p.Dead, ""}
		if p.Err != nil {
			t.Fault = p.Err.Error()
		}
		s.Trees = append(s.Trees, t)
	}
	return s, err
}

func countFolder(ctx context.Context, dir, kind string) (CachedKind, error) {
	k := CachedKind{Kind: kind}
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				k.Files, k.Bytes = k.Files+1, k.Bytes+info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process evicted it meanwhile
		}
		return err
	})
	return k, err
}

func countStore(ctx context.Context, store cache.Store) ([]CachedKind, error) {
	blobs, actions := CachedKind{Kind: "blobs"}, CachedKind{Kind: "actions"}
	for b, err := range store.List(ctx) {
		if err != nil {
			return nil, err
		}
		blobs.Files, blobs.Bytes = blobs.Files+1, blobs.Bytes+b.Size
	}
	for _, err := range store.ListActions(ctx) {
		if err != nil {
			return nil, err
		}
		actions.Files++
	}
	return []CachedKind{blobs, actions}, nil
}

// openLocal opens the local cache of the run's scope without writing to it.
func openLocal(opt Options) (*dir.Store, error) {
	store, err := dir.Open(scopeDir(opt.CacheDir, opt.scope()), dir.Options{MaxBytes: opt.CacheBytes})
	if err != nil {
		return nil, fault.New(fault.BadInput, "set FASTSHIP_CACHE_DIR to a folder", "%w", err)
	}
	return store, nil
}
