package image

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"golang.org/x/sys/unix"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

const manifest = "Manifest-Version: 1.0\nMain-Class: org.springframework.boot.loader.launch.JarLauncher\nStart-Class: a.Main\nSpring-Boot-Version: 3.5.6\n" +
	"Spring-Boot-Classes: BOOT-INF/classes/\nSpring-Boot-Lib: BOOT-INF/lib/\n\n"

// bootJar writes a Spring Boot jar, its entries stamped with stamp.
func bootJar(t testing.TB, at string, stamp time.Time, change map[string]string) In {
	t.Helper()
	files := map[string]string{
		"META-INF/MANIFEST.MF":              manifest,
		"BOOT-INF/classes/a/Main.class":     "\xca\xfe\xba\xbe\x00\x00\x00\x3d", // Java 17
		"BOOT-INF/classes/message.txt":      "hello",
		"BOOT-INF/lib/big-1.0.jar":          strings.Repeat("0123456789abcdef", 200_000),
		"BOOT-INF/lib/small-1.0.jar":        "small",
		"BOOT-INF/lib/own-1.0-SNAPSHOT.jar": "own",
	}
	maps.Copy(files, change)
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: stamp}
		if strings.HasSuffix(name, ".jar") {
			h.Method = zip.Store
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(at, "app.jar")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return In{
		Jar: runner.Descriptor{Name: path}, Name: "orders", Version: "1.0",
		Revision: "0123456789abcdef0123456789abcdef01234567", Source: "https://example.com/orders.git",
		Created: time.Date(2024, 5, 6, 7, 8, 9, 10, time.FixedZone("x", 3600)),
	}
}

// baseLayout makes a base image in an OCI layout, as somebody else would.
func baseLayout(t testing.TB, architectures ...string) string {
	t.Helper()
	at := t.TempDir()
	store := newCache(t)
	b := newLayoutBuilder(t, store)
	for _, arch := range architectures {
		b.add(arch, v1.Config{
			User: "root", Cmd: []string{"jshell"}, Entrypoint: []string{"/entry.sh"}, Labels: map[string]string{"vendor": "them"},
			Env: []string{"PATH=/opt/java/bin:/bin", "JAVA_HOME=/opt/java", "JAVA_VERSION=jdk-17.0.9+9"},
		})
	}
	b.write(at)
	return at
}

func newCache(t testing.TB) *cache.Cache {
	t.Helper()
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { t.Errorf("the cache: %v", err) }}
}

// told collects events.
type told struct {
	mu  sync.Mutex
	all []runner.Body
}

func (e *told) env() runner.Env {
	emit := func(b runner.Body) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, b)
	}
	return runner.Env{Emit: emit, Background: func(what string, work func(context.Context) error) {
		if err := work(context.Background()); err != nil {
			emit(runner.Warning{Text: what + ": " + err.Error()})
		}
	}}
}

func run(t testing.TB, c Config, memory *cache.Cache, in In) runner.Result[Out] {
	t.Helper()
	s := New(c, Deps{Cache: memory})
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context(), (&told{}).env(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t testing.TB, at, digest string) v1.Image {
	t.Helper()
	x, h := inLayout(t, at, digest)
	img, err := x.Image(h)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// validImage holds an image against what its manifest and config say of it.
// The library's own validation reads gzip alone.
func validImage(img v1.Image) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if len(config.RootFS.DiffIDs) != len(layers) {
		return fmt.Errorf("%d layers, the config has %d", len(layers), len(config.RootFS.DiffIDs))
	}
	gzipped := true
	for i, l := range layers {
		mediaType, err := l.MediaType()
		if err != nil {
			return err
		}
		gzipped = gzipped && mediaType != types.OCILayerZStd
		digest, err := l.Digest()
		if err != nil {
			return err
		}
		for want, open := range map[v1.Hash]func() (io.ReadCloser, error){digest: l.Compressed, config.RootFS.DiffIDs[i]: l.Uncompressed} {
			r, err := open()
			if err != nil {
				return err
			}
			got, _, err := v1.SHA256(r)
			if err := errors.Join(err, r.Close()); err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("layer %d, %s: %s instead of %s", i, mediaType, got, want)
			}
		}
	}
	if gzipped {
		return validate.Image(img)
	}
	return nil
}

