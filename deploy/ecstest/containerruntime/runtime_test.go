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
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
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

func TestLifeOfAHealthyTask(t *testing.T) {
	b := newBench(t)
	image := b.push(v1.Config{Entrypoint: []string{"/app", "serve"}, Cmd: []string{"from", "image"}, User: "web", Env: []string{"VERSION=1", "KEPT=yes"}, WorkingDir: "/srv"}, appLayer(t))
	spec := one(image)
	spec.Containers[0].Environment = map[string]string{"VERSION": "2"}
	s := b.start(b.runtime, spec)
	wait(b, s, func(h ecstest.Health) bool { return h.Healthy && h.Container == "" })
	address := wait(b, s, anything[ecstest.Listening]).Address
	response, err := http.Get("http://" + address + "/there")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || string(body) != "hello from 2 /there\n" {
		t.Errorf("%s %v", body, err)
	}
	s.task.Stop(10 * time.Second)
	s.task.Stop(10 * time.Second)
	<-s.task.Done()
	var kinds []string
	for _, e := range s.all() {
		kinds = append(kinds, strings.TrimPrefix(fmt.Sprintf("%T", e), "ecstest."))
	}
	if want := []string{"PullStarted", "PullStopped", "Started", "Listening", "Health", "Exited"}; !slices.Equal(kinds, want) {
		t.Errorf("%+v", s.all())
	}
	if e := wait(b, s, anything[ecstest.Exited]); e != (ecstest.Exited{Container: "web"}) {
		t.Errorf("%+v", e)
	}
	_, digest, _ := strings.Cut(image, "@")
	if got := wait(b, s, anything[ecstest.PullStopped]).Digests["web"]; got != digest {
		t.Error(got)
	}
	if log := b.runtime.Logs(s.id, "web"); !slices.Equal(log, []string{"app [serve from image] uid 65532", "listening on [::]:8080", "stopping"}) {
		t.Errorf("%q", log)
	}
}

func TestUnpackedLayersAreUsedAgain(t *testing.T) {
	b := newBench(t)
	base := appLayer(t)
	first := b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"EXIT=0"}}, base, layer(t, entry{name: "version", content: "1"}))
	<-b.start(b.runtime, one(first)).task.Done()
	if n := b.requests.blobs(); n != 3 { // configuration and two layers
		t.Errorf("%d blobs were read for the first task", n)
	}
	<-b.start(b.runtime, one(first)).task.Done()
	if n := b.requests.blobs(); n != 1 {
		t.Errorf("%d blobs were read for the same image", n)
	}
	second := b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"EXIT=0"}}, base, layer(t, entry{name: "version", content: "2"}))
	<-b.start(b.runtime, one(second)).task.Done()
	if n := b.requests.blobs(); n != 2 {
		t.Errorf("%d blobs were read for an image with one other layer", n)
	}
}

func TestExitIsReported(t *testing.T) {
	b := newBench(t)
	s := b.start(b.runtime, one(b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"EXIT=7"}}, appLayer(t))))
	if e := wait(b, s, anything[ecstest.Exited]); e.Code != 7 {
		t.Errorf("%+v", e)
	}
	<-s.task.Done()
	if log := b.runtime.Logs(s.id, "web"); !slices.Contains(log, "leaving with 7") {
		t.Errorf("%q", log)
	}
}

func TestStopKillsAfterItsTimeout(t *testing.T) {
	b := newBench(t)
	spec := one(b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"STUBBORN=1"}}, appLayer(t)))
	spec.Containers[0].StopTimeout = 300 * time.Millisecond
	s := b.start(b.runtime, spec)
	wait(b, s, func(h ecstest.Health) bool { return h.Healthy })
	begin := time.Now()
	s.task.Stop(time.Hour) // the container's own comes first
	<-s.task.Done()
	if took := time.Since(begin); took < 300*time.Millisecond || took > 10*time.Second {
		t.Error(took)
	}
	if e := wait(b, s, anything[ecstest.Exited]); e.Code != 137 {
		t.Errorf("%+v", e)
	}
}

func TestTargetHealth(t *testing.T) {
	b := newBench(t)
	image := b.push(v1.Config{Entrypoint: []string{"/app"}}, appLayer(t))
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"errors":       {map[string]string{"STATUS": "503"}, "Health checks failed with these codes: [503]"},
		"silent":       {map[string]string{"LISTEN": "none"}, "Health checks failed: nothing listens on a TCP port"},
		"other port":   {map[string]string{"LISTEN": ":9090"}, "Health checks failed: nothing listens on port 8080, but on 9090"},
		"local only":   {map[string]string{"LISTEN": "127.0.0.1:8080"}, "Health checks failed: the application listens on 127.0.0.1:8080 only, where no load balancer reaches it"},
		"not found":    {map[string]string{"STATUS": "404"}, ""},
		"late":         {map[string]string{"DELAY": "500ms"}, ""},
		"redirects":    {map[string]string{"STATUS": "302"}, ""},
		"unauthorized": {map[string]string{"STATUS": "401"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{t, b.dir, b.runtime, b.registry, b.requests}
			spec := one(image)
			spec.Containers[0].Environment = test.env
			s := b.start(b.runtime, spec)
			if h := wait(b, s, anything[ecstest.Health]); h.Healthy != (test.want == "") || h.Reason != test.want {
				t.Errorf("%+v", h)
			}
			if log := b.runtime.Logs(s.id, "web"); test.want != "" && !slices.Contains(log, test.want) {
				t.Errorf("the reason is not in the log: %q", log)
			}
		})
	}
}

