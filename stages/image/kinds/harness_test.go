package kinds

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image"
	"github.com/fastship/fastship/stages/image/jre"
	"github.com/fastship/fastship/stages/internal/oci"
)

func TestMain(m *testing.M) {
	if code, ok := container.Init(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// lab is what the kinds share: one cache, so that one base is linked, and one
// place where layers lie unpacked.
type lab struct {
	tools jre.JDK // that compiles
	jdk   jre.JDK // that the base is linked from
	cache *cache.Cache
	trees string

	mu       sync.Mutex
	unpacked map[cache.Digest]*sync.Once
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Getenv("FASTSHIP_INTEGRATION") != "1" {
		t.Skip("needs Maven, a JDK and namespaces; set FASTSHIP_INTEGRATION=1")
	}
	if err := container.Available(t.Context()); err != nil {
		t.Skip(err)
	}
	jdk, err := findJDK(t.Context())
	if err != nil {
		t.Skip(err)
	}
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &lab{
		tools: jdk, jdk: jdk, trees: t.TempDir(), unpacked: map[cache.Digest]*sync.Once{},
		cache: &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { t.Errorf("cache: %v", err) }},
	}
}

func findJDK(ctx context.Context) (jre.JDK, error) {
	homes, err := filepath.Glob("/usr/lib/jvm/*17*")
	for _, home := range append([]string{os.Getenv("JAVA_HOME")}, homes...) {
		if jdk, err := jre.Find(home); err == nil && jdk.Major >= 17 && jre.Check(ctx, jdk, jdk) == nil {
			return jdk, nil
		}
	}
	return jre.JDK{}, errors.Join(errors.New("no JDK 17 below /usr/lib/jvm or in JAVA_HOME can link"), err)
}

// make makes the image of a jar. All modules that any of the kinds needs are
// in each base, so that it is linked once. jars is image.jars: rewriting all
// libraries of all kinds would take most of the tests' time.
func (l *lab) make(t *testing.T, in image.In, jars string) image.Out {
	t.Helper()
	config := image.Config{
		Layout: filepath.Join(t.TempDir(), "image"), JVM: []string{"-XX:TieredStopAtLevel=1"}, Train: "never", Jars: jars,
	}
	if l.jdk.Major > 8 {
		config.Modules = []string{"java.se", "jdk.httpserver", "jdk.unsupported", "jdk.jfr", "jdk.management", "jdk.security.auth", "jdk.security.jgss", "jdk.xml.dom", "jdk.localedata"}
	}
	step := image.New(config, image.Deps{Cache: l.cache})
	in.JavaHome, in.JavaMajor = l.jdk.Home, l.jdk.Major
	if err := step.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := step.Run(t.Context(), runner.Env{Emit: func(b runner.Body) {
		switch b := b.(type) {
		case runner.Warning:
			t.Logf("warning: %s", b.Text)
		case runner.Note:
			t.Log(b.Text)
		}
	}}, in)
	if err != nil {
		t.Fatal(err)
	}
	return r.Out
}

// release is the file of a base that lists its modules.
func (l *lab) release(t *testing.T, out image.Out) string {
	t.Helper()
	return string(readFile(t, filepath.Join(l.unpack(t, out.Layers[0]), "opt", "java", "release")))
}

// run starts the image in its own root file system.
func (l *lab) run(t *testing.T, out image.Out) *container.Container {
	t.Helper()
	var trees []string
	for _, d := range out.Layers {
		trees = append(trees, l.unpack(t, d))
	}
	config := configOf(t, out)
	scratch, err := os.MkdirTemp("", "scratch")
	if err != nil {
		t.Fatal(err)
	}
	var said log
	c, err := container.Run(context.Background(), container.Spec{
		Layers: trees, Scratch: scratch, Args: append(config.Entrypoint, config.Cmd...), Env: config.Env, Dir: config.WorkingDir, User: config.User,
		Stdout: said.add, Stderr: said.add,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if exit := c.Stop(10 * time.Second); exit.Code != 143 && exit.Code != 0 {
			t.Errorf("it ended with %s", exit)
		}
		if t.Failed() {
			t.Log(said.text())
		}
		if err := container.RemoveAll(scratch); err != nil {
			t.Error(err)
		}
	})
	return c
}

type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

func blob(t *testing.T, layout string, digest string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(layout, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:")))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func configOf(t *testing.T, out image.Out) v1.Config {
	t.Helper()
	var manifest v1.Manifest
	var config v1.ConfigFile
	if err := json.Unmarshal(blob(t, out.Layout, out.Digest), &manifest); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(blob(t, out.Layout, manifest.Config.Digest.String()), &config); err != nil {
		t.Fatal(err)
	}
	return config.Config
}

// unpack gives the folder that a layer is unpacked in.
func (l *lab) unpack(t *testing.T, d runner.Descriptor) string {
	t.Helper()
	l.mu.Lock()
	once := l.unpacked[d.Digest]
	if once == nil {
		once = &sync.Once{}
		l.unpacked[d.Digest] = once
	}
	l.mu.Unlock()
	at := filepath.Join(l.trees, d.Digest.Hex())
	once.Do(func() {
		path, err := l.cache.Blobs.Path(d.Digest)
		if err == nil {
			err = untar(path, at, d.MediaType)
		}
		if err != nil {
			t.Fatalf("unpack layer %s: %v", d.Name, err)
		}
	})
	return at
}

func untar(path, at, mediaType string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if mediaType != oci.MediaTypeLayerZstd {
		return fmt.Errorf("%s: not a zstd layer", mediaType)
	}
	z, err := zstd.NewReader(f)
	if err != nil {
		return err
	}
	defer z.Close()
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := place(filepath.Join(at, h.Name), h, tr); err != nil {
			return err
		}
	}
}

func place(path string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, h.FileInfo().Mode()))
	case tar.TypeSymlink:
		return os.Symlink(h.Linkname, path)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, h.FileInfo().Mode())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close(), os.Chtimes(path, h.ModTime, h.ModTime))
}

// get asks until the application listens, and returns its answer.
func get(t *testing.T, c *container.Container, path string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dial(ctx, 8080) },
	}}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, err := client.Get("http://app" + path)
		if err == nil {
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			return r.StatusCode, strings.TrimSpace(string(b))
		}
		select {
		case <-c.Done():
			t.Fatalf("it ended with %s", c.Wait())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("no answer: %v", err)
		}
	}
}

// answers asks for a path and wants a 200 with that body.
func answers(t *testing.T, c *container.Container, path, want string) {
	t.Helper()
	if status, body := get(t, c, path); status != http.StatusOK || body != want {
		t.Errorf("GET %s: %d %q, want %q", path, status, body, want)
	}
}
