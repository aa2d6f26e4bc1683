package push

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/fastship/fastship/stages/push/ecrtest"
)

// making is an image whose layers are told of before it is whole.
type making struct {
	in     In
	layers []cache.Descriptor
}

// newMaking puts the image's layers into the cache, as the image's step does.
func newMaking(t *testing.T, memory *cache.Cache, layers ...[]byte) making {
	t.Helper()
	in := makeImage(t, t.TempDir(), layers...)
	image, err := readImage(in.Layout, in.Digest)
	if err != nil {
		t.Fatal(err)
	}
	m := making{in, image.blobs[:len(image.blobs)-1]} // the config is the last
	for _, b := range m.layers {
		f, err := os.Open(oci.BlobPath(in.Layout, b.Digest))
		if err == nil {
			err = memory.Blobs.Put(t.Context(), b.Digest, b.Size, f)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return m
}

// expecting is a step that was told of a new image.
func expecting(ctx context.Context, t *testing.T, c Config, deps Deps) (step *Step, layer func(cache.Descriptor), withdraw func(context.Context)) {
	t.Helper()
	step = New(c, deps)
	if err := step.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	layer, withdraw = step.Expect(ctx, 2)
	return step, layer, withdraw
}

// states counts the blobs of a state.
func (e *early) states(s state) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.told {
		if b.state == s {
			n++
		}
	}
	return n
}

// until waits for something that other goroutines do.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for too long: %s", what)
		}
	}
}

// TestEarly: layers are sent while others are made; the push has the rest to
// send, and in all asks and tells what a push of the whole image does.
func TestEarly(t *testing.T) {
	for name, told := range map[string]int{"all layers": 4, "two of four": 2, "none": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, other, deps := newServer(t), newServer(t), anonymous()
			deps.State, deps.Cache = t.TempDir(), newMemory(t)
			m := newMaking(t, deps.Cache, random(200_000), random(300_000), random(400_000), random(250_000), random(1000))

			plain := New(Config{Repository: other.host() + "/x"}, anonymous())
			if err := plain.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			want, err := plain.Run(t.Context(), (&events{}).env(), m.in)
			if err != nil {
				t.Fatal(err)
			}
			asked := other.take()

			step, layer, withdraw := expecting(t.Context(), t, Config{Repository: s.host() + "/x"}, deps)
			for range 2 { // a layer that is made again is the same one
				for _, b := range slices.Concat(m.layers[:told], m.layers[4:]) {
					layer(b)
				}
			}
			until(t, "the layers are sent", func() bool { return step.remote.early.states(isSent) == told })
			var e events
			r, err := step.Run(t.Context(), e.env(), m.in)
			if err != nil {
				t.Fatal(err)
			}
			withdraw(t.Context())
			if got := s.take(); !slices.Equal(got, asked) {
				t.Errorf("asked\n%q, a push alone\n%q", got, asked)
			}
			if r.Out.Blobs != 6 || r.Out.Bytes != want.Out.Bytes || r.Out.Reused != 0 {
				t.Errorf("%+v, a push alone %+v", r.Out, want.Out)
			}
			if e.last.Done != r.Out.Bytes || e.last.Total != r.Out.Bytes {
				t.Errorf("last progress %+v of %d", e.last, r.Out.Bytes)
			}
			if err := validate.Image(pull(t, r.Out.Reference)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEarlyJoins: the push waits for blobs that are being sent, and sends those
// that were not begun without asking for them again.
func TestEarlyJoins(t *testing.T) {
	s, deps := newServer(t), anonymous()
	deps.Cache = newMemory(t)
	m := newMaking(t, deps.Cache, random(200_000), random(210_000), random(220_000), random(230_000), random(240_000), random(250_000), random(260_000))
	var puts, heads atomic.Int32
	later := make(chan struct{})
	s.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodHead && kind(r.URL.Path) == "blobs":
			heads.Add(1)
		case r.Method == http.MethodPut && kind(r.URL.Path) == "blobs/uploads":
			if puts.Add(1) == aside+1 { // which is the push's own
				close(later)
			}
			<-later
		}
		return false
	})
	step, layer, _ := expecting(t.Context(), t, Config{Repository: s.host() + "/x"}, deps)
	for _, b := range m.layers {
		layer(b)
	}
	until(t, "some are on their way", func() bool { return puts.Load() == aside })
	time.Sleep(20 * time.Millisecond)
	if n := puts.Load(); n != aside {
		t.Errorf("%d blobs are sent at once", n)
	}
	var e events
	r, err := step.Run(t.Context(), e.env(), m.in)
	if err != nil || r.Out.Blobs != 8 || r.Out.Reused != 0 || e.last.Done != r.Out.Bytes || e.last.Total != r.Out.Bytes {
		t.Errorf("%+v, %+v, %v", r.Out, e.last, err)
	}
	if puts.Load() != 7 || heads.Load() != 8 { // the config goes by POST
		t.Errorf("%d PUT and %d HEAD for eight blobs", puts.Load(), heads.Load())
	}
	if err := validate.Image(pull(t, r.Out.Reference)); err != nil {
		t.Error(err)
	}
}