func TestAnyPort(t *testing.T) {
	b := newBench(t)
	r := b.with(containerruntime.Options{AnyPort: true})
	spec := one(b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"LISTEN=:9090"}}, appLayer(t)))
	s := b.start(r, spec)
	if h := wait(b, s, anything[ecstest.Health]); !h.Healthy {
		t.Errorf("%+v", h)
	}
}

func TestContainerHealthCheck(t *testing.T) {
	b := newBench(t)
	image := b.push(v1.Config{Entrypoint: []string{"/app"}, User: "web"}, appLayer(t))
	spec := one(image)
	spec.Containers[0].HealthCheck = &ecstest.HealthCheck{Command: []string{"CMD", "/app", "check"}, Interval: 50 * time.Millisecond, Timeout: time.Second, Retries: 2, StartPeriod: time.Second}
	s := b.start(b.runtime, spec)
	get := func(path string) {
		response, err := http.Get("http://" + wait(b, s, anything[ecstest.Listening]).Address + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	get("/healthy")
	wait(b, s, func(h ecstest.Health) bool { return h.Container == "web" && h.Healthy })
	get("/unhealthy")
	if h := wait(b, s, func(h ecstest.Health) bool { return h.Container == "web" && !h.Healthy }); h.Reason != "Health check exited with code 1: app [check] uid 65532\nno /tmp/healthy\n" {
		t.Errorf("%q", h.Reason)
	}
}

func TestHealthCheckThatCannotRun(t *testing.T) {
	b := newBench(t)
	image := b.push(v1.Config{Entrypoint: []string{"/app"}}, appLayer(t))
	for want, command := range map[string][]string{
		"CMD-SHELL needs /bin/sh": {"CMD-SHELL", "curl -f localhost"},
		"the image has no curl":   {"CMD", "curl"},
	} {
		spec := one(image)
		spec.Containers[0].HealthCheck = &ecstest.HealthCheck{Command: command, Interval: time.Hour, Timeout: time.Second, Retries: 3}
		s := b.start(b.runtime, spec)
		if h := wait(b, s, func(h ecstest.Health) bool { return h.Container == "web" }); h.Healthy || !strings.Contains(h.Reason, want) {
			t.Errorf("%+v", h)
		}
		s.task.Stop(0)
		<-s.task.Done()
	}
}

func TestFailedToStart(t *testing.T) {
	b := newBench(t)
	foreign := "amd64"
	if runtime.GOARCH == foreign {
		foreign = "arm64"
	}
	elf := layer(t, entry{name: "app", content: "\x7fELF for another machine"})
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add:        empty.Image,
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: foreign}},
	})
	indexRef, err := name.NewTag(b.registry+"/web:index", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(indexRef, index); err != nil {
		t.Fatal(err)
	}
	missing := b.registry + "/web@sha256:" + strings.Repeat("0", 64)
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, test := range map[string]struct{ image, want string }{
		"missing":       {missing, "CannotPullContainerError: failed to resolve ref " + missing + ": not found"},
		"no registry":   {strings.TrimPrefix(closed.URL, "http://") + "/web:1", "CannotPullContainerError: failed to pull"},
		"bad reference": {"Not A Reference", "CannotPullContainerError: invalid reference format"},
		"platform":      {indexRef.String(), "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/" + runtime.GOARCH},
		"foreign":       {b.pushFor(foreign, v1.Config{Entrypoint: []string{"/app"}}, elf), "CannotStartContainerError: exec /app: exec format error: the image is for linux/" + foreign},
		"no program":    {b.push(v1.Config{}, elf), "CannotStartContainerError: no command specified"},
		"no such file":  {b.push(v1.Config{Entrypoint: []string{"java"}}, elf), "CannotStartContainerError: exec java: executable file not found in $PATH"},
		"no such user":  {b.push(v1.Config{Entrypoint: []string{"/app"}, User: "ghost"}, elf), "CannotStartContainerError: run a container: unable to find user ghost"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{t, b.dir, b.runtime, b.registry, b.requests}
			s := b.start(b.runtime, one(test.image))
			<-s.task.Done()
			e, ok := s.all()[len(s.all())-1].(ecstest.FailedToStart)
			if !ok || e.Container != "web" || !strings.HasPrefix(e.Reason, test.want) {
				t.Errorf("%+v", s.all())
			}
		})
	}
}

