package road

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/fastship/fastship/cmd/internal/spec"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// TestLayersGoEarly: a layer is in the registry before the image is done. Here
// the image ends in an engine that waits for that, and then refuses it: what was
// sent stays, and nothing names it.
func TestLayersGoEarly(t *testing.T) {
	dir := t.TempDir()
	sent := make(chan struct{})
	stored := sync.OnceFunc(func() { close(sent) })
	var mu sync.Mutex
	var asked []string
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	images := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r)
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method)
		if r.Method == http.MethodPut {
			stored()
		}
	}))
	t.Cleanup(images.Close)
	early := false
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
		case strings.HasSuffix(r.URL.Path, "/images/load"):
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-sent:
				early = true
			case <-time.After(20 * time.Second):
			}
			fmt.Fprint(w, `{"errorDetail":{"message":"the disk is full"},"error":"the disk is full"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(engine.Close)

	writeBase(t, filepath.Join(dir, "base"))
	writeJar(t, filepath.Join(dir, "app.jar"), 300_000)
	text := fmt.Sprintf("image: {repository: %s/x, base: 'oci:base', train: never, outputs: {engine: x}}\n", strings.TrimPrefix(images.URL, "http://"))
	if err := os.WriteFile(filepath.Join(dir, "fastship.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := spec.LoadEnv(filepath.Join(dir, "fastship.yaml"), "", func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Dir: dir, Spec: s, CacheDir: filepath.Join(dir, "cache"), Environ: []string{"DOCKER_HOST=tcp://" + strings.TrimPrefix(engine.URL, "http://")}}
	if err := opt.TakeJar(t.Context(), filepath.Join(dir, "app.jar")); err != nil {
		t.Fatal(err)
	}
	_, err = Run(t.Context(), opt, func(runner.Event) {})
	if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), "the disk is full") || !early {
		t.Errorf("got %v; sent early: %v", err, early)
	}
	slices.Sort(asked)
	if got, want := strings.Join(asked, " "), "GET GET HEAD POST PUT"; got != want { // the two GET are Check's
		t.Errorf("asked %q, want %q", got, want)
	}
}

// writeBase makes an OCI layout of an image that has Java, as far as its
// variables and names of files go.
func writeBase(t *testing.T, dir string) {
	t.Helper()
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	err := w.WriteHeader(&tar.Header{Name: "opt/java/bin/java", Mode: 0o755})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(files.Bytes(), types.OCIUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, RootFS: file.RootFS,
		Config: v1.Config{Env: []string{"JAVA_HOME=/opt/java", "JAVA_VERSION=17.0.9"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = path.AppendImage(image)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// writeJar writes a jar with a main class and noise that does not compress.
func writeJar(t *testing.T, path string, noise int) {
	t.Helper()
	var jar bytes.Buffer
	w := zip.NewWriter(&jar)
	random := make([]byte, noise)
	rand.Read(random)
	for name, content := range map[string]string{
		"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\nMain-Class: example.Main\r\n\r\n",
		"example/Main.class":   "\xca\xfe\xba\xbe\x00\x00\x00\x3d",
		"noise":                string(random),
	} {
		e, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(e, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, jar.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
