package maven

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// bench is a project with a store, and a mvn that counts its starts.
type bench struct {
	dir, state, starts string
	cache              *cache.Cache
	environ            []string
}

func newBench(t *testing.T, dir string) *bench {
	t.Helper()
	needMaven(t)
	b := &bench{dir: dir, state: t.TempDir(), starts: filepath.Join(t.TempDir(), "starts")}
	b.cache = storeIn(t, t.TempDir())
	real := lookPath(t, "mvn")
	bin := t.TempDir()
	script := "#!/bin/sh\necho started >>" + b.starts + "\nexec " + real + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b.environ = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return b
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	for _, d := range filepath.SplitList(os.Getenv("PATH")) {
		if p := filepath.Join(d, name); isFile(p) {
			return p
		}
	}
	t.Skipf("no %s on PATH", name)
	return ""
}

func storeIn(t *testing.T, root string) *cache.Cache {
	t.Helper()
	store, err := dir.Open(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { t.Log("cache:", err) }}
}

// files are the project's, as the source stage lists them.
func (b *bench) files(t *testing.T) []File {
	t.Helper()
	var all []File
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "target" {
				return filepath.SkipDir
			}
			return nil
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(b.dir, path)
		sum := sha256.Sum256(text)
		all = append(all, File{filepath.ToSlash(rel), "100644", hex.EncodeToString(sum[:])})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// run runs the job and tells whether Maven was started.
func (b *bench) run(t *testing.T, c Config, environ ...string) (r run, started bool) {
	t.Helper()
	time.Sleep(30 * time.Millisecond) // the file system's clock ticks every few
	before, _ := os.ReadFile(b.starts)
	c.Dir = b.dir
	s := New(c, Deps{Environ: append(b.environ, environ...), Home: os.Getenv("HOME"), Cache: b.cache, State: b.state, Explain: true})
	var mu sync.Mutex
	emit := func(e runner.Body) {
		mu.Lock()
		defer mu.Unlock()
		r.events = append(r.events, e)
	}
	result, err := s.Run(t.Context(), runner.Env{Emit: emit}, In{Dir: b.dir, Files: b.files(t), Read: time.Now(), Commit: "c"})
	r.out, r.err = result.Out, err
	after, _ := os.ReadFile(b.starts)
	started = len(after) > len(before)
	if started == (result.Status == runner.Cached) {
		t.Errorf("status %q and started %v", result.Status, started)
	}
	return r, started
}

func (b *bench) edit(t *testing.T, name, old, new string) {
	t.Helper()
	path := filepath.Join(b.dir, filepath.FromSlash(name))
	text, _ := os.ReadFile(path) // absent: made
	if old != "" && !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%s has no %q", name, old)
	}
	changed := strings.Replace(string(text), old, new, 1)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) want(t *testing.T, what string, starts bool, c Config, environ ...string) run {
	t.Helper()
	r, started := b.run(t, c, environ...)
	if r.err != nil {
		t.Fatalf("%s: %v\n%s", what, r.err, r.output())
	}
	if started != starts {
		t.Errorf("%s: Maven started: %v, want %v\n%s", what, started, starts, r.said())
	}
	return r
}

