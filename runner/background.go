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
	over   chan struct{} // closed when no step is left
}

// headStart is how long the steps that follow have the machine to themselves:
// what is left behind is hashing and packing on every processor, an image of a
// small change takes a tenth of a second, and a cold one some.
const headStart = 3 * time.Second

func newBackground(ctx context.Context, s *state) *background {
	ctx, cancel := context.WithCancel(ctx)
	return &background{state: s, ctx: ctx, cancel: cancel, over: make(chan struct{})}
}

func (b *background) start(stage, what string, work func(context.Context) error) {
	b.wg.Go(func() {
		begin := time.NewTimer(headStart)
		defer begin.Stop()
		select {
		case <-begin.C:
		case <-b.over:
		}
		if err := b.state.guard(stage, func() error { return work(b.ctx) }); err != nil {
			b.state.emit(stage, Warning{Text: fmt.Sprintf("%s: %v", what, err)})
		}
	})
}

// join waits for the work, at most grace long, then cancels it and waits for
// it to notice.
func (b *background) join(grace time.Duration) {
	close(b.over)
	timer := time.AfterFunc(grace, b.cancel)
	defer timer.Stop()
	b.wg.Wait()
	b.cancel()
}
