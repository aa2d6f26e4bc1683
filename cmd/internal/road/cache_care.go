package road

import (
	"context"
	"errors"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/runner"
)

// cachePlace is one of the stores of a scope's builds.
type cachePlace struct {
	name  string // local or remote
	where string
	store cache.Store
	trees *tree.Cache
}

// cachePlaces are the local store and, where there is one, the remote one,
// which answers; the local one is returned beside them, too. Each fault is told
// once.
func cachePlaces(ctx context.Context, opt Options, warn func(error)) ([]cachePlace, *dir.Store, error) {
	memory, err := openMemory(opt, func(runner.Body) {})
	if err != nil {
		return nil, nil, err
	}
	if err := memory.remotes.check(ctx); err != nil {
		return nil, nil, err
	}
	at := func(name, where string, store cache.Store) cachePlace {
		return cachePlace{name, where, store, tree.New(tree.Config{Own: store, Warn: warn})}
	}
	places := []cachePlace{at("local", memory.store.Root(), memory.store)}
	if memory.remotes.own != nil {
		places = append(places, at("remote", opt.Spec.Cache.Store, memory.remotes.own))
	}
	return places, memory.store, nil
}

// CacheVerified is what a verification read in one place, and what was wrong
// there: dropped, unless it was a dry run.
type CacheVerified struct {
	Place string `json:"place"` // local or remote
	Where string `json:"where"`
	tree.Verified
}

// VerifyCache reads every blob, pointer and action of opt's scope, here and in
// the remote store, and drops what is not what its name or sum says, unless
// opt.DryRun.
func VerifyCache(ctx context.Context, opt Options, warn func(error)) ([]CacheVerified, error) {
	return atEach(ctx, opt, warn, func(p cachePlace) (CacheVerified, error) {
		got, err := p.trees.Verify(ctx, opt.DryRun)
		return CacheVerified{p.name, p.where, got}, err
	})
}

// atEach does the same in every place; what one refuses does not spare the
// others.
func atEach[T any](ctx context.Context, opt Options, warn func(error), work func(cachePlace) (T, error)) ([]T, error) {
	places, _, err := cachePlaces(ctx, opt, warn)
	if err != nil {
		return nil, err
	}
	var all []T
	var errs []error
	for _, p := range places {
		got, err := work(p)
		all, errs = append(all, got), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// CacheCollected is what a collection removed in one place.
type CacheCollected struct {
	Place string `json:"place"` // local or remote
	Where string `json:"where"`
	tree.Collected
}

// CollectCache removes what no live pointer or action refers to from the
// stores of opt's scope; with opt.DryRun it only tells.
func CollectCache(ctx context.Context, opt Options, warn func(error)) ([]CacheCollected, error) {
	return atEach(ctx, opt, warn, func(p cachePlace) (CacheCollected, error) {
		got, err := p.trees.GC(ctx, tree.GCOptions{DryRun: opt.DryRun})
		return CacheCollected{p.name, p.where, got}, err
	})
}
