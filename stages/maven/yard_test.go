package maven

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cache/lease"
	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/internal/ci"
	"github.com/fastship/fastship/internal/mvntest"
	"github.com/fastship/fastship/runner"
)

// yard is a project and a store that hosts share.
type yard struct {
	*mvntest.Project
	store *afar
}

// newYard has n small libraries, and one of 720 KB that is a blob of its own;
// the project needs them all.
func newYard(t *testing.T, n int) *yard {
	t.Helper()
	return &yard{mvntest.New(t, n), newAfar(t)}
}

// artifact is a path in a Maven repository.
func artifact(name, version string) string { return mvntest.Artifact(name, version) }

// machine is a host with a home and a cache folder of its own.
type machine struct {
	*mvntest.Host
	yard   *yard
	local  string
	trees  tree.Config // Own is the yard's store unless set
	config Config
	ci     ci.Info
	shared bool
	in     In
}

// newMachine is another host.
func (y *yard) newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{Host: y.NewHost(t), yard: y, local: t.TempDir(), shared: true, in: In{Branch: "main"}}
}

func (m *machine) step(t *testing.T, warn func(error)) *Step {
	t.Helper()
	local, err := dir.Open(m.local, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := lease.Open(filepath.Join(m.local, "leases"), lease.Options{Blobs: local, Warn: warn})
	if err != nil {
		t.Fatal(err)
	}
	c := m.trees
	c.Local, c.Warn = local, warn
	if c.Own == nil {
		c.Own = m.yard.store
	}
	config := m.config
	config.Dir, config.Tune, config.Args = m.yard.Dir, "off", append([]string{"-DskipTests"}, config.Args...)
	return New(config, Deps{
		Environ: m.Environ(), Home: m.Home, Cache: memory(), CI: m.ci,
		Repositories: &Repositories{Trees: tree.New(c), Leases: pool, Shared: m.shared, Warn: first(warn)},
	})
}

// first passes the first error on, as the road's warnings do.
func first(warn func(error)) func(error) {
	var once sync.Once
	return func(err error) { once.Do(func() { warn(err) }) }
}

// built is what one build did.
type built struct {
	run
	background error             // of the work that followed
	downloads  []string          // from the repository afar
	repository string            // the one that Maven used
	writes     int               // to the shared store
	requests   int               // to the shared store
	files      map[string]string // of that repository, once it was given back
}

// warnings are what was said to be wrong, that of the background too.
func (b built) warnings() []string {
	var all []string
	for _, w := range of[runner.Warning](b.run) {
		all = append(all, w.Text)
	}
	if b.background != nil {
		all = append(all, b.background.Error())
	}
	return all
}

// build runs the step to the end of its background work. A build that was
// given a wrong byte fails the test.
func (m *machine) build(t *testing.T, ctx context.Context) built {
	t.Helper()
	var b built
	var mu sync.Mutex
	emit := func(e runner.Body) {
		mu.Lock()
		defer mu.Unlock()
		b.events = append(b.events, e)
	}
	var background []func(context.Context) error
	env := runner.Env{Emit: emit, Background: func(_ string, work func(context.Context) error) { background = append(background, work) }}
	before := m.Downloads(t)
	writes, requests := m.yard.store.counts()
	in := m.in
	in.Dir = m.yard.Dir
	s := m.step(t, func(err error) { emit(runner.Warning{Text: err.Error()}) })
	result, err := s.Run(ctx, env, in)
	b.out, b.err = result.Out, err
	for _, work := range background {
		b.background = errors.Join(b.background, work(context.WithoutCancel(ctx)))
	}
	b.writes, b.requests = m.yard.store.counts()
	b.writes, b.requests = b.writes-writes, b.requests-requests
	b.downloads = m.Downloads(t)[len(before):]
	if used := m.Repositories(t); len(used) > 0 {
		b.repository = used[len(used)-1]
		b.files = contents(t, b.repository)
	}
	if wrong := m.Wrong(t); len(wrong) > 0 {
		t.Errorf("Maven was given wrong bytes in %q", wrong)
	}
	return b
}

// builds is build of a job that must succeed without a warning.
func (m *machine) builds(t *testing.T) built {
	t.Helper()
	b := m.build(t, t.Context())
	if b.err != nil {
		t.Fatalf("%v\n%s\n%s", b.err, b.output(), b.said())
	}
	if w := b.warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
	return b
}

// contents are a folder's files.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		text, err := os.ReadFile(p)
		all[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// leases are the repositories that the host keeps.
func (m *machine) leases(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(m.local, "leases", "*", "repository"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wantDownloads checks what a build asked the repository afar for.
func wantDownloads(t *testing.T, b built, want ...string) {
	t.Helper()
	got := slices.Sorted(slices.Values(b.downloads))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("downloaded %q, want %q\n%s", got, want, b.said())
	}
}

// wantWarning checks that a build succeeded with one warning that has all the
// parts.
func wantWarning(t *testing.T, b built, parts ...string) {
	t.Helper()
	if b.err != nil {
		t.Errorf("the build failed: %v", b.err)
	}
	w := b.warnings()
	if len(w) != 1 {
		t.Fatalf("%d warnings, want one: %q", len(w), w)
	}
	for _, part := range parts {
		if !strings.Contains(w[0], part) {
			t.Errorf("%q is not in the warning %q", part, w[0])
		}
	}
}

// tracked are the names of the artifacts and of their tracking files: all that
// a kept repository holds.
func tracked(artifacts []string) []string {
	all := map[string]bool{}
	for _, p := range artifacts {
		all[p], all[path.Join(path.Dir(p), "_remote.repositories")] = true, true
	}
	return slices.Sorted(maps.Keys(all))
}

// afar is the shared store. It counts requests and fails those that fault
// says; bend changes the bytes of a blob.
type afar struct {
	cache.Store
	root string

	mu               sync.Mutex
	writes, requests int
	fault            func(ctx context.Context, op string) error
	bend             func(b []byte) []byte
}

func newAfar(t *testing.T) *afar {
	t.Helper()
	a := &afar{root: t.TempDir()}
	store, err := dir.Open(a.root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.Store = store
	return a
}

// sick makes the store fail from now on, and nil heals it.
func (a *afar) sick(fault func(ctx context.Context, op string) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = fault
}

func (a *afar) counts() (writes, requests int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.writes, a.requests
}

func (a *afar) enter(ctx context.Context, op string) error {
	a.mu.Lock()
	fault := a.fault
	a.requests++
	if strings.HasPrefix(op, "put") {
		a.writes++
	}
	a.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(ctx, op)
}

func (a *afar) Open(ctx context.Context, d cache.Digest, off, n int64) (io.ReadCloser, error) {
	if err := a.enter(ctx, "open"); err != nil {
		return nil, err
	}
	r, err := a.Store.Open(ctx, d, off, n)
	if err != nil || a.bend == nil {
		return r, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader(string(a.bend(b)))), nil
}

func (a *afar) Stat(ctx context.Context, d cache.Digest) (cache.BlobInfo, error) {
	if err := a.enter(ctx, "stat"); err != nil {
		return cache.BlobInfo{}, err
	}
	return a.Store.Stat(ctx, d)
}

func (a *afar) Put(ctx context.Context, d cache.Digest, size int64, r io.Reader) error {
	if err := a.enter(ctx, "put blob"); err != nil {
		return err
	}
	return a.Store.Put(ctx, d, size, r)
}

func (a *afar) GetPointer(ctx context.Context, name string) (cache.Pointer, error) {
	if err := a.enter(ctx, "get pointer"); err != nil {
		return cache.Pointer{}, fmt.Errorf("read pointer %s: %w", name, err)
	}
	return a.Store.GetPointer(ctx, name)
}

func (a *afar) PutPointer(ctx context.Context, name string, value []byte, old string) (string, error) {
	if err := a.enter(ctx, "put pointer"); err != nil {
		return "", err
	}
	return a.Store.PutPointer(ctx, name, value, old)
}
