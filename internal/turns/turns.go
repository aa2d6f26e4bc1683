// Package turns lets one goroutine at a time work on a key.
package turns

import (
	"context"
	"sync"
)

// Turns are the keys that are being worked on. The zero value is ready.
type Turns[K comparable] struct {
	mu   sync.Mutex
	busy map[K]chan struct{} // closed when the work has ended
}

// Take waits until nobody works on k. leave, which must be called, lets the
// next one in. The error is the context's.
func (t *Turns[K]) Take(ctx context.Context, k K) (leave func(), err error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t.mu.Lock()
		busy, ok := t.busy[k]
		if !ok {
			defer t.mu.Unlock()
			return t.start(k), nil
		}
		t.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// start begins the work on a key; the caller holds mu.
func (t *Turns[K]) start(k K) (leave func()) {
	if t.busy == nil {
		t.busy = map[K]chan struct{}{}
	}
	mine := make(chan struct{})
	t.busy[k] = mine
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.busy, k)
		close(mine)
	}
}
