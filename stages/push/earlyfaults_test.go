package push

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
)

// TestEarlyFails: what could not be sent early is the push's to send, and to
// tell of; once.
func TestEarlyFails(t *testing.T) {
	for name, c := range map[string]struct {
		act   func(w http.ResponseWriter)
		times int32 // that an upload's end is refused
		fails string
	}{
		"refused":       {act: status(http.StatusForbidden), times: 1},
		"broken":        {act: status(http.StatusInternalServerError), times: 2},
		"busy":          {act: status(http.StatusTooManyRequests), times: 2},
		"cut":           {act: hijack, times: 2},
		"digest":        {act: status(http.StatusBadRequest), times: 2},
		"never allowed": {act: status(http.StatusForbidden), times: 1 << 30, fails: "403"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, deps := newServer(t), anonymous()
			deps.State, deps.Cache = t.TempDir(), newMemory(t)
			m := newMaking(t, deps.Cache, random(200_000), random(300_000), random(400_000))
			var n atomic.Int32
			s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut && r.Method != http.MethodPatch || kind(r.URL.Path) != "blobs/uploads" || n.Add(1) > c.times {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				c.act(w)
				return true
			})
			step, layer, _ := expecting(t.Context(), t, Config{Repository: s.host() + "/x"}, deps)
			for _, b := range m.layers {
				layer(b)
			}
			e := step.remote.early
			until(t, "each is sent or given up", func() bool {
				return e.states(isSent)+e.states(isFailed) == 3 || e.states(isFailed) > 0 && e.states(isBegun) == 0
			})
			var told events
			r, err := step.Run(t.Context(), told.env(), m.in)
			if c.fails != "" {
				if err == nil || strings.Count(err.Error(), c.fails) != 1 {
					t.Errorf("%+v, %v", r.Out, err)
				}
				return
			}
			if err != nil || r.Out.Blobs != 4 || r.Out.Reused != 0 || told.last.Done != r.Out.Bytes || told.last.Total != r.Out.Bytes {
				t.Fatalf("%+v, %+v, %v", r.Out, told.last, err)
			}
			for _, b := range told.all {
				if w, ok := b.(runner.Warning); ok {
					t.Errorf("warned: %s", w.Text)
				}
			}
			if err := validate.Image(pull(t, r.Out.Reference)); err != nil {
				t.Error(err)
			}
		})
	}
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

// TestEarlyEnds: whoever ends the run ends what is under way, and waits for it.
func TestEarlyEnds(t *testing.T) {
	gone := errors.New("a signal")
	for name, end := range map[string]func(t *testing.T, cancel func(error), step *Step, m making, withdraw func(context.Context)){
		"no image": func(t *testing.T, _ func(error), _ *Step, _ making, withdraw func(context.Context)) {
			withdraw(t.Context())
		},
		"cancelled before the push": func(t *testing.T, cancel func(error), _ *Step, _ making, withdraw func(context.Context)) {
			cancel(gone)
			withdraw(t.Context())
		},
		"cancelled in the push": func(t *testing.T, _ func(error), step *Step, m making, _ func(context.Context)) {
			ctx, cancel := context.WithCancelCause(t.Context()) // not what Expect was given
			time.AfterFunc(50*time.Millisecond, func() { cancel(gone) })
			if _, err := step.Run(ctx, (&events{}).env(), m.in); !errors.Is(err, gone) {
				t.Errorf("got %v", err)
			}
		},
		"the push fails": func(t *testing.T, _ func(error), step *Step, m making, _ func(context.Context)) {
			m.in.Digest = string(cache.Sum([]byte("none")))
			if _, err := step.Run(t.Context(), (&events{}).env(), m.in); err == nil {
				t.Error("an image that is not there was pushed")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, deps := newServer(t), anonymous()
			deps.State, deps.Cache = t.TempDir(), newMemory(t)
			m := newMaking(t, deps.Cache, random(200_000), random(210_000), random(220_000), random(230_000), random(240_000))
			var open atomic.Int32
			s.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && kind(r.URL.Path) == "blobs/uploads" {
					_, _ = io.Copy(io.Discard, r.Body)
					open.Add(1)
					<-r.Context().Done()
					open.Add(-1)
					return true
				}
				return false
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			step, layer, withdraw := expecting(ctx, t, Config{Repository: s.host() + "/x"}, deps)
			for _, b := range m.layers {
				layer(b)
			}
			until(t, "some are on their way", func() bool { return open.Load() == aside })
			end(t, cancel, step, m, withdraw)
			e := step.remote.early
			if e.states(isBegun) > 0 || e.workers > 0 || e.asks {
				t.Errorf("something is under way: %+v", e)
			}
			until(t, "the registry sees the end", func() bool { return open.Load() == 0 })
			s.take()
			layer(newMaking(t, deps.Cache, random(500_000)).layers[0])
			time.Sleep(5 * time.Millisecond)
			if got := s.take(); len(got) > 0 {
				t.Errorf("after the end it asked %q", got)
			}
		})
	}
}

// TestEarlyWithdrawnLate: an end that comes while the push runs is the push's.
func TestEarlyWithdrawnLate(t *testing.T) {
	s, deps := newServer(t), anonymous()
	deps.Cache = newMemory(t)
	m := newMaking(t, deps.Cache, random(200_000), random(300_000))
	step, layer, withdraw := expecting(t.Context(), t, Config{Repository: s.host() + "/x"}, deps)
	var once sync.Once
	s.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && r.ContentLength < 1000 { // the config, which the push sends
			once.Do(func() { withdraw(context.Background()) })
		}
		return false
	})
	for _, b := range m.layers {
		layer(b)
	}
	if r, err := step.Run(t.Context(), (&events{}).env(), m.in); err != nil || r.Out.Blobs != 3 {
		t.Errorf("%+v, %v", r.Out, err)
	}
}
