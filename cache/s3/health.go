package s3

import (
	"fmt"
	"sync"
	"time"

	"github.com/fastship/fastship/cache"
)

// health adds up the time that a run loses to attempts that fail, and leaves
// the bucket alone when that reaches a budget. Attempts that fail side by side
// cost their time once, and the client's pause between two attempts counts.
// An answer that holds, refusals among them, is no loss.
//
// With the limit on an attempt, a run loses to a bucket that is away at most
// budget + limit on the road and budget + 2 × limit in what it sends in the
// background: 9 and 13 seconds by default.
type health struct {
	budget time.Duration

	mu    sync.Mutex
	lost  time.Duration
	until time.Time // what is before is counted
	away  error     // ErrAway with its cause, once it is reached
}

// pause is the longest pause between two attempts that counts as lost: the
// client waits a second at most.
const pause = 1500 * time.Millisecond

// check returns ErrAway, wrapped with its cause, when the bucket is left alone.
func (h *health) check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.away
}

// failed counts an attempt that failed for cause.
func (h *health) failed(start, end time.Time, cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if start.Before(h.until) || start.Sub(h.until) < pause {
		start = h.until
	}
	if end.After(start) {
		h.lost += end.Sub(start)
		h.until = end
	}
	if h.lost >= h.budget {
		h.leave(fmt.Errorf("after %v lost to it: %w", h.lost.Round(100*time.Millisecond), cause))
	}
}

// giveUp leaves the bucket alone at once, for what every other request would
// meet too, and returns that as an error.
func (h *health) giveUp(cause error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(cause)
	return h.away
}

func (h *health) leave(cause error) {
	if h.away == nil {
		h.away = fmt.Errorf("%w: %w", cache.ErrAway, cause)
	}
}
