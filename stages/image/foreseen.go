package image

import (
	"context"
	"crypto/sha256"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/aside"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/jre"
)

// Foreseen is a library that the application will most likely have.
type Foreseen struct {
	Name string // slash path below lib/: h2-2.4.240.jar
	File string // the jar, absolute
}

// Foresee tells of the released libraries that the application will most likely
// have, while it is still being built: Prepare makes their layers meanwhile. It
// returns at once; a second call, and one after Run has begun, is of no use and
// does no harm.
func (s *Step) Foresee(libraries []Foreseen) {
	select {
	case s.foreseen <- libraries:
	default:
	}
}

// ahead makes layers before it is known for sure that the application has
// them. What Run takes over is a layer in the cache under its key, like one of
// an earlier run: a guess that was wrong costs what it took, and nothing else.
type ahead struct {
	watch  *jre.Watch    // of what is written; nil when nobody will want to know
	coming *coming       // is told of layers as soon as one of them is new
	taken  chan struct{} // closed when Run has begun
	hurry  func()        // tells that Run waits

	mu     sync.Mutex
	known  map[appjar.Entry]cache.Digest // of the libraries
	over   bool                          // nothing more begins
	flight map[cache.Key]*flight         // layers that were begun
}

// flight is a layer that is being made.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it is in the cache, or will not be
	wrote  atomic.Bool   // it was not there before
}

// makeAhead waits for libraries that are foreseen, and makes their layers. It
// returns when they are Run's, or when there will be no Run.
func (s *Step) makeAhead(ctx context.Context) {
	var libraries []Foreseen
	select {
	case libraries = <-s.foreseen:
	case <-ctx.Done():
		return
	}
	s.settle(ctx)
	ctx, hurry := aside.With(ctx)
	a := &ahead{
		hurry: hurry, taken: make(chan struct{}), known: map[appjar.Entry]cache.Digest{}, flight: map[cache.Key]*flight{},
		// It outlives the step, until the push has taken over what was sent: it
		// is withdrawn below, or by Run.
		coming: s.coming(context.WithoutCancel(ctx), 0),
	}
	files, err := a.read(ctx, libraries, openReleased(s.deps.State))
	if err != nil {
		return // Run reads them where the application has them
	}
	if s.config.Base == jlink && s.config.packing() != jarsVerbatim {
		a.watch = jre.NewWatch(libraryJars(files))
	}
	if !s.offer(a) {
		return
	}
	s.writeAhead(ctx, a, files)
	if !a.handedOver(ctx) {
		a.coming.over(context.WithoutCancel(ctx))
	}
}

// handedOver waits until Run has begun, and tells whether it has: ctx ends soon
// after a Run too.
func (a *ahead) handedOver(ctx context.Context) bool {
	select {
	case <-a.taken:
	case <-ctx.Done():
	}
	select {
	case <-a.taken:
		return true
	default:
		return false
	}
}

// offer gives Run what is made ahead; it is too late when that has begun.
func (s *Step) offer(a *ahead) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		return false
	}
	s.ahead = a
	return true
}

// takeAhead gives Run what was made ahead, or nil, and tells that it has begun.
func (s *Step) takeAhead() *ahead {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = true
	if s.ahead != nil {
		s.ahead.hurry()
		close(s.ahead.taken)
	}
	return s.ahead
}

// writeAhead makes the layers one at a time, giving way to the build. What is
// wrong, Run will say.
func (s *Step) writeAhead(ctx context.Context, a *ahead, libraries []layerFile) {
	sortFiles(libraries)
	files := map[string][]layerFile{appjar.Dependencies: libraries}
	roles := divide(files, []string{appjar.Dependencies})
	for _, i := range largestFirst(roles, files) {
		if !s.writeOneAhead(ctx, a, roles[i], files[roles[i]]) {
			return
		}
	}
}

// writeOneAhead makes a layer; false says that nothing more shall begin.
func (s *Step) writeOneAhead(ctx context.Context, a *ahead, role string, files []layerFile) bool {
	key := s.layerKey(files)
	ctx, f := a.begin(ctx, key)
	if f == nil {
		return false
	}
	defer f.end() // after a panic too: Run waits for it
	l, _, err := s.layer(ctx, key, role, files, func() { f.wrote.Store(true); a.coming.sure() }, a.watch)
	if err == nil {
		a.coming.has(l.Layer)
	}
	return true
}

