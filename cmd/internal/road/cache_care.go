package road

import (
	"context"
	"errors"
	"sync"

	"github.com/fastship/fastship/cache"
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
// which answers. Each fault is told once.
func cachePlaces(ctx context.Context, opt Options, warn func(error)) ([]cachePlace, error) {
	memory, err := openMemory(opt, func(runner.Body) {})
	if err != nil {
		return nil, err
	}
	if err := memory.remotes.check(ctx); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	said := map[string]bool{}
	once := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if text := err.Error(); !said[text] {
			said[text] = true
			warn(err)
		}
	}
	at := func(name, where string, store cache.Store) cachePlace {
		return cachePlace{name, where, store, tree.New(tree.Config{Own: store, Warn: once})}
	}
	places := []cachePlace{at("local", memory.store.Root(), memory.store)}
	if memory.remotes.own != nil {
		places = append(places, at("remote", opt.Spec.Cache.Store, memory.remotes.own))
	}
	return places, nil
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
	places, err := cachePlaces(ctx, opt, warn)
	if err != nil {
		return nil, err
	}
	var all []CacheVerified
	var errs []error
	for _, p := range places {
		got, err := p.trees.Verify(ctx, opt.DryRun)
		all, errs = append(all, CacheVerified{p.name, p.where, got}), append(errs, err)
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
	places, err := cachePlaces(ctx, opt, warn)
	if err != nil {
		return nil, err
	}
	var all []CacheCollected
	var errs []error
	for _, p := range places {
		got, err := p.trees.GC(ctx, tree.GCOptions{DryRun: opt.DryRun})
		all, errs = append(all, CacheCollected{p.name, p.where, got}), append(errs, err)
	}
	return all, errors.Join(errs...)
}
