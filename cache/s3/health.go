package s3

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fastship/fastship/cache"
)

// health adds up the time that a run loses to a bucket, and leaves the bucket
// alone when that reaches a budget. Lost are attempts that fail, the client's
// pauses between them, and what a read waits for an answer beyond a second.
// What is lost side by side is lost once. An answer that holds, a refusal
// among them, is no loss.
//
// A bucket whose downloads come too slowly to be worth it is left alone too.
//
// With the limit on an attempt, a run loses at most budget + limit on the road
// and budget + 2 × limit in what it sends in the background, 9 and 13 seconds
// by default, and 6 seconds to slow downloads.
type health struct {
	bucket string
	budget time.Duration

	mu    sync.Mutex
	lost  time.Duration
	until time.Time // what is before is counted
	came  time.Time // when something last came
	away  error     // ErrAway with its cause, once the budget is spent

	readers int       // that wait for bytes
	since   time.Time // up to where their waiting is counted
	waited  time.Duration
	bytes   int64 // that came while waited grew
}

const (
	// pause is the longest pause between two attempts that counts as lost:
	// the client waits a second at most.
	pause = 1500 * time.Millisecond
	// answerIn is how long a read may wait for an answer for nothing.
	answerIn = time.Second
	// slowest is the speed in bytes a second of all downloads together below
	// which they are given up: Maven's own repository gives as much.
	slowest = 1 << 20
)

// check returns ErrAway, wrapped with its cause, when the bucket is left alone.
func (h *health) check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.away
}

// failed counts the time of an attempt that failed for cause.
func (h *health) failed(start, end time.Time, cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if start.Before(h.until) || start.Sub(h.until) < pause {
		start = h.until
	}
	if !end.Before(start) {
		h.lost += end.Sub(start)
		h.until = end
	}
	if h.lost >= h.budget {
		h.leave(fmt.Errorf("%w; it has cost %v", cause, h.lost.Round(100*time.Millisecond)))
	}
}

// answered counts the time that a read waited too long for its answer.
func (h *health) answered(start, end time.Time, read bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := start.Add(answerIn)
	if from.Before(h.came) {
		from = h.came
	}
	if read && end.After(from) {
		h.waited += end.Sub(from)
		h.judge(fmt.Errorf("S3 answers after %v", end.Sub(start).Round(100*time.Millisecond)))
	}
	h.came = end
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
		h.away = fmt.Errorf("%w: bucket %s: %w", cache.ErrAway, h.bucket, cause)
	}
}

// reading begins to wait for bytes of a download.
func (h *health) reading() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readers == 0 {
		h.since = time.Now()
	}
	h.readers++
}

// read ends to wait: n bytes came.
func (h *health) read(n int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.waited += now.Sub(h.since)
	h.since = now
	h.readers--
	h.bytes += int64(n)
	if n > 0 {
		h.came = now
	}
	h.judge(errSlow)
	return h.away
}

var errSlow = errors.New("its downloads come below 1 MiB/s")

// judge gives up on a bucket that gives too little for the time waited.
func (h *health) judge(cause error) {
	if h.waited < h.budget {
		return
	}
	if float64(h.bytes) < h.waited.Seconds()*slowest {
		h.leave(cause)
	}
	h.waited, h.bytes = 0, 0
}
