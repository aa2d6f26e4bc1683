package image

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/jre"
)

// shelf is a Maven repository with the named libraries of an application.
type shelf struct {
	dir   string
	names []string
}

func newShelf(t *testing.T, names ...string) shelf {
	t.Helper()
	s := shelf{t.TempDir(), names}
	for _, name := range names {
		if err := os.WriteFile(s.file(name), []byte(library(t, name)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s shelf) file(name string) string { return filepath.Join(s.dir, name) }

// foreseen are the libraries in Maven's order, which is not that of a layer.
func (s shelf) foreseen() []Foreseen {
	var all []Foreseen
	for _, name := range slices.Backward(s.names) {
		all = append(all, Foreseen{Name: name, File: s.file(name)})
	}
	return all
}

// application packs the libraries, and what else it is given.
func (s shelf) application(t *testing.T, more map[string]string) In {
	t.Helper()
	entries := map[string]string{}
	for _, name := range s.names {
		entries["BOOT-INF/lib/"+name] = library(t, name)
	}
	for name, content := range more {
		entries[name] = content
	}
	return bootJar(t, t.TempDir(), time.Now(), entries)
}

// prepares is a Step whose Prepare was called, and who it told of what.
type prepares struct {
	*Step
	mu     sync.Mutex
	blobs  []int          // of each call of Coming
	layers []cache.Digest // that it was told of
	over   int            // withdrawals
	end    context.CancelFunc
	ended  chan struct{}
}

func prepare(t *testing.T, base, state string, memory *cache.Cache, foreseen []Foreseen) *prepares {
	t.Helper()
	p := &prepares{ended: make(chan struct{})}
	config := Config{Base: base, Layout: filepath.Join(t.TempDir(), "image"), Train: trainNever}
	p.Step = New(config, Deps{Cache: memory, State: state, Coming: func(_ context.Context, blobs int) (func(cache.Descriptor), func(context.Context)) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.blobs = append(p.blobs, blobs)
		return func(d cache.Descriptor) {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.layers = append(p.layers, d.Digest)
			}, func(context.Context) {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.over++
			}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	p.end = cancel
	t.Cleanup(cancel)
	go func() { defer close(p.ended); p.Prepare(ctx) }()
	if foreseen != nil {
		p.Foresee(foreseen)
	}
	return p
}

// settled waits until everything that was foreseen is made, or given up.
func (p *prepares) settled(t *testing.T, layers int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		p.Step.mu.Lock()
		a := p.Step.ahead
		p.Step.mu.Unlock()
		if a != nil && a.made() == layers {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not %d layers were made ahead", layers)
		}
	}
}

// made is how many layers were made.
func (a *ahead) made() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.flight {
		select {
		case <-f.done:
			n++
		default:
		}
	}
	return n
}

func (p *prepares) run(t *testing.T, in In) (runner.Result[Out], []runner.Body) {
	t.Helper()
	var said told
	r, err := p.Run(t.Context(), said.env(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r, said.all
}

// kept counts what is kept by its key.
type kept struct {
	cache.ActionStore
	mu   sync.Mutex
	puts map[cache.Key]int
}

func (l *kept) PutAction(ctx context.Context, key cache.Key, a cache.Action) error {
	l.mu.Lock()
	l.puts[key]++
	l.mu.Unlock()
	return l.ActionStore.PutAction(ctx, key, a)
}

// TestForeseen: what was made ahead is what Run would have made, and is not made
// twice; a wrong guess changes nothing.
func TestForeseen(t *testing.T) {
	libraries := newShelf(t, "big-1.0.jar", "small-1.0.jar", "h2-2.jar") // of which bootJar has two
	other := newShelf(t, "big-1.0.jar", "small-1.0.jar", "h2-3.jar")
	in := libraries.application(t, nil)
	plain, wanted := newCache(t), &kept{puts: map[cache.Key]int{}}
	wanted.ActionStore, plain.Actions = plain.Actions, wanted
	base := "oci:" + baseLayout(t, runtime.GOARCH)
	want, asWell := prepare(t, base, t.TempDir(), plain, nil).run(t, in)
	note := func(said []runner.Body) string {
		for _, b := range said {
			if n, ok := b.(runner.Note); ok && strings.Contains(n.Text, " new") {
				return n.Text
			}
		}
		return ""
	}
	for name, c := range map[string]struct {
		foreseen []Foreseen
		ahead    bool // the layer of the libraries is made once, and before Run
	}{
		"all":             {foreseen: libraries.foreseen(), ahead: true},
		"one too few":     {foreseen: libraries.foreseen()[1:]},
		"another version": {foreseen: other.foreseen()},
		"none":            {},
		"no such file":    {foreseen: []Foreseen{{Name: "h2-2.jar", File: filepath.Join(t.TempDir(), "h2-2.jar")}}},
		"a folder":        {foreseen: []Foreseen{{Name: "h2-2.jar", File: t.TempDir()}}},
	} {
		t.Run(name, func(t *testing.T) {
			memory := newCache(t)
			counts := &kept{ActionStore: memory.Actions, puts: map[cache.Key]int{}}
			memory.Actions = counts
			p := prepare(t, base, t.TempDir(), memory, c.foreseen)
			if c.ahead {
				p.settled(t, 1)
				p.mu.Lock()
				if len(p.layers) != 1 || p.over > 0 {
					t.Errorf("told of %d layers, %d withdrawals", len(p.layers), p.over)
				}
				p.mu.Unlock()
			}
			r, said := p.run(t, in)
			if r.Out.Digest != want.Out.Digest {
				t.Errorf("image %s, want %s", r.Out.Digest, want.Out.Digest)
			}
			if text := note(said); text != note(asWell) || text == "" {
				t.Errorf("said %q, want %q", text, note(asWell))
			}
			for key, n := range counts.puts {
				if n > 1 || c.ahead && wanted.puts[key] == 0 {
					t.Errorf("%s was made %d times, and %d times without anything foreseen", key, n, wanted.puts[key])
				}
			}
			if c.ahead {
				<-p.ended // Run has taken over
			}
			if p.over == 0 {
				t.Error("nothing was withdrawn at the end")
			}
		})
	}
}

// TestForeseenIsAllThatIsNew: Run says that the image is a new one, and what of,
// where all it had to write was written ahead.
func TestForeseenIsAllThatIsNew(t *testing.T) {
	libraries, base, memory := newShelf(t, "big-1.0.jar", "small-1.0.jar", "h2-2.jar"), "oci:"+baseLayout(t, runtime.GOARCH), newCache(t)
	prepare(t, base, t.TempDir(), memory, nil).run(t, libraries.application(t, map[string]string{"BOOT-INF/lib/h2-2.jar": library(t, "other bytes")}))
	p := prepare(t, base, t.TempDir(), memory, libraries.foreseen())
	p.settled(t, 1)
	if !slices.Equal(p.blobs, []int{0}) || len(p.layers) != 1 {
		t.Fatalf("ahead, Coming was called with %v, and told of %v", p.blobs, p.layers)
	}
	r, _ := p.run(t, libraries.application(t, nil))
	if !slices.Equal(p.blobs, []int{0, 2}) { // a config and a layer
		t.Errorf("Coming was called with %v", p.blobs)
	}
	for _, l := range r.Out.Layers[len(r.Out.Layers)-2:] {
		if !slices.Contains(p.layers, l.Digest) {
			t.Errorf("not told of %s", l.Name)
		}
	}
}

// TestForeseenWithoutRun: when the build fails, what was told is withdrawn, and
// Prepare ends.
func TestForeseenWithoutRun(t *testing.T) {
	p := prepare(t, "oci:"+baseLayout(t, runtime.GOARCH), t.TempDir(), newCache(t), newShelf(t, "spring-core-7.jar").foreseen())
	p.settled(t, 1)
	p.end()
	<-p.ended
	if p.over != 1 {
		t.Errorf("%d withdrawals", p.over)
	}
}

// TestForeseenTooLate: libraries that are told of when Run has begun are Run's.
func TestForeseenTooLate(t *testing.T) {
	libraries := newShelf(t, "spring-core-7.jar")
	p := prepare(t, "oci:"+baseLayout(t, runtime.GOARCH), t.TempDir(), newCache(t), nil)
	p.run(t, libraries.application(t, nil))
	told := len(p.layers)
	p.Foresee(libraries.foreseen())
	p.Foresee(libraries.foreseen())
	<-p.ended // by itself
	if p.ahead != nil || len(p.layers) > told {
		t.Errorf("made ahead: %v, told of %v", p.ahead, p.layers)
	}
}

// TestForeseenHandedOver: what Run has taken over is not withdrawn when its end
// is heard of at the same time.
func TestForeseenHandedOver(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // a select of two that are ready takes any
		a := &ahead{taken: make(chan struct{})}
		if a.handedOver(over) {
			t.Fatal("nobody has taken it over")
		}
		close(a.taken)
		if !a.handedOver(over) || !a.handedOver(t.Context()) {
			t.Fatal("Run has taken it over")
		}
	}
}

// TestForeseenBreaks: a Prepare that panics lets nobody wait for it.
func TestForeseenBreaks(t *testing.T) {
	memory := newCache(t)
	memory.Actions = broken{memory.Actions}
	s := New(Config{Base: "oci:" + baseLayout(t, runtime.GOARCH)}, Deps{Cache: memory})
	a := &ahead{flight: map[cache.Key]*flight{}, coming: &coming{}}
	files := []layerFile{{Path: "app/lib/a.jar"}}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nothing broke")
			}
		}()
		s.writeOneAhead(t.Context(), a, "dependencies", files)
	}()
	a.await(t.Context(), s.layerKey(files))
}

// broken panics.
type broken struct{ cache.ActionStore }

func (broken) GetAction(context.Context, cache.Key) (cache.Action, error) { panic("broken") }

// TestForeseenChanged: a library whose bytes are not those that its name and
// size stood for the last time is not made a layer of.
func TestForeseenChanged(t *testing.T) {
	libraries, state, base := newShelf(t, "big-1.0.jar", "small-1.0.jar"), t.TempDir(), "oci:"+baseLayout(t, runtime.GOARCH)
	in := libraries.application(t, nil)
	want, _ := prepare(t, base, state, newCache(t), nil).run(t, in)
	text := []byte(library(t, "big-1.0.jar"))
	text[len(text)/2] ^= 1
	if err := os.WriteFile(libraries.file("big-1.0.jar"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	p := prepare(t, base, state, newCache(t), libraries.foreseen())
	p.settled(t, 1)
	if len(p.layers) > 0 {
		t.Errorf("told of a layer with other bytes: %v", p.layers)
	}
	if r, _ := p.run(t, in); r.Out.Digest != want.Out.Digest {
		t.Errorf("image %s, want %s", r.Out.Digest, want.Out.Digest)
	}
}

// TestAheadHandsOver: Run waits for the layers that it wants, and ends the
// others; nothing more begins.
func TestAheadHandsOver(t *testing.T) {
	a := &ahead{flight: map[cache.Key]*flight{}}
	wantedCtx, wanted := a.begin(t.Context(), "wanted")
	otherCtx, other := a.begin(t.Context(), "other")
	if a.sights() != nil {
		t.Error("sights before anything was written")
	}
	wanted.wrote.Store(true)
	a.watch = jre.NewWatch(nil)
	if a.sights() != a.watch {
		t.Error("no sights")
	}
	if !a.only([]cache.Key{"wanted", "unknown"}) {
		t.Error("the wanted layer is new")
	}
	if wantedCtx.Err() != nil || otherCtx.Err() == nil {
		t.Errorf("wanted %v, other %v", wantedCtx.Err(), otherCtx.Err())
	}
	if _, more := a.begin(t.Context(), "more"); more != nil {
		t.Error("one more began")
	}
	other.end()
	go func() { time.Sleep(20 * time.Millisecond); wanted.end() }()
	if !a.await(t.Context(), "wanted") || wantedCtx.Err() == nil {
		t.Error("did not wait for the wanted layer")
	}
	if a.await(t.Context(), "unknown") {
		t.Error("waited for what never began")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.flight["stuck"] = &flight{cancel: func() {}, done: make(chan struct{})}
	if a.await(ctx, "stuck") {
		t.Error("a layer that is not there was new")
	}
}