func TestImageOnALayout(t *testing.T) {
	memory, at := newCache(t), filepath.Join(t.TempDir(), "not", "yet", "there")
	layout := baseLayout(t, "s390x", runtime.GOARCH) // a relative one is the project's
	c := Config{Base: "oci:" + filepath.Base(layout), Dir: filepath.Dir(layout), Layout: at, JVM: []string{"-Xmx200m", "-Da=b c"}}
	in := bootJar(t, t.TempDir(), time.Now(), nil)
	r := run(t, c, memory, in)
	img := read(t, at, r.Out.Digest)
	if err := validImage(img); err != nil {
		t.Fatal(err)
	}
	checkConfig(t, img, r.Out)
	var roles []string
	size := int64(0)
	for _, l := range r.Out.Layers {
		roles = append(roles, l.Name)
		size += l.Size
	}
	if want := []string{"base", "dependencies", "snapshot-dependencies", "application"}; !slices.Equal(roles, want) {
		t.Errorf("layers %v", roles)
	}
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	ms, err := img.Size()
	if err != nil || r.Out.Size != size+ms+m.Config.Size {
		t.Errorf("size %d, %v", r.Out.Size, err)
	}
	if m.Annotations["org.opencontainers.image.revision"] != in.Revision || m.Annotations["org.opencontainers.image.base.digest"] == "" {
		t.Errorf("annotations %v", m.Annotations)
	}
	if want := []string{"app/", "app/lib/", "app/lib/big-1.0.jar", "app/lib/small-1.0.jar"}; !slices.Equal(names(t, img, 1), want) {
		t.Errorf("dependencies: %v", names(t, img, 1))
	}
	if want := []string{"app/", "app/app.jar"}; !slices.Equal(names(t, img, 3), want) {
		t.Errorf("application: %v", names(t, img, 3))
	}
	if skopeo, err := exec.LookPath("skopeo"); err == nil {
		if out, err := exec.Command(skopeo, "inspect", "oci:"+at).CombinedOutput(); err != nil {
			t.Errorf("skopeo: %s", out)
		}
	}
	if r = run(t, c, memory, in); r.Status != runner.Cached {
		t.Errorf("the same again is %q", r.Status)
	}
}

func checkConfig(t *testing.T, img v1.Image, out Out) {
	t.Helper()
	f, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/opt/java/bin/java", "-Xmx200m", "-Da=b c", "-jar", "/app/app.jar"}; !slices.Equal(f.Config.Entrypoint, want) || f.Config.Cmd != nil {
		t.Errorf("entrypoint %q, cmd %q", f.Config.Entrypoint, f.Config.Cmd)
	}
	if f.Config.User != "65532:65532" || f.Config.WorkingDir != "/app" || f.Config.Labels["vendor"] != "them" || f.Config.Labels["org.opencontainers.image.title"] != "orders" {
		t.Errorf("config %+v", f.Config)
	}
	if got := f.Created.UTC().Format(time.RFC3339Nano); got != "2024-05-06T06:08:09Z" {
		t.Errorf("created %s", got)
	}
	if len(f.History) != len(out.Layers) {
		t.Errorf("%d entries of history for %d layers", len(f.History), len(out.Layers))
	}
	if out.Kind != "spring-boot" || out.Platform != "linux/"+runtime.GOARCH || !strings.Contains(out.Base, "@sha256:") {
		t.Errorf("%+v", out)
	}
}

func names(t *testing.T, img v1.Image, layer int) []string {
	t.Helper()
	var out []string
	for h := range filesOf(t, img, layer) {
		out = append(out, h.Name)
	}
	return out
}

func TestReproducible(t *testing.T) {
	base := baseLayout(t, runtime.GOARCH)
	want := ""
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	defer unix.Umask(unix.Umask(0o022))
	for i, procs := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(procs)
		unix.Umask([]int{0o022, 0o077, 0o002}[i])
		t.Setenv("TZ", []string{"UTC", "Asia/Tokyo", "America/Caracas"}[i])
		in := bootJar(t, t.TempDir(), time.Date(2020+i, 1, 2, 3, 4, 5, 0, time.UTC), nil)
		c := Config{Base: "oci:" + base, Layout: filepath.Join(t.TempDir(), "l")}
		r := run(t, c, newCache(t), in)
		if i == 0 {
			want = r.Out.Digest
		} else if r.Out.Digest != want {
			t.Errorf("%d processors, umask and zone %d: %s instead of %s", procs, i, r.Out.Digest, want)
		}
	}
}

