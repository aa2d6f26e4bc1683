package image

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/unpack"
	"github.com/fastship/fastship/runner"
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
