package aside

import (
	"context"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// priority is the calling thread's niceness; the system call gives 20 minus it
// (getpriority(2)).
func priority(t *testing.T) int {
	t.Helper()
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	if err != nil {
		t.Fatal(err)
	}
	return 20 - raw
}

func TestDo(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	usual := priority(t)
	within := func(ctx context.Context) (got int) {
		Do(ctx, func() { got = priority(t) })
		return got
	}
	if got := within(t.Context()); got != usual {
		t.Errorf("without a mark: %d, want %d", got, usual)
	}
	marked, hurry := With(t.Context())
	if got := within(marked); got != min(usual+niceness, 19) {
		t.Errorf("marked: %d, want %d", got, usual+niceness)
	}
	child, cancel := context.WithCancel(marked)
	defer cancel()
	if got := within(child); got != min(usual+niceness, 19) {
		t.Errorf("below the mark: %d, want %d", got, usual+niceness)
	}
	cancel()
	if got := within(child); got != usual {
		t.Errorf("when it is over: %d, want %d", got, usual)
	}
	hurry()
	if got := within(marked); got != usual {
		t.Errorf("in a hurry: %d, want %d", got, usual)
	}
	if got := priority(t); got != usual {
		t.Errorf("afterwards: %d, want %d", got, usual)
	}
	threads := make(chan int)
	for range 64 { // no thread of low priority is left to others
		go func() { threads <- priority(t) }()
	}
	for range 64 {
		if got := <-threads; got != usual {
			t.Errorf("another goroutine runs at %d, want %d", got, usual)
		}
	}
}
