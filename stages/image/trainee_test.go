package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/unpack"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/jre"
)

func TestMain(m *testing.M) {
	if code, ok := container.Init(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// trainee is a small application with one library, trained for real.
type trainee struct {
	jdk    jre.JDK
	folder string // app.jar and lib.jar
	memory *cache.Cache
	layout string
	roots  map[v1.Hash]string // unpacked images
}

// trainees makes one for this machine's JDK 17, or for those of
// FASTSHIP_TEST_JDKS (a long run, see .ci/soak).
func trainees(t *testing.T, test func(*testing.T, *trainee)) {
	if os.Getenv("FASTSHIP_INTEGRATION") != "1" {
		t.Skip("links and trains with real JDKs; set FASTSHIP_INTEGRATION=1")
	}
	if err := container.Available(t.Context()); err != nil {
		t.Skip(err)
	}
	homes, err := filepath.Glob("/usr/lib/jvm/*")
	if err != nil {
		t.Fatal(err)
	}
	wanted := []int{17}
	if more := os.Getenv("FASTSHIP_TEST_JDKS"); more != "" {
		homes, wanted = filepath.SplitList(more), []int{11, 17, 21, 25}
	}
	seen := map[int]bool{}
	for _, home := range homes {
		jdk, err := jre.Find(home)
		if err != nil || seen[jdk.Major] || !slices.Contains(wanted, jdk.Major) || jre.Check(t.Context(), jdk, jdk) != nil {
			continue
		}
		seen[jdk.Major] = true
		t.Run(jdk.Version, func(t *testing.T) {
			a := &trainee{jdk: jdk, folder: t.TempDir(), memory: newCache(t), layout: t.TempDir()}
			a.compile(t, "Greeter.java", "lib.jar", "", nil)
			test(t, a)
		})
	}
	if len(seen) == 0 {
		t.Skip("no JDK that links below /usr/lib/jvm")
	}
}

// compile makes a jar of one class, with its source changed.
func (a *trainee) compile(t *testing.T, source, jar, manifest string, change func(string) string, more ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/train", source))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if change != nil {
		text = []byte(change(string(text)))
	}
	for name, content := range map[string][]byte{source: text, "manifest": []byte(manifest)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	classes := filepath.Join(dir, "classes")
	for _, name := range more {
		path := filepath.Join(classes, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range [][]string{
		{"javac", "--release", "11", "-d", classes, "-cp", filepath.Join(a.folder, "lib.jar"), filepath.Join(dir, source)},
		{"jar", "--create", "--file", filepath.Join(a.folder, jar), "--manifest", filepath.Join(dir, "manifest"), "--date", "2024-01-01T00:00:00Z", "-C", classes, "."},
	} {
		out, err := exec.Command(filepath.Join(a.jdk.Home, "bin", command[0]), command[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %s", command[0], out)
		}
	}
}

// build compiles the application so that it says version, and makes its image.
func (a *trainee) build(t *testing.T, c Config, version string, more ...string) (Out, []string) {
	t.Helper()
	a.compile(t, "Main.java", "app.jar", "Main-Class: com.example.Main\nClass-Path: lib.jar\n", func(s string) string {
		return strings.ReplaceAll(s, "version-one", version)
	}, more...)
	a.layout = t.TempDir()
	c.Layout, c.Compression = a.layout, compressionGzip // the base's best zstd takes long
	var e told
	r, err := New(c, Deps{Cache: a.memory}).Run(t.Context(), e.env(), In{
		Jar: runner.Descriptor{Name: filepath.Join(a.folder, "app.jar")}, Name: "app", JavaHome: a.jdk.Home, JavaMajor: a.jdk.Major,
	})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, body := range e.all {
		switch b := body.(type) {
		case runner.Note:
			texts = append(texts, b.Text)
		case runner.Warning:
			t.Errorf("warning: %s", b.Text)
		}
	}
	return r.Out, texts
}

func said(texts []string, part string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, part) })
}

func layerOf(out Out, name string) string {
	for _, l := range out.Layers {
		if l.Name == name {
			return string(l.Digest)
		}
	}
	return ""
}

// outcome is what a container printed and how it ended.
type outcome struct {
	mu             sync.Mutex // of the lines, while it runs
	stdout, stderr []string
	exit           container.Exit
}

// root unpacks the image once.
func (a *trainee) root(t *testing.T, img v1.Image) string {
	t.Helper()
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if dir, there := a.roots[digest]; there {
		return dir
	}
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		t.Fatal(err)
	}
	if a.roots == nil {
		a.roots = map[v1.Hash]string{}
	}
	a.roots[digest] = dir
	t.Cleanup(func() {
		delete(a.roots, digest)
		_ = container.RemoveAll(dir)
	})
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		plain, done, err := unpack.Decompress(r)
		if err == nil {
			err = unpack.New(root, true).Unpack(plain)
			done()
		}
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// start runs the image as an engine would, with its own user, entrypoint and
// environment.
func (a *trainee) start(t *testing.T, img v1.Image, env, args []string) (*container.Container, *outcome) {
	t.Helper()
	f, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	scratch, err := os.MkdirTemp("", "image")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = container.RemoveAll(scratch) })
	o := &outcome{}
	into := func(list *[]string) func(string) {
		return func(line string) {
			o.mu.Lock()
			defer o.mu.Unlock()
			*list = append(*list, line)
		}
	}
	c, err := container.Run(t.Context(), container.Spec{
		Layers: []string{a.root(t, img)}, Scratch: scratch,
		Args: slices.Concat(f.Config.Entrypoint, f.Config.Cmd, args), Env: slices.Concat(f.Config.Env, env),
		User: f.Config.User, Dir: f.Config.WorkingDir, Stdout: into(&o.stdout), Stderr: into(&o.stderr),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c, o
}

func (a *trainee) run(t *testing.T, img v1.Image, env ...string) *outcome {
	t.Helper()
	c, o := a.start(t, img, env, nil)
	o.exit = c.Wait()
	return o
}

// spoke tells whether there is a line on stdout yet.
func (o *outcome) spoke() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.stdout) > 0
}

// says wants one line on stdout and nothing else, whatever happens to the
// archive: logs in JSON would break by anything more.
func (o *outcome) says(t *testing.T, line string) {
	t.Helper()
	if o.exit.Code != 0 || !slices.Equal(o.stdout, []string{line}) {
		t.Errorf("%s\nstdout %q, want %q\nstderr %q", o.exit, o.stdout, line, o.stderr)
	}
}

// fromArchive tells where a class came from, by the JVM's own log.
func (a *trainee) fromArchive(t *testing.T, img v1.Image, class string) bool {
	t.Helper()
	o := a.run(t, img, "JAVA_TOOL_OPTIONS=-Xlog:class+load:stderr")
	for _, line := range o.stderr {
		if strings.Contains(line, " "+class+" source: ") {
			return strings.Contains(line, "shared objects file")
		}
	}
	t.Fatalf("%s was not loaded: %s %q %q", class, o.exit, o.stdout, o.stderr)
	return false
}

const (
	libraryClass = "org.example.lib.Greeter"
	mainClass    = "com.example.Main"
)
