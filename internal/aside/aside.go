// Package aside does work that gives way to other processes, as long as nobody
// waits for it.
package aside

import (
	"context"
	"sync/atomic"
)

type key struct{}

// With marks the work under a context, as Do does it, as work that gives way.
// hurry tells that somebody waits for it from now on.
func With(ctx context.Context) (_ context.Context, hurry func()) {
	waited := &atomic.Bool{}
	return context.WithValue(ctx, key{}, waited), func() { waited.Store(true) }
}

// Do does a piece of work, and returns when it is done. Where its context is
// marked and not over, nobody waits, and the system has priorities of threads,
// work runs at a low one; goroutines that it starts do not. It is best called for what takes
// milliseconds: a piece that was begun is not hurried.
func Do(ctx context.Context, work func()) {
	if waited, marked := ctx.Value(key{}).(*atomic.Bool); !marked || waited.Load() || ctx.Err() != nil {
		work()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		lower()
		work()
	}()
	<-done
}
