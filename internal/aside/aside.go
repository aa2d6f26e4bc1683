// Package aside does work that gives way to other processes: what is of use if
// the machine has nothing better to do.
package aside

import "context"

type key struct{}

// With marks all work under the context that is done by Do.
func With(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, true) }

// Do does the work and returns when it is done. Where its context is marked,
// and the system has priorities of threads, the work is of low priority;
// goroutines that it starts are not.
func Do(ctx context.Context, work func()) {
	if ctx.Value(key{}) == nil {
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
