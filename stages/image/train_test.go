package image

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

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

// TestTrained: both ways of training, on one base.
func TestTrained(t *testing.T) {
	trainees(t, func(t *testing.T, a *trainee) {
		t.Run("libraries", a.libraries)
		t.Run("whole", a.whole)
	})
}

// libraries: one training serves every change of the application,
// whose new code runs, also when nothing but a letter changed; and nothing
// that may be wrong with the archive keeps the application from starting.
func (a *trainee) libraries(t *testing.T) {
	if out, _ := a.build(t, Config{}, "version-zero"); layerOf(out, trainedLayer) != "" {
		t.Error("an image that stays here was trained")
	}
	out, texts := a.build(t, Config{Pushed: true}, "version-one")
	archive := layerOf(out, trainedLayer)
	if archive == "" || !said(texts, "trained the start in") {
		t.Fatalf("not trained: %q", texts)
	}
	if roles := out.Layers; roles[1].Name != "dependencies" || roles[2].Name != trainedLayer || roles[3].Name != "application" {
		t.Errorf("layers %v", roles)
	}
	a.run(t, read(t, a.layout, out.Digest)).says(t, "hello version-one")

	changed, texts := a.build(t, Config{Pushed: true}, "version-two")
	if layerOf(changed, trainedLayer) != archive || said(texts, "training") {
		t.Errorf("a change of the application trains again: %q", texts)
	}
	img := read(t, a.layout, changed.Digest)
	a.run(t, img).says(t, "hello version-two")
	if !a.fromArchive(t, img, libraryClass) || a.fromArchive(t, img, mainClass) {
		t.Error("the library's class is not from the archive, or the application's is")
	}
	for _, options := range []string{"-Xshare:off", "-XX:SharedArchiveFile=/none", "-XX:-UseCompressedOops", "-XX:+UseZGC", "-XX:+UseSerialGC -Xms8m", "-XX:+UseParallelGC -Xmx64m"} {
		a.run(t, img, "JAVA_TOOL_OPTIONS="+options).says(t, "hello version-two")
	}
	if a.replaced(t, img, libraryClass) {
		t.Error("JAVA_TOOL_OPTIONS does not replace the archive")
	}
	c, o := a.start(t, img, nil, []string{"serve"})
	for deadline := time.Now().Add(time.Minute); !o.spoke() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if exit := c.Stop(time.Minute); exit.Code != 128+int(syscall.SIGTERM) || !slices.Equal(o.stdout, []string{"ready", "goodbye"}) {
		t.Errorf("after SIGTERM: %s, %q", exit, o.stdout)
	}
}

// replaced tells whether a class comes from the archive although the
// environment says to do without.
func (a *trainee) replaced(t *testing.T, img v1.Image, class string) bool {
	t.Helper()
	o := a.run(t, img, "JAVA_TOOL_OPTIONS=-Xshare:off -Xlog:class+load:stderr")
	return slices.ContainsFunc(o.stderr, func(s string) bool {
		return strings.Contains(s, class) && strings.Contains(s, "shared objects file")
	})
}

// whole: with image.train: full each change is trained, and an
// archive that meets another app.jar than its own runs that one's code.
func (a *trainee) whole(t *testing.T) {
	one, texts := a.build(t, Config{Train: trainFull}, "version-one")
	if !said(texts, "trained the start in") || one.Layers[len(one.Layers)-1].Name != trainedLayer {
		t.Fatalf("not trained: %q, %v", texts, one.Layers)
	}
	img := read(t, a.layout, one.Digest)
	a.run(t, img).says(t, "hello version-one")
	if !a.fromArchive(t, img, mainClass) || !a.fromArchive(t, img, libraryClass) {
		t.Error("classes are not from the archive")
	}
	archive := img
	two, texts := a.build(t, Config{Train: trainFull}, "version-two")
	if !said(texts, "trained the start in") || layerOf(one, trainedLayer) == layerOf(two, trainedLayer) {
		t.Errorf("the change was not trained: %q", texts)
	}
	a.run(t, read(t, a.layout, two.Digest)).says(t, "hello version-two")
	a.run(t, with(t, archive, a.appJar(t, read(t, a.layout, two.Digest)))).says(t, "hello version-two")
}

