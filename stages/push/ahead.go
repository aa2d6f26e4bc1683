package push

import (
	"context"
	"net/http"
	"net/url"
	"sync"

	"github.com/fastship/fastship/cache"
)

// ahead are uploads that were opened before anybody knew of what. A nil ahead
// has none.
type ahead struct {
	places chan *url.URL // one for each that was asked for; nil where there is none

	mu     sync.Mutex
	opened int // in all, or being opened
	left   int // that nobody has taken
}

// Expect is told that a new image is being made, with at least that many blobs
// of its own. It returns at once; ctx ends with the run, or later than withdraw
// is called. Expect is called after Check and before Run; more than once when
// more is known.
//
// Where the registry wants an upload to be opened before a blob is sent, and
// has the last image that this machine pushed, the uploads are opened
// meanwhile: no request more, a round trip less, and connections that a long
// build let go stale are open again.
//
// layer is to be told of each layer of the image that is whole in Deps.Cache.
// What of them the registry lacks is sent while others are still being made.
// It returns at once.
//
// withdraw is called when the run is over, or when there will be no image after
// all: it ends what is under way, waits for it and takes the uploads back. What
// Run has taken over is left to it.
func (s *Step) Expect(ctx context.Context, blobs int) (layer func(cache.Descriptor), withdraw func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.remote
	if r == nil || s.absent || s.begun {
		return func(cache.Descriptor) {}, func(context.Context) {}
	}
	if r.ahead == nil { // once: what is sent early reads it
		r.ahead = &ahead{places: make(chan *url.URL, parallel)}
		if s.deps.Cache != nil {
			ctx, cancel := context.WithCancel(ctx)
			r.early = newEarly(ctx, r, s.deps.Cache.Blobs, cancel)
		}
	}
	if r.seen.ours && r.memory.read().NoSingle {
		for range r.ahead.more(blobs) {
			go func() { r.ahead.places <- r.openUpload(ctx) }()
		}
	}
	if r.early == nil {
		return func(cache.Descriptor) {}, s.withdraw
	}
	return r.early.layer, s.withdraw
}

// begin tells that Run has begun: from now on it alone says what becomes of
// that which was begun early, and its context ends it. end waits for the end.
func (s *Step) begin(ctx context.Context) (end func() (sent []cache.Descriptor)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = true
	if s.remote == nil || s.remote.early == nil {
		return func() []cache.Descriptor { return nil }
	}
	e := s.remote.early
	stop := context.AfterFunc(ctx, e.cancel)
	return func() []cache.Descriptor {
		defer stop()
		return e.end()
	}
}

// withdraw does what Expect says of it.
func (s *Step) withdraw(ctx context.Context) {
	s.mu.Lock()
	begun, r := s.begun, s.remote
	s.mu.Unlock()
	if begun {
		return
	}
	r.early.stop()
	r.withdraw(ctx)
}

// openUpload asks for an upload; nil when the registry, or the network, does
// not give one: then it is asked again when there is something to send.
func (r *repository) openUpload(ctx context.Context) *url.URL {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url("blobs/uploads/"), http.NoBody)
	if err != nil {
		return nil
	}
	resp, err := r.do(req, http.StatusAccepted)
	if err != nil {
		return nil
	}
	place, err := resp.Location()
	if err != nil {
		return nil
	}
	return place
}

// more counts n uploads more, or as many as there may be, and returns how many
// those are.
func (a *ahead) more(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n = max(0, min(n, cap(a.places)-a.opened))
	a.opened += n
	a.left += n
	return n
}

// take waits for an upload that is being opened; nil when there is none left.
func (a *ahead) take(ctx context.Context) *url.URL {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	if a.left == 0 {
		a.mu.Unlock()
		return nil
	}
	a.left--
	a.mu.Unlock()
	select {
	case place := <-a.places:
		return place
	case <-ctx.Done():
		return nil
	}
}

// unused tells whether some were opened for nothing.
func (a *ahead) unused() bool {
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left > 0
}

// withdraw takes back what nobody took (distribution-spec's implementations
// know DELETE of an upload). Registries forget open uploads by themselves after
// some days, so a refusal is as well.
func (r *repository) withdraw(ctx context.Context) {
	for r.ahead.unused() {
		place := r.ahead.take(ctx)
		if place == nil {
			continue
		}
		if req, err := http.NewRequestWithContext(ctx, http.MethodDelete, place.String(), nil); err == nil {
			_, _ = r.do(req, http.StatusNoContent, http.StatusAccepted, http.StatusOK)
		}
	}
}
