package maven

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/fastship/fastship/cache/lease"
	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/runner"
)

// fetch reads entries of the found trees and tells how far it is. A store that
// is slower than a Maven repository gives up by itself, and what is missing
// then Maven downloads.
func (s *Step) fetch(env runner.Env, found trees) lease.Fetch {
	return func(ctx context.Context, want []tree.Entry, sink tree.Sink) ([]tree.Entry, error) {
		p := &progress{env: env}
		var release, mutable, missing []tree.Entry
		for _, e := range want {
			switch {
			case has(found.releases, e):
				release = append(release, e)
			case has(found.snapshots, e):
				mutable = append(mutable, e)
			default: // it was this host's alone
				missing = append(missing, e)
				continue
			}
			p.total += e.Size
		}
		defer p.tell()()
		counting := func(ctx context.Context, e tree.Entry, r io.Reader) error { return sink(ctx, e, &metered{r, p}) }
		more, err := s.deps.Repositories.Trees.Fetch(ctx, found.releases, release, counting)
		missing = append(missing, more...)
		if err == nil && len(mutable) > 0 {
			more, err = s.deps.Repositories.Trees.Fetch(ctx, found.snapshots, mutable, counting)
			missing = append(missing, more...)
		}
		return missing, err
	}
}

// has tells whether an entry is of a tree.
func has(t *tree.Tree, e tree.Entry) bool {
	if t == nil {
		return false
	}
	kept, ok := t.Get(e.Path)
	return ok && kept.Digest == e.Digest
}

// progress counts what a restore has read.
type progress struct {
	env   runner.Env
	total int64 // bytes wanted
	done  atomic.Int64
}

// tell tells every second how far the restore is, until stop is called.
func (p *progress) tell() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticks := time.NewTicker(time.Second)
		defer ticks.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticks.C:
				p.env.Emit(runner.Progress{What: "restore Maven's repository", Unit: "bytes", Done: min(p.done.Load(), p.total), Total: p.total})
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// metered counts what is read of a file.
type metered struct {
	io.Reader
	progress *progress
}

// Read implements io.Reader.
func (m *metered) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.progress.done.Add(int64(n))
	return n, err
}
