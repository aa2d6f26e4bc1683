package jre

import (
	"context"
	"strings"
	"sync"

	"github.com/fastship/fastship/cache"
)

// Watch finds what the classes of libraries name while somebody unpacks them
// for another purpose, so that Inspect need not unpack them once more. Nil
// watches nothing. Its methods may be called from several goroutines at once.
type Watch struct {
	mu   sync.Mutex
	jars map[cache.Digest]*sight
	over chan struct{} // closed by Close
}

// sight is what was seen of one jar.
type sight struct {
	idle bool          // nobody needs it, or it was seen
	done chan struct{} // closed when it was seen
	refs references
}

// NewWatch watches those of jars that are libraries with a digest.
func NewWatch(jars []Jar) *Watch {
	w := &Watch{jars: make(map[cache.Digest]*sight, len(jars)), over: make(chan struct{})}
	for _, jar := range jars {
		if jar.library() {
			w.jars[jar.Digest] = &sight{done: make(chan struct{})}
		}
	}
	return w
}

// View starts to look at a jar that is about to be unpacked; nil when nobody
// needs that.
func (w *Watch) View(jar cache.Digest) *View {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.jars[jar]; s == nil || s.idle {
		return nil
	}
	return &View{watch: w, jar: jar, scanner: scanner{packages: make(map[int]map[string]bool)}}
}

// Close tells Inspect that nothing more is unpacked: it reads itself what it
// still needs.
func (w *Watch) Close() {
	if w != nil {
		close(w.over)
	}
}

// known spares the looks at a jar whose references are at hand.
func (w *Watch) known(jar cache.Digest) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.jars[jar]; s != nil {
		s.idle = true
	}
}

// wait is until the jar was seen, or will not be any more.
func (w *Watch) wait(ctx context.Context, jar cache.Digest) (references, bool) {
	if w == nil || w.jars[jar] == nil {
		return references{}, false
	}
	s := w.jars[jar]
	select {
	case <-s.done:
	case <-w.over:
	case <-ctx.Done():
	}
	select {
	case <-s.done:
		return s.refs, true
	default:
		return references{}, false
	}
}

// View looks at one jar while it is unpacked, in one goroutine.
type View struct {
	watch   *Watch
	jar     cache.Digest
	scanner scanner
	partial bool // something was too large to be seen
}

// Entry is shown an entry and its content, nil when that is too large to be in
// memory.
func (v *View) Entry(name string, content []byte) {
	switch {
	case !needsContent(name):
		v.scanner.name(name)
	case content == nil:
		v.partial = true
	default:
		v.scanner.content(name, content)
	}
}

// Keep tells that all of the jar was seen, and that it was the jar of that
// digest.
func (v *View) Keep() {
	v.watch.mu.Lock()
	defer v.watch.mu.Unlock()
	if s := v.watch.jars[v.jar]; !v.partial && !s.idle {
		s.idle, s.refs = true, v.scanner.references()
		close(s.done)
	}
}

// needsContent tells whether an entry's name is not enough.
func needsContent(name string) bool {
	_, name = split(name)
	return !strings.HasPrefix(name, "META-INF/services/") && (strings.HasSuffix(name, ".class") || isNative(name))
}
