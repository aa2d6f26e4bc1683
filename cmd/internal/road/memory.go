package road

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cache/lease"
	"github.com/fastship/fastship/cache/tiered"
	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/maven"
)

// leasesDir, in the folder of a scope's cache, holds Maven's leased
// repositories.
const leasesDir = "leases"

// sendGrace bounds how long the end of a run waits for what is still on its
// way to the remote cache.
const sendGrace = 30 * time.Second

// memory is the run's cache: the user's, or, where that cannot be written, a
// temporary one, so that a cache's fault costs time and never the run.
type memory struct {
	cache.Cache
	local        cache.Cache // this machine's alone, --force or not
	pinned       cache.Cache // for what is the same whenever it comes, --force or not
	repositories maven.Repositories
	store        *dir.Store // this machine's
	remotes      remotes
	tiers        *tiered.Store // nil without a remote store
	root         string        // where all scopes are
	temporary    string        // removed at the end; empty for the user's own
	force        bool
}

// openMemory opens the user's cache without writing to it.
func openMemory(opt Options, tell func(runner.Body)) (*memory, error) {
	store, err := openLocal(opt)
	if err != nil {
		return nil, err
	}
	m := &memory{force: opt.Force, root: opt.CacheDir}
	m.Warn = warnings(tell)
	if m.remotes, err = openRemotes(opt); err != nil {
		return nil, err
	}
	m.use(store)
	return m, nil
}

// use makes a local store the one of this run. Without a folder for leased
// repositories Maven uses the user's own.
func (m *memory) use(store *dir.Store) {
	pool, err := lease.Open(filepath.Join(store.Root(), leasesDir), lease.Options{MaxBytes: store.MaxBytes() / 2, Blobs: store, Warn: m.Warn})
	if err != nil {
		m.Warn(fmt.Errorf("%w; Maven uses the user's own repository", err))
	}
	m.store, m.Blobs, m.Actions = store, store, store
	m.local = cache.Cache{Blobs: store, Actions: store, Warn: m.Warn}
	trees := tree.Config{Own: store, Warn: m.Warn}
	if m.remotes.own != nil {
		c := tiered.Config{Local: store, Own: m.remotes.own, Warn: m.Warn}
		if m.remotes.base != nil {
			c.Base = m.remotes.base
		}
		m.tiers = tiered.New(c)
		m.Blobs, m.Actions = m.tiers, m.tiers
		trees.Own, trees.Base, trees.Local = m.remotes.own, m.remotes.base, store
	}
	m.pinned = m.Cache
	if m.force {
		m.Actions = forgetful{m.Actions}
	}
	m.repositories = maven.Repositories{Trees: tree.New(trees), Leases: pool, Shared: m.remotes.own != nil, Warn: m.Warn}
}

// try writes to the cache for a try, and turns to a temporary one where that
// fails.
func (m *memory) try(ctx context.Context) error {
	probe, err := m.store.Create(ctx)
	if err == nil {
		_, err = probe.Write([]byte{0})
		probe.Abort()
	}
	if err == nil {
		err = roomFor(m.store.Root())
	}
	if err == nil {
		if err := touchScope(m.root, m.store.Root()); err != nil {
			m.Warn(err)
		}
		return nil
	}
	m.Warn(fmt.Errorf("write to the cache: %w; this run uses a temporary one", err))
	if m.temporary, err = os.MkdirTemp("", "fastship-cache-"); err != nil {
		return err
	}
	store, err := dir.Open(m.temporary, dir.Options{})
	if err != nil {
		return err
	}
	m.use(store)
	return nil
}

// close sends what is still to be sent, keeps the cache within its size, and
// removes a temporary one.
func (m *memory) close(ctx context.Context) {
	if m.tiers != nil {
		limited, cancel := context.WithTimeout(ctx, sendGrace)
		_ = m.tiers.Flush(limited) // it says what was not sent
		cancel()
	}
	if m.temporary != "" {
		if err := os.RemoveAll(m.temporary); err != nil {
			m.Warn(err)
		}
		return
	}
	if err := errors.Join(m.trim(ctx), forgetScopes(m.root, time.Now())); err != nil {
		m.Warn(err)
	}
}

// trim keeps blobs and leased repositories together within the cache's size:
// repositories within half of it, blobs within what these leave.
func (m *memory) trim(ctx context.Context) error {
	if m.repositories.Leases == nil {
		return m.store.Trim(ctx)
	}
	if err := m.repositories.Leases.Trim(ctx); err != nil {
		return err
	}
	leased, err := m.repositories.Leases.Bytes()
	if err != nil || leased == 0 {
		return errors.Join(err, m.store.Trim(ctx))
	}
	rest, err := dir.Open(m.store.Root(), dir.Options{MaxBytes: max(m.store.MaxBytes()-leased, m.store.MaxBytes()/2)})
	if err != nil {
		return err
	}
	return rest.Trim(ctx)
}