// TestEarlyAsksNobody: what the registry is seen to have is not asked for, nor
// is anything before the repository is known.
func TestEarlyAsksNobody(t *testing.T) {
	s, deps := newServer(t), anonymous()
	deps.State, deps.Cache = t.TempDir(), newMemory(t)
	base, lib := random(400_000), random(300_000)
	first := newMaking(t, deps.Cache, base, lib, random(1000))
	config := Config{Repository: s.host() + "/x"}
	asks := func(what string, layer func(cache.Descriptor), m making, want ...string) {
		t.Helper()
		s.take()
		for _, b := range m.layers {
			layer(b)
		}
		time.Sleep(10 * time.Millisecond)
		if got := s.take(); !slices.Equal(got, want) {
			t.Errorf("%s: asked %q, want %q", what, got, want)
		}
	}
	layer, _ := New(config, deps).Expect(t.Context(), 2)
	asks("never checked", layer, first)
	bare := deps
	bare.Cache = nil
	_, layer, _ = expecting(t.Context(), t, config, bare)
	asks("no cache to read", layer, first)

	if _, err := New(config, deps).Run(t.Context(), (&events{}).env(), first.in); err != nil {
		t.Fatal(err)
	}
	// A one-line change: its layer goes with the push.
	step, layer, _ := expecting(t.Context(), t, config, deps)
	second := newMaking(t, deps.Cache, base, lib, random(1001))
	asks("a line", layer, second)
	if r, err := step.Run(t.Context(), (&events{}).env(), second.in); err != nil || r.Out.Blobs != 2 || r.Out.Reused != 2 {
		t.Errorf("%+v, %v", r.Out, err)
	}
	// The same image from a machine that knows nothing: the registry has all,
	// and nothing is sent.
	deps.State = t.TempDir()
	step, layer, _ = expecting(t.Context(), t, config, deps)
	asks("another machine", layer, second, "HEAD blobs", "HEAD blobs")
	if r, err := step.Run(t.Context(), (&events{}).env(), second.in); err != nil || r.Status != runner.Cached || r.Out.Blobs != 0 || r.Out.Reused != 4 {
		t.Errorf("%+v, %v", r.Out, err)
	}
}

// TestEarlyMounts: a layer that this machine pushed to another repository is
// mounted, and is none of those that were sent.
func TestEarlyMounts(t *testing.T) {
	a := newAccount(t, ecrtest.Options{Mounting: true})
	a.deps.Cache = newMemory(t)
	a.Create("bills")
	lib := random(300_000)
	m := newMaking(t, a.deps.Cache, lib, random(200_000))
	if _, _, err := a.push(t, Config{}, newMaking(t, a.deps.Cache, lib).in); err != nil {
		t.Fatal(err)
	}
	step, layer, _ := expecting(t.Context(), t, Config{Repository: ecrRegistry + "/bills"}, a.deps)
	for _, b := range m.layers {
		layer(b)
	}
	e := step.remote.early
	until(t, "both are there", func() bool { return e.states(isMounted) == 1 && e.states(isSent) == 1 })
	var told events
	r, err := step.Run(t.Context(), told.env(), m.in)
	if err != nil || a.Tag("bills", r.Out.Tags[0]) != m.in.Digest || r.Out.Blobs != 2 || r.Out.Reused != 1 || told.last.Done != told.last.Total {
		t.Errorf("%+v, %+v, %v", r.Out, told.last, err)
	}
}

// TestEarlyDamage: a blob that the cache lost, or that is damaged there, fails
// where the push meets it, or not at all.
func TestEarlyDamage(t *testing.T) {
	s, deps := newServer(t), anonymous()
	deps.Cache = newMemory(t)
	deps.Cache.Warn = nil
	m := newMaking(t, deps.Cache, random(200_000), random(300_000))
	if err := deps.Cache.Blobs.Delete(t.Context(), m.layers[0].Digest); err != nil {
		t.Fatal(err)
	}
	step, layer, _ := expecting(t.Context(), t, Config{Repository: s.host() + "/x"}, deps)
	for _, b := range m.layers {
		layer(b)
	}
	until(t, "it is missed", func() bool { return step.remote.early.states(isFailed) == 1 })
	if r, err := step.Run(t.Context(), (&events{}).env(), m.in); err != nil || r.Out.Blobs != 3 {
		t.Errorf("%+v, %v", r.Out, err)
	}
}

