package maven

import (
	"context"
	"crypto/sha1"
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
	"github.com/fastship/fastship/runner"
)

// yard is a project, the Maven repository afar that has what it needs, and a
// store that hosts share.
type yard struct {
	central, dir string
	store        *afar
}

// buildsWith is a Maven that takes what the project's file "needs" lists: from
// its local repository what the tracking file says is from central, the rest
// from central. It compares every byte that it is given with central's, then
// plays what the file "act" does, in the local repository.
const buildsWith = `#!/bin/sh
say() { printf '%s\n' "$1" >> "$FASTSHIP_MAVEN_REPORT"; }
m2="$HOME/.m2/repository"
for a; do case $a in -Dmaven.repo.local=*) m2=${a#*=};; esac; done
echo "$m2" >> "$HOST/repositories"
say '{"event":"start","maven":"3.9.9","javaHome":"'$JAVA_HOME'","javaVersion":"17.0.1","javaMajor":17}'
say '{"event":"project","group":"g","artifact":"a","version":"1","packaging":"jar","basedir":"'$PWD'","build":"'$PWD'/target","sources":[],"testSources":[],"releases":[17],"toolchain":false}'
while read -r path; do
  folder=$m2/${path%/*} file=${path##*/}
  if ! [ -e "$m2/$path" ] || ! grep -qs "^$file>central=" "$folder/_remote.repositories"; then
    echo "$path" >> "$HOST/downloads"
    mkdir -p "$folder"
    cp "$CENTRAL/$path" "$CENTRAL/$path.sha1" "$folder"
    echo "$file>central=" >> "$folder/_remote.repositories"
  fi
  cmp -s "$m2/$path" "$CENTRAL/$path" || echo "$path" >> "$HOST/wrong"
  say '{"event":"resolved","id":"'$file'","file":"'$m2/$path'"}'
done < needs
failed=0
[ -e act ] && . ./act
say '{"event":"ended","state":"ProjectSucceeded","project":"g:a","file":"'$JAR'","classpath":[]}'
say '{"event":"end"}'
exit $failed
`

// artifact is a path in a Maven repository.
func artifact(name, version string) string {
	return path.Join("org/x", name, version, name+"-"+version+".jar")
}

// newYard has n small libraries, and one of 700 KB that is a blob of its own;
// the project needs them all.
func newYard(t *testing.T, n int) *yard {
	t.Helper()
	y := &yard{central: t.TempDir(), dir: files(t, "pom.xml", workshopPom)}
	y.store = newAfar(t)
	y.publish(t, artifact("big", "1"), strings.Repeat("a large jar\n", 60_000))
	needs := []string{artifact("big", "1")}
	for i := range n {
		p := artifact(fmt.Sprintf("lib%d", i), "1")
		y.publish(t, p, fmt.Sprintf("library %d", i))
		needs = append(needs, p)
	}
	y.need(t, needs...)
	return y
}

// publish puts an artifact into the repository afar.
func (y *yard) publish(t *testing.T, name, text string) {
	t.Helper()
	put(t, filepath.Join(y.central, name), text)
	put(t, filepath.Join(y.central, name+".sha1"), fmt.Sprintf("%x", sha1.Sum([]byte(text))))
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// need makes the project need exactly these artifacts.
func (y *yard) need(t *testing.T, names ...string) {
	t.Helper()
	put(t, filepath.Join(y.dir, "needs"), strings.Join(names, "\n")+"\n")
}

// needs are the artifacts that the project needs.
func (y *yard) needs(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(y.dir, "needs"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// act is what the next builds do besides: shell, where $m2 is the local
// repository and $failed becomes the exit code.
func (y *yard) act(t *testing.T, script string) {
	t.Helper()
	put(t, filepath.Join(y.dir, "act"), script+"\n")
}

// machine is a host with a home and a cache folder of its own.
type machine struct {
	yard              *yard
	home, host, local string
	trees             tree.Config // Own is the yard's store unless set
	config            Config
	ci                ci.Info
	shared            bool
	in                In
}

// newMachine is another host. Its cache lies in local, else in a new folder.
func (y *yard) newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{yard: y, home: t.TempDir(), local: t.TempDir(), shared: true, in: In{Branch: "main"}}
	m.host = files(t, "jdk/release", "JAVA_VERSION=\"17.0.1\"\n", "jdk/bin/java", "", "jdk/bin/javac", "", "maven/lib/maven-core-3.9.9.jar", "", "maven/bin/mvn", buildsWith)
	for _, program := range []string{"jdk/bin/java", "jdk/bin/javac", "maven/bin/mvn"} {
		if err := os.Chmod(filepath.Join(m.host, program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	jar(t, filepath.Join(m.host, "app.jar"), main)
	return m
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
	config.Dir, config.Tune, config.Args = m.yard.dir, "off", append([]string{"-DskipTests"}, config.Args...)
	environ := []string{
		"PATH=" + filepath.Join(m.host, "maven", "bin") + ":/usr/bin:/bin", "JAVA_HOME=" + filepath.Join(m.host, "jdk"),
		"HOME=" + m.home, "HOST=" + m.host, "CENTRAL=" + m.yard.central, "JAR=" + filepath.Join(m.host, "app.jar"),
	}
	return New(config, Deps{
		Environ: environ, Home: m.home, Cache: memory(), CI: m.ci,
		Repositories: &Repositories{Trees: tree.New(c), Leases: pool, Shared: m.shared},
	})
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
	before := m.notes(t, "downloads")
	writes, requests := m.yard.store.counts()
	in := m.in
	in.Dir = m.yard.dir
	s := m.step(t, func(err error) { emit(runner.Warning{Text: err.Error()}) })
	result, err := s.Run(ctx, env, in)
	b.out, b.err = result.Out, err
	for _, work := range background {
		b.background = errors.Join(b.background, work(context.WithoutCancel(ctx)))
	}
	b.writes, b.requests = m.yard.store.counts()
	b.writes, b.requests = b.writes-writes, b.requests-requests
	b.downloads = m.notes(t, "downloads")[len(before):]
	if used := m.notes(t, "repositories"); len(used) > 0 {
		b.repository = used[len(used)-1]
		b.files = contents(t, b.repository)
	}
	if wrong := m.notes(t, "wrong"); len(wrong) > 0 {
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

// notes are the lines that the host's Maven wrote to a file.
func (m *machine) notes(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.host, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
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
		return cache.Pointer{}, err
	}
	return a.Store.GetPointer(ctx, name)
}

func (a *afar) PutPointer(ctx context.Context, name string, value []byte, old string) (string, error) {
	if err := a.enter(ctx, "put pointer"); err != nil {
		return "", err
	}
	return a.Store.PutPointer(ctx, name, value, old)
}
