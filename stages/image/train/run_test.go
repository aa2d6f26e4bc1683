package train

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/unpack"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// fakeJava is the path of testdata/java's program, built by TestMain.
var fakeJava string

func TestMain(m *testing.M) {
	if code, ok := container.Init(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "java")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		fakeJava = filepath.Join(dir, "java")
		build := exec.Command("go", "build", "-o", fakeJava, "./testdata/java")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

func jarOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, n := range names {
		if _, err := w.Create(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// request is that of an application with a library and a snapshot, on the
// fake JVM.
func request(t *testing.T, fake string) Request {
	t.Helper()
	if err := container.Available(t.Context()); err != nil {
		t.Skip(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("SECRET", "of this machine")
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	java, err := os.ReadFile(fakeJava)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"opt/java/bin/java": java, "opt/java/lib/defaults.flags": []byte("MaxRAMPercentage=50.0"), "etc/passwd": []byte("nonroot:x:65532:65532::/home:/none\n"),
		"app/app.jar": jarOf(t, "com/example/Main.class"), "app/lib/a.jar": jarOf(t, "org/lib/A.class"), "app/lib/s.jar": jarOf(t, "org/snap/S.class"),
	}
	var list []oci.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		list = append(list, oci.File{Path: name, Mode: 0o755, Size: int64(len(files[name])), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(files[name])), nil
		}})
	}
	layer, err := oci.WriteLayer(t.Context(), store, "all", list, oci.Gzip(1))
	if err != nil {
		t.Fatal(err)
	}
	return Request{
		Store: store, Layers: []oci.Layer{layer}, Codec: oci.Gzip(1),
		Java: "/opt/java/bin/java", Release: 17, Env: []string{"PATH=/opt/java/bin", "FAKE=" + fake}, User: "65532:65532", Dir: "/app",
		Main: "com.example.Main", App: "/app/app.jar", Libraries: []string{"/app/lib/a.jar"}, Others: []string{"/app/lib/s.jar"},
		Emit: func(runner.Body) {},
	}
}

// inLayer reads the files of an archive's layer.
func inLayer(t *testing.T, store cache.BlobStore, l oci.Layer) map[string]string {
	t.Helper()
	r, err := store.Open(t.Context(), l.Descriptor.Digest, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	plain, done, err := unpack.Decompress(r)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	files := map[string]string{}
	for tr := tar.NewReader(plain); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if content, err := io.ReadAll(tr); err == nil && h.Typeflag == tar.TypeReg {
			files[h.Name] = string(content)
			if h.Mode != 0o644 || h.Uid != 0 {
				t.Errorf("%s: mode %o of %d", h.Name, h.Mode, h.Uid)
			}
		}
	}
}

func nothingLeft(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRun(t *testing.T) {
	for fake, want := range map[string]struct {
		start string
		ready bool
	}{
		"ok":      {"it started and ended by itself", true},
		"network": {"it started and ended by itself", true}, // has none, nor this machine's environment
		"serve":   {"it answered at port 8080", true},
		"fail":    {"it ended with exit code 1: java.net.ConnectException: Connection refused", false},
	} {
		t.Run(fake, func(t *testing.T) {
			r := request(t, fake)
			a, err := Run(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if a.Start != want.start || a.Ready != want.ready || a.Classes != 2 {
				t.Errorf("%+v", a)
			}
			files := inLayer(t, r.Store, a.Layer)
			if len(files) != 3 || files["app/cds/classes.jsa"] != "java/lang/Object\norg/lib/A\n" {
				t.Errorf("%q", files)
			}
			nothingLeft(t)
		})
	}
}

func TestRunWhole(t *testing.T) {
	r := request(t, "ok")
	r.Whole = true
	r.Base = []string{"-XX:Flags=/opt/java/lib/defaults.flags"}
	a, err := Run(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	files := inLayer(t, r.Store, a.Layer)
	if files["app/cds/classes.jsa"] != "com/example/Main\njava/lang/Object\norg/lib/A\norg/snap/S\n" || strings.Contains(files["app/cds/java.args"], "-cp") {
		t.Errorf("%q", files)
	}
	// The JVM reads the last file of flags alone.
	if files["app/cds/jvm.flags"] != "MaxRAMPercentage=50.0\nSharedArchiveFile=/app/cds/classes.jsa\n" {
		t.Errorf("%q", files["app/cds/jvm.flags"])
	}
}

func TestRefused(t *testing.T) {
	for fake, want := range map[string]string{
		"no-list":    "the JVM left no list of classes: it started and ended by itself",
		"early":      "the start came to no class of a library",
		"no-dump":    "write the archive: the JVM ended with exit code 1: Error: cannot dump <nil>",
		"empty-dump": "the JVM ended well and wrote no archive",
		"no-open":    "open the archive: the JVM ended with exit code 1: Error occurred during initialization of VM",
	} {
		t.Run(fake, func(t *testing.T) {
			_, err := Run(t.Context(), request(t, fake))
			refused, ok := errors.AsType[*Refused](err)
			if !ok || !strings.HasPrefix(refused.Reason, want) || refused.Slow {
				t.Errorf("%v, want %s", err, want)
			}
			nothingLeft(t)
		})
	}
	t.Run("no java", func(t *testing.T) {
		r := request(t, "ok")
		r.Java = "/none"
		if _, err := Run(t.Context(), r); err == nil || !strings.Contains(err.Error(), "exec /none: no such file") {
			t.Error(err)
		}
	})
	t.Run("old", func(t *testing.T) {
		r := request(t, "1.8.0_412")
		r.Release = 0
		if _, err := Run(t.Context(), r); err == nil || !strings.Contains(err.Error(), "Java is 8") {
			t.Error(err)
		}
	})
}

func TestTimeIsBounded(t *testing.T) {
	r := request(t, "slow-dump")
	r.Limit = 2 * time.Second
	_, err := Run(t.Context(), r)
	if refused, ok := errors.AsType[*Refused](err); !ok || !refused.Slow {
		t.Errorf("%v", err)
	}
	nothingLeft(t)

	r = request(t, "hang")
	r.Limit = 2 * time.Second
	if a, err := Run(t.Context(), r); err != nil || a.Ready || a.Start != "it did not answer within 2s" || a.Classes != 2 {
		t.Errorf("%+v, %v", a, err)
	}

	r = request(t, "hang")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("interrupted"))
	defer cancel()
	start := time.Now()
	if _, err := Run(ctx, r); err == nil || err.Error() != "interrupted" || time.Since(start) > 30*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	nothingLeft(t)
}