func TestSkipFollowsWhatMavenReads(t *testing.T) {
	b := newBench(t, app(t, "hello"))
	main := mainFile(t, b.dir)
	first := b.want(t, "first", true, Config{})
	jar, _ := os.ReadFile(first.out.Jar.Name)
	t.Log(first.said())
	again := b.want(t, "unchanged", false, Config{})
	if again.out.Jar != first.out.Jar || again.out.Tests != first.out.Tests || again.out.JavaHome != first.out.JavaHome {
		t.Errorf("out %+v, want %+v", again.out, first.out)
	}
	if len(of[runner.Tests](again)) != 1 {
		t.Error("test counts are not told")
	}
	b.edit(t, main, "", "// a line\n")
	if r := b.want(t, "one line", true, Config{}); !strings.Contains(r.said(), "source changed: "+main) {
		t.Errorf("said:\n%s", r.said())
	}
	b.edit(t, main, "// a line\n", "")
	b.want(t, "reverted", false, Config{})
	if got, _ := os.ReadFile(first.out.Jar.Name); !bytes.Equal(got, jar) {
		t.Error("the reverted tree has another jar")
	}
	b.edit(t, "README.md", "", "words")
	b.want(t, "documentation", false, Config{})
	b.edit(t, "src/test/resources/data.md", "", "words")
	b.want(t, "test resource", true, Config{})
	if err := os.RemoveAll(filepath.Join(b.dir, "target")); err != nil {
		t.Fatal(err)
	}
	deleted := b.want(t, "deleted target", false, Config{})
	if is, err := describe(nil, deleted.out.Jar.Name); err != nil || is.Digest != deleted.out.Jar.Digest {
		t.Errorf("restored %v, %v", is, err)
	}
	if r := b.want(t, "declared variable", true, Config{Environment: []string{"BUILD_X"}}, "BUILD_X=1"); !strings.Contains(r.said(), "BUILD_X") {
		t.Errorf("said:\n%s", r.said())
	}
	b.want(t, "the same variable", false, Config{Environment: []string{"BUILD_X"}}, "BUILD_X=1")
	b.want(t, "another value", true, Config{Environment: []string{"BUILD_X"}}, "BUILD_X=2")
}

func TestSkipRepairsACorruptBlob(t *testing.T) {
	b := newBench(t, app(t, "hello"))
	first := b.want(t, "first", true, Config{})
	path, err := b.cache.Blobs.Path(first.out.Jar.Digest)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(path)
	text[len(text)/2] ^= 1
	_ = os.Chmod(path, 0o644)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	_ = os.RemoveAll(filepath.Join(b.dir, "target"))
	b.want(t, "corrupt", true, Config{})
	_ = os.RemoveAll(filepath.Join(b.dir, "target"))
	b.want(t, "repaired", false, Config{})
}

func TestSkipNeverTakesFailingTests(t *testing.T) {
	b := newBench(t, app(t, "broken/failing-test"))
	for range 2 {
		r, started := b.run(t, Config{})
		mustFail(t, r.err, fault.TestsFailed)
		if !started {
			t.Error("failing tests were cached")
		}
	}
}

func TestSkipReadsVariablesThatPomsName(t *testing.T) {
	b := newBench(t, app(t, "hello"))
	b.edit(t, "pom.xml", "<properties>", "<properties><stamp>${env.STAMP}</stamp>")
	b.want(t, "first", true, Config{}, "STAMP=1")
	b.want(t, "the same", false, Config{}, "STAMP=1")
	b.want(t, "another", true, Config{}, "STAMP=2")
	text, err := os.ReadFile(filepath.Join(b.state, keyFile))
	if err != nil || !bytes.Contains(text, []byte("environment STAMP")) {
		t.Errorf("key file: %v\n%s", err, text)
	}
}

func TestSkipNotForInstall(t *testing.T) {
	b := newBench(t, app(t, "hello"))
	r := identityOf(t, b, Config{Goals: []string{"install"}})
	if !strings.Contains(r.reason, "effects outside target") {
		t.Errorf("reason %q", r.reason)
	}
}

func identityOf(t *testing.T, b *bench, c Config) identity {
	t.Helper()
	c.Dir = b.dir
	s := New(c, Deps{Environ: b.environ, Home: os.Getenv("HOME"), Cache: b.cache})
	j, err := s.prepare(t.Context(), b.dir)
	if err != nil {
		t.Fatal(err)
	}
	return s.identify(t.Context(), j, In{Dir: b.dir, Files: b.files(t)})
}

func mainFile(t *testing.T, dir string) string {
	t.Helper()
	found := ""
	_ = filepath.WalkDir(filepath.Join(dir, "src", "main"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".java") {
			found, _ = filepath.Rel(dir, path)
		}
		return err
	})
	if found == "" {
		t.Fatal("no java file")
	}
	return filepath.ToSlash(found)
}