// TestEarlyECR: ECR is asked for what is there with as many calls as there
// were moments to ask, and gets the same uploads; a repository that is not
// there yet gets nothing before the push makes it.
func TestEarlyECR(t *testing.T) {
	a := newAccount(t, ecrtest.Options{})
	a.deps.Cache = newMemory(t)
	m := newMaking(t, a.deps.Cache, random(400_000), random(300_000), random(200_000), random(1000))
	step, layer, _ := expecting(t.Context(), t, Config{Repository: ecrRegistry + "/orders"}, a.deps)
	a.Asked()
	for _, b := range m.layers {
		layer(b)
	}
	until(t, "the layers are sent", func() bool { return step.remote.early.states(isSent) == 3 })
	r, err := step.Run(t.Context(), (&events{}).env(), m.in)
	if err != nil || a.Tag("orders", r.Out.Tags[0]) != m.in.Digest || r.Out.Blobs != 5 {
		t.Fatalf("%+v, %v", r.Out, err)
	}
	count := map[string]int{}
	for _, asked := range a.Asked() {
		count[asked]++
	}
	if n := count["BatchCheckLayerAvailability"]; n < 2 || n > 4 || count["POST blobs/uploads"] != 5 || count["PUT blobs/uploads"] != 5 || count["PUT manifests"] != 1 {
		t.Errorf("asked %v", count)
	}

	step, layer, _ = expecting(t.Context(), t, Config{Repository: ecrRegistry + "/bills", Create: true}, a.deps)
	a.Asked()
	for _, b := range m.layers {
		layer(b)
	}
	time.Sleep(10 * time.Millisecond)
	if got := a.Asked(); len(got) > 0 {
		t.Errorf("asked %q for a repository that is not there", got)
	}
	if r, err := step.Run(t.Context(), (&events{}).env(), m.in); err != nil || a.Tag("bills", r.Out.Tags[0]) != m.in.Digest {
		t.Error(err)
	}
}

// TestEarlyECRKilled: the parts of a large layer that an image which failed had
// sent are the next run's.
func TestEarlyECRKilled(t *testing.T) {
	a := newAccount(t, ecrtest.Options{})
	a.deps.Cache = newMemory(t)
	m := newMaking(t, a.deps.Cache, random(17<<20))
	var patches atomic.Int64
	a.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && patches.Add(1) == 3 {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			return true
		}
		return false
	})
	for run := range 2 {
		step := a.step(Config{})
		if err := step.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		step.remote.chunk = 5 << 20
		layer, withdraw := step.Expect(t.Context(), 2)
		layer(m.layers[0])
		if run == 0 {
			until(t, "the third part is on its way", func() bool { return patches.Load() == 3 })
			withdraw(t.Context())
			continue
		}
		var e events
		r, err := step.Run(t.Context(), e.env(), m.in)
		if err != nil || a.Tag("orders", r.Out.Tags[0]) != m.in.Digest || e.last.Done != r.Out.Bytes {
			t.Fatal(err, e.last, r.Out)
		}
	}
	if patches.Load() != 5 { // two, the one that was cut, and two
		t.Errorf("%d parts", patches.Load())
	}
}

// TestEarlyAtRandom: layers come while the push begins, the registry fails now
// and then, and the image is there in the end, each blob counted once.
func TestEarlyAtRandom(t *testing.T) {
	s, deps := newServer(t), anonymous()
	deps.State, deps.Cache = filepath.Join(t.TempDir(), "registries"), newMemory(t)
	var n atomic.Int32
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if kind(r.URL.Path) != "manifests" && n.Add(1)%19 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	for range 3 {
		layers := make([][]byte, 6)
		for i := range layers {
			layers[i] = random(140_000 + 1000*i)
		}
		m := newMaking(t, deps.Cache, layers...)
		step, layer, withdraw := expecting(t.Context(), t, Config{Repository: s.host() + "/x"}, deps)
		var telling sync.WaitGroup
		for _, b := range m.layers {
			telling.Go(func() { layer(b) })
		}
		r, err := step.Run(t.Context(), (&background{}).env(), m.in)
		if err != nil || r.Out.Blobs != 7 {
			t.Fatalf("%+v, %v", r.Out, err)
		}
		telling.Wait()
		withdraw(t.Context())
		if err := validate.Image(pull(t, r.Out.Reference)); err != nil {
			t.Error(err)
		}
	}
}

// TestEarlyDistribution is the first push to a repository that comes into being
// with it, beside an image that takes its time; then that of another library.
func TestEarlyDistribution(t *testing.T) {
	integration(t)
	host, deps := distribution(t), anonymous()
	deps.State, deps.Cache = t.TempDir(), newMemory(t)
	base := random(6 << 20)
	for i, lib := range [][]byte{random(5 << 20), random(5 << 20)} {
		m := newMaking(t, deps.Cache, base, lib, random(200_000), random(100))
		step, layer, withdraw := expecting(t.Context(), t, Config{Repository: host + "/team/new"}, deps)
		for _, b := range m.layers {
			layer(b)
			time.Sleep(20 * time.Millisecond)
		}
		want := 3 - i // the base is there
		until(t, "the layers are sent", func() bool { return step.remote.early.states(isSent) == want })
		e := &background{}
		r, err := step.Run(t.Context(), e.env(), m.in)
		if err != nil || r.Out.Blobs != want+2 || r.Out.Reused != i || e.last.Done != r.Out.Bytes || e.last.Total != r.Out.Bytes {
			t.Fatalf("%+v, %+v, %v", r.Out, e.last, err)
		}
		if err := e.join(t.Context()); err != nil {
			t.Error(err)
		}
		withdraw(t.Context())
		if err := validate.Image(pull(t, r.Out.Reference)); err != nil {
			t.Error(err)
		}
	}
}