// read hashes the libraries, as far as they are not known from the last
// application by name and size: that they are what they were is seen when they
// are written.
func (a *ahead) read(ctx context.Context, libraries []Foreseen, last *released) ([]layerFile, error) {
	files := make([]layerFile, len(libraries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, l := range libraries {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			entry, digest, err := identify(ctx, l, last)
			if err != nil {
				return err
			}
			a.mu.Lock()
			a.known[entry] = digest
			a.mu.Unlock()
			files[i] = libraryFile(l, digest, entry.Size)
			return nil
		})
	}
	return files, group.Wait()
}

// identify reads a library, giving way to the build, unless the last
// application had it.
func identify(ctx context.Context, l Foreseen, last *released) (appjar.Entry, cache.Digest, error) {
	f, err := os.Open(l.File)
	if err != nil {
		return appjar.Entry{}, "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return appjar.Entry{}, "", err
	}
	if entry, digest, ok := last.named(l.Name, info.Size()); ok {
		return entry, digest, nil
	}
	sum, crc := sha256.New(), crc32.NewIEEE()
	var size int64
	aside.Do(ctx, func() { size, err = io.Copy(io.MultiWriter(sum, crc), f) })
	return appjar.Entry{Name: l.Name, Size: size, CRC: crc.Sum32()}, cache.FromSum(sum.Sum(nil)), err
}

// libraryFile is a library in Maven's repository as a file of a layer.
func libraryFile(l Foreseen, digest cache.Digest, size int64) layerFile {
	return layerFile{
		Path: home + "/lib/" + l.Name, Digest: digest, size: size, library: true,
		open: func() (io.ReadCloser, error) { return os.Open(l.File) },
		content: func() (io.ReaderAt, io.Closer, error) {
			f, err := os.Open(l.File)
			return f, f, err
		},
	}
}

// libraryJars are jars to watch: nobody opens them.
func libraryJars(files []layerFile) []jre.Jar {
	jars := make([]jre.Jar, len(files))
	for i, f := range files {
		jars[i] = jre.Jar{Name: f.Path, Digest: f.Digest}
	}
	return jars
}

// begin tells that a layer is being made until end is called; nil says that
// nothing more shall begin.
func (a *ahead) begin(ctx context.Context, key cache.Key) (context.Context, *flight) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || ctx.Err() != nil {
		return ctx, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &flight{cancel: cancel, done: make(chan struct{})}
	a.flight[key] = f
	return ctx, f
}

func (f *flight) end() {
	f.cancel()
	close(f.done)
}

// only ends what is made for nothing, now that it is known which layers the
// application has; nothing more begins. It tells whether one of them is new. A
// nil ahead has made nothing.
func (a *ahead) only(keys []cache.Key) (news bool) {
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	wanted := map[cache.Key]bool{}
	for _, k := range keys {
		wanted[k] = true
	}
	for key, f := range a.flight {
		if wanted[key] {
			news = news || f.wrote.Load()
		} else {
			f.cancel()
		}
	}
	return news
}

// end gives up what nobody came to want: layers at once, what was told of them
// when the run is over.
func (a *ahead) end(env runner.Env) {
	if a != nil {
		a.only(nil)
		a.coming.end(env)
	}
}

// await waits until a layer that was begun is there, or will not be, and tells
// whether it was written.
func (a *ahead) await(ctx context.Context, key cache.Key) (wrote bool) {
	if a == nil {
		return false
	}
	a.mu.Lock()
	f, ok := a.flight[key]
	a.mu.Unlock()
	if !ok {
		return false
	}
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	return f.wrote.Load()
}

// sights are those of the libraries that were written; nil when none was.
func (a *ahead) sights() *jre.Watch {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.flight {
		if f.wrote.Load() {
			return a.watch
		}
	}
	return nil
}

// digest is that of a library that was foreseen; empty for others.
func (a *ahead) digest(entry appjar.Entry) cache.Digest {
	if a == nil {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[entry]
}