func TestStopBreaksOffAPull(t *testing.T) {
	b := newBench(t)
	released := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-released }))
	defer server.Close()
	defer close(released)
	s := b.start(b.runtime, one(strings.TrimPrefix(server.URL, "http://")+"/web:1"))
	wait(b, s, anything[ecstest.PullStarted])
	s.task.Stop(time.Hour)
	<-s.task.Done()
	if _, ok := s.all()[len(s.all())-1].(ecstest.FailedToStart); !ok {
		t.Errorf("%+v", s.all())
	}
}

func TestSecondContainerThatCannotStartEndsTheFirst(t *testing.T) {
	b := newBench(t)
	image := b.push(v1.Config{Entrypoint: []string{"/app"}}, appLayer(t))
	spec := one(image)
	spec.Containers = append(spec.Containers, ecstest.ContainerSpec{Name: "side", Image: image, EntryPoint: []string{"/none"}})
	s := b.start(b.runtime, spec)
	<-s.task.Done()
	all := s.all()
	exited, ok1 := all[len(all)-2].(ecstest.Exited)
	failed, ok2 := all[len(all)-1].(ecstest.FailedToStart)
	if !ok1 || !ok2 || exited.Container != "web" || failed.Container != "side" {
		t.Errorf("%+v", all)
	}
}

func TestWhiteoutsAndCompression(t *testing.T) {
	b := newBench(t)
	program, err := app()
	if err != nil {
		t.Fatal(err)
	}
	var compressed bytes.Buffer
	z, err := zstd.NewWriter(&compressed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(layerTar(t, entry{name: "bin/app", content: string(program)}, entry{name: "gone/file", content: "x"}, entry{name: "opaque/old", content: "x"}, entry{name: "lib", link: "/usr/lib"})); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	zst := zstdLayer{static.NewLayer(compressed.Bytes(), types.OCILayerZStd), layerTar(t, entry{name: "bin/app", content: string(program)}, entry{name: "gone/file", content: "x"}, entry{name: "opaque/old", content: "x"}, entry{name: "lib", link: "/usr/lib"})}
	image := b.push(v1.Config{Entrypoint: []string{"/usr/lib/run"}, Env: []string{"EXIT=0"}}, zst,
		layer(t, entry{name: "opaque/new", content: "x"}, entry{name: "opaque/.wh..wh..opq"}, entry{name: ".wh.gone"}, entry{name: "lib/run", hard: "bin/app"}),
		layer(t, entry{name: "top", content: "x"}))
	s := b.start(b.runtime, one(image))
	<-s.task.Done()
	if e := wait(b, s, anything[ecstest.Exited]); e.Code != 0 {
		t.Errorf("%+v %q", e, b.runtime.Logs(s.id, "web"))
	}
	joined, err := filepath.Glob(filepath.Join(b.dir, "cache/expanded/*/tree/root/usr/lib/run"))
	if err != nil || len(joined) != 1 {
		t.Fatal(joined, err)
	}
	tree := filepath.Join(filepath.Dir(joined[0]), "../..")
	for path, there := range map[string]bool{"bin/app": true, "gone": false, "opaque/old": false, "opaque/new": true, "top": false} {
		if _, err := os.Stat(filepath.Join(tree, path)); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// zstdLayer is a static layer that knows its content's digest.
type zstdLayer struct {
	v1.Layer
	plain []byte
}

func (l zstdLayer) DiffID() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(l.plain))
	return h, err
}

func TestManyLayersAreJoined(t *testing.T) {
	b := newBench(t)
	layers := []v1.Layer{appLayer(t)}
	for i := range 40 {
		layers = append(layers, layer(t, entry{name: fmt.Sprintf("layers/%d", i), content: "x"}))
	}
	s := b.start(b.runtime, one(b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"EXIT=0"}}, layers...)))
	<-s.task.Done()
	if e := wait(b, s, anything[ecstest.Exited]); e.Code != 0 {
		t.Errorf("%+v", e)
	}
}

func TestLayerThatIsNotWhatItsConfigurationSays(t *testing.T) {
	b := newBench(t)
	lying := zstdLayer{static.NewLayer(layerTar(t, entry{name: "app", content: "one"}), types.OCIUncompressedLayer), []byte("another")}
	s := b.start(b.runtime, one(b.push(v1.Config{Entrypoint: []string{"/app"}}, lying)))
	<-s.task.Done()
	e, ok := s.all()[len(s.all())-1].(ecstest.FailedToStart)
	if !ok || !strings.Contains(e.Reason, "the image's configuration says") {
		t.Errorf("%+v", s.all())
	}
}

func TestLogKeepsTheLastLines(t *testing.T) {
	b := newBench(t)
	var mu sync.Mutex
	var streamed []string
	r := b.with(containerruntime.Options{Log: func(task, container, stream, line string) {
		mu.Lock()
		defer mu.Unlock()
		streamed = append(streamed, container+" "+stream+" "+line)
	}})
	s := b.start(r, one(b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"EXIT=2"}}, appLayer(t))))
	<-s.task.Done()
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(streamed, "web stderr leaving with 2") {
		t.Errorf("%q", streamed)
	}
	if r.Logs("unknown", "web") != nil {
		t.Error("an unknown task has a log")
	}
}
