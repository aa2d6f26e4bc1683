package maven

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/runner"
)

// A restore that moves fewer than slowest bytes a second, over the last
// patience seconds, is given up: a Maven repository delivers more than that
// (Central delivered 12 MB/s of small files in the lab).
const (
	slowest  = 1 << 20
	patience = 5 // seconds
)

var errSlow = errors.New("the cache delivers less than 1 MB/s, a Maven repository is faster")

// fetch reads entries of a restored repository's trees, tells how far it is,
// and gives up when that takes too long.
func (s *Step) fetch(env runner.Env, r *restored) func(context.Context, []tree.Entry, tree.Sink) ([]tree.Entry, error) {
	return func(ctx context.Context, want []tree.Entry, sink tree.Sink) ([]tree.Entry, error) {
		p := &pace{env: env}
		var release, mutable []tree.Entry
		for _, e := range want {
			p.total += e.Size
			if kept, ok := r.releases.Get(e.Path); ok && kept.Digest == e.Digest {
				release = append(release, e)
			} else {
				mutable = append(mutable, e)
			}
		}
		ctx, stop := p.watch(ctx, time.Second)
		defer stop()
		counting := func(ctx context.Context, e tree.Entry, r io.Reader) error { return sink(ctx, e, &metered{r, p}) }
		missing, err := s.deps.Repositories.Trees.Fetch(ctx, r.releases, release, counting)
		if err == nil && len(mutable) > 0 {
			var more []tree.Entry
			more, err = s.deps.Repositories.Trees.Fetch(ctx, r.snapshots, mutable, counting)
			missing = append(missing, more...)
		}
		if errors.Is(context.Cause(ctx), errSlow) {
			return missing, errSlow
		}
		return missing, err
	}
}

// pace counts what a restore has read.
type pace struct {
	env   runner.Env
	total int64 // bytes wanted
	done  atomic.Int64
}

// watch ends the context it returns when the pace gets too slow.
func (p *pace) watch(ctx context.Context, second time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticks := time.NewTicker(second)
		defer ticks.Stop()
		var then [patience]int64 // what was done at the last ticks
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
			}
			done := p.done.Load()
			p.env.Emit(runner.Progress{What: "restore Maven's repository", Unit: "bytes", Done: done, Total: p.total})
			if i >= patience && done-then[i%patience] < patience*slowest && done < p.total {
				cancel(errSlow)
				return
			}
			then[i%patience] = done
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
	}
}

// metered counts what is read of a file.
type metered struct {
	io.Reader
	pace *pace
}

// Read implements io.Reader.
func (c *metered) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.pace.done.Add(int64(n))
	return n, err
}