// TestNotTrained: what the order of the class path would change is not
// trained, and says why.
func TestNotTrained(t *testing.T) {
	in := func(files map[string]string) []string {
		var e told
		memory := newCache(t)
		c := Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: t.TempDir(), Pushed: true}
		if _, err := New(c, Deps{Cache: memory}).Run(t.Context(), e.env(), bootJar(t, t.TempDir(), time.Now(), files)); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, body := range e.all {
			if n, ok := body.(runner.Note); ok {
				texts = append(texts, n.Text)
			}
		}
		return texts
	}
	library := zipped(t, map[string]string{"logback.xml": "theirs", "META-INF/services/x": "y", "a/B.class": "\xca\xfe\xba\xbe\x00\x00\x00\x3d"})
	for want, files := range map[string]map[string]string{
		"logback.xml is in the application and in a library": {"BOOT-INF/lib/x-1.0.jar": library, "BOOT-INF/classes/logback.xml": "ours"},
		"a/B.class is in the application and in a library":   {"BOOT-INF/lib/x-1.0.jar": library, "BOOT-INF/classes/a/B.class": "\xca\xfe\xba\xbe\x00\x00\x00\x3d"},
		"META-INF/services/x is in the application":          {"BOOT-INF/lib/x-1.0.jar": library, "META-INF/services/x": "ours"},
		"a/R.class reads META-INF/MANIFEST.MF by its name":   {"BOOT-INF/lib/x-1.0.jar": library, "BOOT-INF/classes/a/R.class": "\xca\xfe\xba\xbe\x00\x00\x00\x3d /META-INF/MANIFEST.MF"},
		"Spring DevTools":          {"BOOT-INF/lib/spring-boot-devtools-3.5.6.jar": library},
		"manifest starts an agent": {"META-INF/MANIFEST.MF": strings.TrimSuffix(manifest, "\n") + "Launcher-Agent-Class: a.Agent\n\n"},
	} {
		if texts := in(files); !said(texts, "the start is not trained: ") || !said(texts, want) {
			t.Errorf("%s: %q", want, texts)
		}
	}
}

func zipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(f, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestFailedTrainingIsNotTriedAgain: at once; and the image goes out all the
// same, with a warning the first time.
func TestFailedTrainingIsNotTriedAgain(t *testing.T) {
	if err := container.Available(t.Context()); err != nil {
		t.Skip(err)
	}
	memory := newCache(t)
	library := zipped(t, map[string]string{"org/lib/A.class": "\xca\xfe\xba\xbe\x00\x00\x00\x3d"})
	in := bootJar(t, t.TempDir(), time.Now(), map[string]string{"BOOT-INF/lib/x-1.0.jar": library})
	c := Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: t.TempDir(), Pushed: true}
	tell := func() (notes, warnings []string) {
		var e told
		r, err := New(c, Deps{Cache: memory}).Run(t.Context(), e.env(), in)
		if err != nil || layerOf(r.Out, trainedLayer) != "" {
			t.Fatal(err, r.Out.Layers)
		}
		for _, body := range e.all {
			switch b := body.(type) {
			case runner.Note:
				notes = append(notes, b.Text)
			case runner.Warning:
				warnings = append(warnings, b.Text)
			}
		}
		return notes, warnings
	}
	const why = "exec /opt/java/bin/java: exec format error" // the base's is a text
	if notes, warnings := tell(); !said(warnings, why) || !said(notes, "training the start") {
		t.Errorf("%q %q", notes, warnings)
	}
	if notes, warnings := tell(); !said(notes, why) || said(notes, "training the start") || said(warnings, why) {
		t.Errorf("%q %q", notes, warnings)
	}
	c.Train = trainNever
	if notes, warnings := tell(); said(notes, "trained") || said(warnings, "trained") {
		t.Errorf("%q %q", notes, warnings)
	}
	old := trained{Reason: "x", At: time.Now().Add(-2 * time.Hour)}
	slow := old
	slow.Slow = true
	if old.stale() || !slow.stale() {
		t.Error("a slow training is tried again after an hour, another one after a day")
	}
}

// appJar is the layer of an image's app.jar.
func (a *trainee) appJar(t *testing.T, img v1.Image) v1.Layer {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		plain, done, err := unpack.Decompress(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		for tr := tar.NewReader(plain); ; {
			h, err := tr.Next()
			if err != nil {
				break
			}
			if h.Name == "app/app.jar" {
				done()
				return l
			}
		}
		done()
	}
	t.Fatal("no app.jar")
	return nil
}

func with(t *testing.T, img v1.Image, l v1.Layer) v1.Image {
	t.Helper()
	out, err := mutate.AppendLayers(img, l)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