// TestOneLineChange: of a changed application only its own layer is made, and
// the layout holds nothing of the image before.
func TestOneLineChange(t *testing.T) {
	memory, at := newCache(t), t.TempDir()
	c := Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: at}
	one := run(t, c, memory, bootJar(t, t.TempDir(), time.Now(), nil))
	left := filepath.Join(at, "blobs", "sha256", ".new-123")
	if err := os.WriteFile(left, nil, 0o600); err != nil { // of a killed run
		t.Fatal(err)
	}
	two := run(t, c, memory, bootJar(t, t.TempDir(), time.Now(), map[string]string{"BOOT-INF/classes/message.txt": "HELLO"}))
	for i, l := range one.Out.Layers {
		if same := l == two.Out.Layers[i]; same == (l.Name == "application") {
			t.Errorf("layer %s: %+v, %+v", l.Name, l, two.Out.Layers[i])
		}
	}
	img := read(t, at, two.Out.Digest)
	if err := validImage(img); err != nil {
		t.Error(err)
	}
	found, err := os.ReadDir(filepath.Join(at, "blobs", "sha256"))
	if err != nil || len(found) != len(two.Out.Layers)+2 {
		t.Errorf("%d blobs, %v", len(found), err)
	}
	// The same size and another content must have another time: CDS trusts it.
	if a, b := appTime(t, read(t, writeOld(t, c, memory), one.Out.Digest)), appTime(t, img); a.Equal(b) {
		t.Errorf("both applications are of %s", a)
	}
}

func writeOld(t *testing.T, c Config, memory *cache.Cache) string {
	t.Helper()
	c.Layout = t.TempDir()
	run(t, c, memory, bootJar(t, t.TempDir(), time.Now(), nil))
	return c.Layout
}

func appTime(t *testing.T, img v1.Image) time.Time {
	t.Helper()
	for h := range filesOf(t, img, topmost) {
		if h.Name == "app/app.jar" {
			return h.ModTime
		}
	}
	t.Fatal("no app.jar in the topmost layer")
	return time.Time{}
}

func TestDamagedCacheIsRepaired(t *testing.T) {
	memory := newCache(t)
	memory.Warn = nil
	base := baseLayout(t, runtime.GOARCH)
	in := bootJar(t, t.TempDir(), time.Now(), nil)
	first := run(t, Config{Base: "oci:" + base, Layout: t.TempDir()}, memory, in)
	for _, l := range first.Out.Layers[1:] {
		p, err := memory.Blobs.Path(l.Digest)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := errors.Join(os.Remove(p), os.WriteFile(p, b, 0o444)); err != nil {
			t.Fatal(err)
		}
		at := t.TempDir()
		again := run(t, Config{Base: "oci:" + base, Layout: at}, memory, in)
		if again.Out.Digest != first.Out.Digest {
			t.Errorf("%s: %s instead of %s", l.Name, again.Out.Digest, first.Out.Digest)
		}
		if err := validImage(read(t, at, again.Out.Digest)); err != nil {
			t.Errorf("%s: %v", l.Name, err)
		}
	}
}

func TestClassesNewerThanTheBase(t *testing.T) {
	in := bootJar(t, t.TempDir(), time.Now(), map[string]string{"BOOT-INF/classes/a/Main.class": "\xca\xfe\xba\xbe\x00\x00\x00\x45"}) // Java 25
	_, err := New(Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: t.TempDir()}, Deps{Cache: newCache(t)}).Run(t.Context(), (&told{}).env(), in)
	if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), "needs Java 25, and the base has Java 17") || !strings.Contains(fault.HintOf(err), "image.base") {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
}

