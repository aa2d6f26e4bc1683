package runner

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// background is the work that steps left behind: it outlives their failure
// and is joined before the run ends.
type background struct {
	state  *state
	ctx    context.Context // lives as long as the set itself, which is one run
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newBackground(ctx context.Context, s *state) *background {
	ctx, cancel := context.WithCancel(ctx)
	return &background{state: s, ctx: ctx, cancel: cancel}
}

func (b *background) start(stage, what string, work func(context.Context) error) {
	b.wg.Go(func() {
		if err := b.state.guard(stage, func() error { return work(b.ctx) }); err != nil {
			b.state.emit(stage, Warning{Text: fmt.Sprintf("%s: %v", what, err)})
		}
	})
}

// join waits for the work, at most grace long, then cancels it and waits for
// it to notice.
func (b *background) join(grace time.Duration) {
	timer := time.AfterFunc(grace, b.cancel)
	defer timer.Stop()
	b.wg.Wait()
	b.cancel()
}
