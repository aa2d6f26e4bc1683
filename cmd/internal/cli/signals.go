package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signalled is the cause of a context that a signal ended.
type signalled struct{ signal syscall.Signal }

func (s *signalled) Error() string {
	if s.signal == syscall.SIGINT {
		return "interrupted"
	}
	return "terminated"
}

// withSignals returns a context that the first SIGINT or SIGTERM cancels, so
// that everything ends within its grace period. A second SIGINT ends the
// process at once: children die with it by their parent-death signal.
func withSignals(parent context.Context, exit func(int)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				if ctx.Err() != nil && s == syscall.SIGINT {
					exit(128 + int(syscall.SIGINT))
				}
				cancel(&signalled{s.(syscall.Signal)})
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
