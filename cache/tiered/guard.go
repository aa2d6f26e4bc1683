package tiered

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fastship/fastship/cache"
)

// slowest is the speed, in bytes a second, below which a transfer is given up.
const slowest = 256 << 10

// guard stands before the remote stores: it limits each request and, after a
// time-out or a few failures, lets none through any more.
type guard struct {
	warn    func(error)
	timeout time.Duration
	allowed int

	mu       sync.Mutex
	failures int
	away     bool
	readOnly bool
	said     map[string]bool
}

// errTimeout is the cause of a request's end by its limit.
var errTimeout = errors.New("no answer in time")

// do runs one request that moves size bytes. The request calls alive when
// bytes moved. ErrNotFound is an answer; other errors count as failures,
// unless they are the caller's own end.
func (g *guard) do(ctx context.Context, size int64, request func(ctx context.Context, alive func()) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.isAway() {
		return cache.ErrAway
	}
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(g.timeout, func() { cancel(errTimeout) })
	defer silence.Stop()
	whole := time.AfterFunc(g.timeout+time.Duration(size/slowest)*time.Second, func() { cancel(errTimeout) })
	defer whole.Stop()
	err := request(limited, func() { silence.Reset(g.timeout) })
	switch {
	case err == nil, errors.Is(err, cache.ErrNotFound):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	timedOut := errors.Is(context.Cause(limited), errTimeout)
	if timedOut {
		err = fmt.Errorf("%w after %v", errTimeout, g.timeout)
	}
	g.failed(err, timedOut)
	return err
}

func (g *guard) isAway() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.away
}

// failed counts a failure. What is about one object, or about the right to
// write, tells nothing of the other requests.
func (g *guard) failed(err error, timedOut bool) {
	if errors.Is(err, cache.ErrCorrupt) || errors.Is(err, errLocal) {
		g.say(err.Error(), err)
		return
	}
	if errors.Is(err, cache.ErrAway) { // the store itself has counted
		g.mu.Lock()
		g.away = true
		g.mu.Unlock()
		for inner := err; errors.Is(inner, cache.ErrAway); inner = errors.Unwrap(inner) {
			err = inner // without the one request that met it
		}
		g.say("away", err)
		return
	}
	if errors.Is(err, cache.ErrReadOnly) {
		g.mu.Lock()
		g.readOnly = true
		g.mu.Unlock()
		g.say("read-only", fmt.Errorf("nothing more is sent to the remote cache: %w", err))
		return
	}
	g.mu.Lock()
	g.failures++
	g.away = g.away || timedOut || g.failures >= g.allowed
	away := g.away
	g.mu.Unlock()
	if away {
		g.say("away", fmt.Errorf("%w: %w", cache.ErrAway, err))
	}
}

// mayWrite tells whether a write has a chance.
func (g *guard) mayWrite() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.away && !g.readOnly
}

// say warns once of each kind.
func (g *guard) say(kind string, err error) {
	g.mu.Lock()
	first := !g.said[kind]
	g.said[kind] = true
	g.mu.Unlock()
	if first && g.warn != nil {
		g.warn(err)
	}
}
