package road

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/fault"
)

// CacheStatus is what this machine keeps for one scope.
type CacheStatus struct {
	Scope   string       `json:"scope"`
	Dir     string       `json:"dir"`
	Cap     int64        `json:"cap"` // bytes
	Bytes   int64        `json:"bytes"`
	Folders []CachedKind `json:"folders"`
}

// CachedKind is one kind of what is kept.
type CachedKind struct {
	Kind  string `json:"kind"` // blobs, actions, expanded
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// ReadCacheStatus counts the local cache of opt's scope. It writes nothing;
// an absent cache is an empty one.
func ReadCacheStatus(ctx context.Context, opt Options) (CacheStatus, error) {
	store, err := openLocal(opt)
	if err != nil {
		return CacheStatus{}, err
	}
	s := CacheStatus{Scope: opt.scope(), Dir: store.Root(), Cap: store.MaxBytes()}
	for _, kind := range []string{"blobs", "actions", "expanded"} {
		k := CachedKind{Kind: kind}
		err := filepath.WalkDir(filepath.Join(s.Dir, kind), func(_ string, d fs.DirEntry, err error) error {
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
		if err != nil {
			return s, fmt.Errorf("count the cache: %w", err)
		}
		s.Folders, s.Bytes = append(s.Folders, k), s.Bytes+k.Bytes
	}
	return s, nil
}

// CacheVerified is what a verification read, and what was wrong.
type CacheVerified struct {
	Scope string         `json:"scope"`
	Blobs int            `json:"blobs"`
	Bytes int64          `json:"bytes"`
	Bad   []cache.Digest `json:"bad"` // dropped, unless it was a dry run
}

// VerifyCache reads every blob of the local cache of opt's scope, and drops
// those that do not have the digest they are named by, unless opt.DryRun.
func VerifyCache(ctx context.Context, opt Options) (CacheVerified, error) {
	v := CacheVerified{Scope: opt.scope(), Bad: []cache.Digest{}}
	store, err := openLocal(opt)
	if err != nil {
		return v, err
	}
	for blob, err := range store.List(ctx) {
		if err != nil {
			return v, fmt.Errorf("verify the cache: %w", err)
		}
		n, err := readWhole(ctx, store, blob.Digest)
		switch {
		case errors.Is(err, cache.ErrNotFound):
			continue // evicted meanwhile
		case errors.Is(err, cache.ErrCorrupt):
			v.Bad = append(v.Bad, blob.Digest)
			if !opt.DryRun {
				err = store.Delete(ctx, blob.Digest)
			} else {
				err = nil
			}
		}
		if err != nil {
			return v, fmt.Errorf("verify the cache: %w", err)
		}
		v.Blobs, v.Bytes = v.Blobs+1, v.Bytes+n
	}
	return v, nil
}

func readWhole(ctx context.Context, store cache.BlobStore, d cache.Digest) (int64, error) {
	r, err := store.Open(ctx, d, 0, -1)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, r)
}

// openLocal opens the local cache of the run's scope without writing to it.
func openLocal(opt Options) (*dir.Store, error) {
	store, err := dir.Open(scopeDir(opt.CacheDir, opt.scope()), dir.Options{MaxBytes: opt.CacheBytes})
	if err != nil {
		return nil, fault.New(fault.BadInput, "set FASTSHIP_CACHE_DIR to a folder", "%w", err)
	}
	return store, nil
}