// TestLibrariesNewerThanTheBase: of libraries it is not known whether they are
// used.
func TestLibrariesNewerThanTheBase(t *testing.T) {
	java21, java25 := "\xca\xfe\xba\xbe\x00\x00\x00\x41", "\xca\xfe\xba\xbe\x00\x00\x00\x45"
	now := time.Now()
	in := bootJar(t, t.TempDir(), now, map[string]string{
		"BOOT-INF/lib/old-1.jar":   string(jarOf(t, now, map[string]string{"o/O.class": java17})),
		"BOOT-INF/lib/new-1.jar":   string(jarOf(t, now, map[string]string{"n/N.class": java21, "n/M.class": java25, "module-info.class": java17})),
		"BOOT-INF/lib/multi-1.jar": string(jarOf(t, now, map[string]string{"META-INF/versions/25/m/M.class": java25, "m/M.class": java17})),
	})
	var told told
	s := New(Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: t.TempDir()}, Deps{Cache: newCache(t)})
	if _, err := s.Run(t.Context(), told.env(), in); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	for _, b := range told.all {
		if w, ok := b.(runner.Warning); ok {
			warnings = append(warnings, w.Text)
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "new-1.jar is for Java 21, and the base has Java 17") {
		t.Errorf("%q", warnings)
	}
}

func TestCheck(t *testing.T) {
	ok := t.TempDir()
	for name, c := range map[string]struct {
		config Config
		class  fault.Class
		want   string
	}{
		"flag":     {Config{Layout: ok, JVM: []string{"Xmx1g"}}, fault.BadInput, `"Xmx1g"`},
		"jars":     {Config{Layout: ok, Jars: "packed"}, fault.BadInput, "image.jars"},
		"codec":    {Config{Layout: ok, Compression: "xz"}, fault.BadInput, "image.compression"},
		"capitals": {Config{Layout: ok, Base: "example.com/Java"}, fault.BadInput, "capitals"},
		"modules":  {Config{Layout: ok, Base: "example.com/java", Modules: []string{"java.sql"}}, fault.BadInput, "image.modules"},
		"layout":   {Config{Layout: ok, Base: "oci:" + ok}, fault.BadInput, "no OCI layout"},
		"platform": {Config{Layout: ok, Base: "oci:" + baseLayout(t, "s390x", "riscv64")}, fault.Missing, "only for linux/s390x, linux/riscv64"},
	} {
		err := New(c.config, Deps{Cache: newCache(t)}).Check(t.Context())
		if fault.ClassOf(err) != c.class || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: class %d: %v", name, fault.ClassOf(err), err)
		}
	}
	if err := New(Config{Layout: filepath.Join(ok, "a", "b")}, Deps{Cache: newCache(t)}).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if found, err := os.ReadDir(ok); err != nil || len(found) > 0 {
		t.Errorf("Check wrote %v", found)
	}
	if _, err := New(Config{Layout: ok}, Deps{Cache: newCache(t)}).Run(t.Context(), (&told{}).env(), In{JavaHome: ok}); fault.ClassOf(err) != fault.Missing || !strings.Contains(fault.HintOf(err), "image.base") {
		t.Errorf("no JDK: %v", err)
	}
}

func TestPlan(t *testing.T) {
	memory := newCache(t)
	c := Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: filepath.Join(t.TempDir(), "image")}
	in := bootJar(t, t.TempDir(), time.Now(), nil)
	plan := func(in In) string {
		t.Helper()
		p, err := New(c, Deps{Cache: memory}).Plan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(p.Lines, "\n")
	}
	if got := plan(In{}); !strings.HasPrefix(got, "make an image of the jar that Maven builds") {
		t.Error(got)
	}
	if got := plan(in); !strings.Contains(got, "\nfetch the base oci:") || !strings.Contains(got, "\nwrite layer dependencies: 2 jars, 3.2 MB") {
		t.Error(got)
	}
	if _, err := os.Stat(c.Layout); err == nil {
		t.Error("Plan wrote the layout")
	}
	run(t, c, memory, in)
	if got := plan(in); strings.Count(got, "take from the cache") != 4 {
		t.Error(got)
	}
}

func TestModTime(t *testing.T) {
	for _, n := range []uint32{0, 1, 1 << 31, 1<<32 - 1} {
		var b [32]byte
		binary.BigEndian.PutUint32(b[:], n)
		if got := modTime(cache.FromSum(b[:])); got.Before(oci.Epoch()) || got.Year() > 2004 {
			t.Errorf("%x: %s", n, got)
		}
	}
}
