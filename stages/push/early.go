package push

import (
	"context"
	"io"
	"slices"
	"sync"

	"github.com/fastship/fastship/cache"
)

// early sends layers of an image while its others are still being made. It
// asks what the push would ask, once: what it has not begun, or could not send,
// is left to the push. A nil early does nothing.
type early struct {
	ctx    context.Context // of all that it asks and sends, from Expect on; ended by cancel
	r      *repository
	from   content
	p      *progress
	cancel context.CancelFunc
	all    sync.WaitGroup // what asks and what sends
	asking sync.WaitGroup

	mu      sync.Mutex
	over    bool // nothing more begins
	told    map[cache.Digest]*sending
	unasked []*sending
	lacking []*sending // asked for, and not there
	asks    bool       // somebody asks
	workers int        // that send
}

// aside is how many blobs are sent early at once. That costs the image next to
// no processor time, and a registry far away takes most of a second for each.
const aside = 4

// sending is a blob that early was told of.
type sending struct {
	blob  cache.Descriptor
	state state
	done  chan struct{} // closed when it was sent, or was not
}

type state int

const (
	isTold    state = iota // nobody has asked for it
	isThere                // the registry has it
	isLacking              // the registry does not have it
	isBegun                // it is being sent
	isMounted              // another repository had it
	isSent
	isFailed // ask again
)

// newEarly reads layers in the cache.
func newEarly(ctx context.Context, r *repository, blobs cache.LocalStore, cancel context.CancelFunc) *early {
	return &early{ctx: ctx, r: r, from: cached{blobs}, p: &progress{}, cancel: cancel, told: map[cache.Digest]*sending{}}
}

// layer is told of a layer that the image will have, and returns at once. A
// small one is not worth it: beside an image that is there it is sent without
// a question.
func (e *early) layer(b cache.Descriptor) {
	if b.Size <= smallBlob {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || e.told[b.Digest] != nil {
		return
	}
	s := &sending{blob: b, done: make(chan struct{})}
	e.told[b.Digest], e.unasked = s, append(e.unasked, s)
	if !e.asks {
		e.asks = true
		e.asking.Add(1)
		e.all.Go(func() { defer e.asking.Done(); e.ask(e.ctx) })
	}
}

// ask asks for what layer was told of, all that has come since the last
// question at once, until there is no more.
func (e *early) ask(ctx context.Context) {
	for some := e.takeUnasked(); len(some) > 0; some = e.takeUnasked() {
		blobs := make([]cache.Descriptor, len(some))
		for i, s := range some {
			blobs[i] = s.blob
		}
		missing, err := e.r.missing(ctx, blobs, false)
		e.answered(ctx, some, missing, err)
	}
}

func (e *early) takeUnasked() []*sending {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || len(e.unasked) == 0 {
		e.asks = false
		return nil
	}
	some := e.unasked
	e.unasked = nil
	return some
}

// answered starts to send what is missing. After an error nothing more begins:
// the push will meet it, or will not.
func (e *early) answered(ctx context.Context, some []*sending, missing []cache.Descriptor, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.over = true
		return
	}
	for _, s := range some {
		s.state = isThere
		if slices.ContainsFunc(missing, func(b cache.Descriptor) bool { return b.Digest == s.blob.Digest }) {
			s.state = isLacking
			e.lacking = append(e.lacking, s)
		}
	}
	for range min(len(e.lacking), aside-e.workers) {
		e.workers++
		e.all.Go(func() { e.work(ctx) })
	}
}

// work sends blobs until there is none left.
func (e *early) work(ctx context.Context) {
	for s := e.takeLacking(); s != nil; s = e.takeLacking() {
		sent, err := e.r.uploadBlob(ctx, e.from, s.blob, e.p)
		e.finished(s, sent, err)
	}
}

func (e *early) takeLacking() *sending {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || len(e.lacking) == 0 {
		e.workers--
		return nil
	}
	s := e.lacking[0]
	e.lacking = e.lacking[1:]
	s.state = isBegun
	e.p.expect(s.blob.Size)
	return s
}

func (e *early) finished(s *sending, sent bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer close(s.done)
	switch {
	case err != nil:
		s.state, e.over = isFailed, true
		e.p.expect(-s.blob.Size)
	case sent:
		s.state = isSent
	default:
		s.state = isMounted
	}
}

// handOver gives the push what it has to know of an image's blobs: those that
// are missing for sure, those that were begun, and those that nobody knows of.
// From now on nothing more begins.
func (e *early) handOver(blobs []cache.Descriptor) (missing []cache.Descriptor, begun []*sending, unknown []cache.Descriptor) {
	if e == nil {
		return nil, nil, blobs
	}
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	e.asking.Wait() // a question is answered sooner than asked again
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range blobs {
		s := e.told[b.Digest]
		switch {
		case s == nil || s.state == isTold:
			unknown = append(unknown, b)
		case s.state == isLacking:
			missing = append(missing, b)
		case s.state != isThere:
			begun = append(begun, s)
		}
	}
	return missing, begun, unknown
}

// await waits for blobs that were begun, and returns those that failed.
func (e *early) await(ctx context.Context, begun []*sending) (failed []cache.Descriptor, err error) {
	for _, s := range begun {
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if s.state == isFailed {
			failed = append(failed, s.blob)
		}
	}
	return failed, nil
}

// stop ends what is under way and waits for it. What was sent stays: if no
// image ever needs it, the registry's own collector takes it.
func (e *early) stop() {
	if e == nil {
		return
	}
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	e.cancel()
	e.all.Wait()
}

// end is stop, and returns, once, what was sent in all.
func (e *early) end() (sent []cache.Descriptor) {
	if e == nil {
		return nil
	}
	e.stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.told {
		if s.state == isSent {
			sent = append(sent, s.blob)
		}
	}
	clear(e.told)
	return sent
}

// cached are layers in the cache, before they are in a layout.
type cached struct {
	blobs cache.LocalStore
}

// open reads a blob from a byte on. It is not hashed again: the registry does
// that.
func (c cached) open(ctx context.Context, b cache.Descriptor, from int64) (io.ReadCloser, error) {
	return c.blobs.Open(ctx, b.Digest, from, b.Size-from)
}

func (c cached) verify(ctx context.Context, b cache.Descriptor) error {
	r, err := c.blobs.Open(ctx, b.Digest, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}
