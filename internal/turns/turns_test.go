package turns

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestOneAtATimePerKey(t *testing.T) {
	var turns Turns[string]
	var all sync.WaitGroup
	var inside [2]atomic.Int32
	for i := range 40 {
		all.Go(func() {
			leave, err := turns.Take(t.Context(), []string{"a", "b"}[i%2])
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside[i%2].Add(1); n != 1 {
				t.Errorf("%d work on one key", n)
			}
			inside[i%2].Add(-1)
			leave()
		})
	}
	all.Wait()
	if len(turns.busy) != 0 {
		t.Errorf("left %v", turns.busy)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	var turns Turns[int]
	leave, err := turns.Take(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	other, err := turns.Take(t.Context(), 2)
	if err != nil {
		t.Fatalf("another key waits: %v", err)
	}
	other()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := turns.Take(ctx, 1)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
