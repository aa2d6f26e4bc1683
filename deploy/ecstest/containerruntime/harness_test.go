package containerruntime_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/deploy/ecstest/containerruntime"
	"github.com/fastship/fastship/internal/container"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestMain(m *testing.M) {
	if code, ok := container.Init(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// app builds testdata/app, a static program, once.
var app = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "app")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "app"), "./testdata/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "app"))
})

// bench is a runtime with a registry to pull from.
type bench struct {
	*testing.T
	dir      string
	runtime  *containerruntime.Runtime
	registry string
	requests *requests
}

// requests counts what is asked of the registry.
type requests struct {
	mu   sync.Mutex
	list []string
	next http.Handler
}

func (r *requests) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.list = append(r.list, q.Method+" "+q.URL.Path)
	r.mu.Unlock()
	r.next.ServeHTTP(w, q)
}

func (r *requests) blobs() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, q := range r.list {
		if strings.HasPrefix(q, "GET") && strings.Contains(q, "/blobs/") {
			n++
		}
	}
	r.list = nil
	return n
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if err := container.Available(t.Context()); err != nil {
		t.Skip(err)
	}
	b := &bench{T: t, dir: t.TempDir(), requests: &requests{next: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}}
	server := httptest.NewServer(b.requests)
	t.Cleanup(server.Close)
	b.registry = strings.TrimPrefix(server.URL, "http://")
	b.runtime = b.with(containerruntime.Options{Probe: containerruntime.Probe{
		Interval: 10 * time.Millisecond, Start: time.Second, Failing: 300 * time.Millisecond,
	}})
	return b
}

func (b *bench) with(o containerruntime.Options) *containerruntime.Runtime {
	store, err := dir.Open(filepath.Join(b.dir, "cache"), dir.Options{})
	if err != nil {
		b.Fatal(err)
	}
	o.Cache, o.Dir = store, b.tasksDir()
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		b.Fatal(err)
	}
	return containerruntime.New(o)
}

func (b *bench) tasksDir() string { return filepath.Join(b.dir, "tasks") }

// entry is a file in a layer; a name that ends in / is a directory.
type entry struct {
	name, content string
	mode          int64
	link          string // a symlink's target
	hard          string // a hard link's target
}

func layerTar(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content)), Typeflag: tar.TypeReg, ModTime: time.Unix(1000, 0)}
		switch {
		case strings.HasSuffix(e.name, "/"):
			h.Typeflag = tar.TypeDir
		case e.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		case e.hard != "":
			h.Typeflag, h.Linkname = tar.TypeLink, e.hard
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func layer(t testing.TB, entries ...entry) v1.Layer {
	t.Helper()
	raw := layerTar(t, entries...)
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func appLayer(t testing.TB) v1.Layer {
	t.Helper()
	program, err := app()
	if err != nil {
		t.Fatal(err)
	}
	return layer(t, entry{name: "app", content: string(program)}, entry{name: "tmp/", mode: 0o1777},
		entry{name: "etc/passwd", content: "web:x:65532:65532::/home:/none\n", mode: 0o644})
}

// push makes an image of the layers and returns its reference by digest.
func (b *bench) push(config v1.Config, layers ...v1.Layer) string {
	b.Helper()
	return b.pushFor(runtime.GOARCH, config, layers...)
}

func (b *bench) pushFor(arch string, config v1.Config, layers ...v1.Layer) string {
	b.Helper()
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		b.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		b.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", arch, config
	if image, err = mutate.ConfigFile(image, file); err != nil {
		b.Fatal(err)
	}
	return b.pushImage(image)
}

func (b *bench) pushImage(image v1.Image) string {
	b.Helper()
	digest, err := image.Digest()
	if err != nil {
		b.Fatal(err)
	}
	ref, err := name.NewDigest(b.registry+"/web@"+digest.String(), name.Insecure)
	if err != nil {
		b.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		b.Fatal(err)
	}
	b.requests.blobs()
	return ref.String()
}

// story collects what a task reports.
type story struct {
	mu     sync.Mutex
	events []ecstest.TaskEvent
	task   ecstest.Task
	id     string
}

func (s *story) add(e ecstest.TaskEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *story) all() []ecstest.TaskEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

func (b *bench) start(r *containerruntime.Runtime, spec ecstest.TaskSpec) *story {
	b.Helper()
	spec.ID = fmt.Sprintf("%032x", time.Now().UnixNano())
	for i := range spec.Containers {
		if spec.Containers[i].Name == "" {
			spec.Containers[i].Name = "web"
		}
		spec.Containers[i].Essential = true
	}
	s := &story{id: spec.ID}
	ctx, cancel := context.WithCancel(context.Background())
	task, err := r.Start(ctx, spec, s.add)
	if err != nil {
		cancel()
		b.Fatal(err)
	}
	s.task = task
	b.Cleanup(func() {
		cancel()
		<-task.Done()
		if left, err := os.ReadDir(b.tasksDir()); err != nil || len(left) > 0 {
			b.Errorf("%v is left behind, %v", left, err)
		}
	})
	return s
}

// wait returns the first event of a type that ok accepts.
func wait[E ecstest.TaskEvent](b *bench, s *story, ok func(E) bool) E {
	b.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		for _, e := range s.all() {
			if e, is := e.(E); is && ok(e) {
				return e
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	var none E
	b.Fatalf("no %T among %+v; log %q", none, s.all(), b.runtime.Logs(s.id, "web"))
	return none
}

func anything[E any](E) bool { return true }

func one(image string) ecstest.TaskSpec {
	return ecstest.TaskSpec{
		Containers: []ecstest.ContainerSpec{{Image: image}},
		Target:     &ecstest.Target{Container: "web", Port: 8080},
	}
}
