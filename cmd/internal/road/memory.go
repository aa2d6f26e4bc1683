package road

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/runner"
)

// memory is the run's cache: the user's, or, where that cannot be written, a
// temporary one, so that a cache's fault costs time and never the run.
type memory struct {
	cache.Cache
	store     *dir.Store
	root      string // where all scopes are
	temporary string // removed at the end; empty for the user's own
	force     bool
}

// openMemory opens the user's cache without writing to it.
func openMemory(opt Options, tell func(runner.Body)) (*memory, error) {
	store, err := openLocal(opt)
	if err != nil {
		return nil, err
	}
	m := &memory{force: opt.Force, root: opt.CacheDir}
	m.Warn = func(err error) { tell(runner.Warning{Text: err.Error()}) }
	m.use(store)
	return m, nil
}

func (m *memory) use(store *dir.Store) {
	m.store, m.Blobs, m.Actions = store, store, store
	if m.force {
		m.Actions = forgetful{store}
	}
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

// close keeps the cache within its size, and removes a temporary one.
func (m *memory) close(ctx context.Context) {
	if m.temporary != "" {
		if err := os.RemoveAll(m.temporary); err != nil {
			m.Warn(err)
		}
		return
	}
	if err := errors.Join(m.store.Trim(ctx), forgetScopes(m.root, time.Now())); err != nil {
		m.Warn(err)
	}
}
