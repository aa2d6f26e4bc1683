package engine

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/fastship/fastship/internal/fault"
)

// double is an engine's API as far as loading needs it. It keeps layers by
// chain, as engines do, and refuses an archive that lacks one.
type double struct {
	containerd bool // keeps images in containerd: wants every layer
	forgetful  bool // has lost the layers of its images
	broken     string
	early      bool // broken is said before the archive is read

	mu     sync.Mutex
	images map[string][]string // ID or name → diff IDs
	files  map[string]v1.ConfigFile
	loads  int
	tagged []string
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // the API's version
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/_ping"):
		w.Header().Set("Api-Version", "1.41")
	case path == "info" && d.containerd:
		answer(200, map[string]any{"DriverStatus": [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}})
	case path == "info":
		answer(200, map[string]any{"DriverStatus": [][2]string{{"Backing Filesystem", "extfs"}}})
	case path == "images/load":
		d.loads++
		if d.early { // without reading on
			answer(200, map[string]string{"error": d.broken})
			return
		}
		if err := d.load(r.Body); err != nil {
			answer(200, map[string]any{"errorDetail": map[string]string{"message": err.Error()}, "error": err.Error()})
			return
		}
		answer(200, map[string]string{"stream": "Loaded image"})
	case strings.HasSuffix(path, "/tag"):
		d.tagged = append(d.tagged, r.URL.Query().Get("repo")+":"+r.URL.Query().Get("tag"))
		w.WriteHeader(http.StatusCreated)
	case strings.HasSuffix(path, "/json"):
		name := strings.TrimSuffix(strings.TrimPrefix(path, "images/"), "/json")
		if layers, ok := d.images[name]; ok {
			file := d.files[name]
			answer(200, map[string]any{
				"Id": name, "RootFS": map[string]any{"Type": "layers", "Layers": layers}, "Created": file.Created.Time,
				"Config": file.Config, "Os": file.OS, "Architecture": file.Architecture,
			})
			return
		}
		answer(404, map[string]string{"message": "No such image: " + name})
	default:
		answer(404, map[string]string{"message": "no " + path})
	}
}

func (d *double) load(body io.Reader) error {
	files := map[string][]byte{}
	for t := tar.NewReader(body); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if files[h.Name], err = io.ReadAll(t); err != nil {
			return err
		}
	}
	if d.broken != "" {
		return errors.New(d.broken)
	}
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		return err
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		return err
	}
	var diffIDs []string
	for i, id := range config.RootFS.DiffIDs {
		diffIDs = append(diffIDs, id.String())
		if _, ok := files[manifest[0].Layers[i]]; !ok && (d.containerd || d.forgetful || !d.has(diffIDs)) {
			return errors.New("no such file: " + manifest[0].Layers[i])
		}
	}
	names := manifest[0].RepoTags
	if !d.containerd { // it knows them by a digest of its own
		names = append(names, "sha256:"+strings.TrimSuffix(manifest[0].Config, ".json"))
	}
	for _, name := range names {
		d.images[name], d.files[name] = diffIDs, config
	}
	return nil
}

func (d *double) has(chain []string) bool {
	for _, layers := range d.images {
		if len(layers) >= len(chain) && strings.Join(layers[:len(chain)], " ") == strings.Join(chain, " ") {
			return true
		}
	}
	return false
}

func (d *double) connect(t *testing.T) *Engine {
	t.Helper()
	d.images, d.files = map[string][]string{}, map[string]v1.ConfigFile{}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	e, err := Connect(t.Context(), func(name string) (string, bool) {
		return strings.Replace(server.URL, "http://", "tcp://", 1), name == "DOCKER_HOST"
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func layer(t *testing.T, size int64) v1.Layer {
	t.Helper()
	l, err := random.Layer(size, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func imageOf(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	base, err := random.Image(10, 0)
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestOnlyWhatIsMissingIsSent(t *testing.T) {
	d := &double{}
	e := d.connect(t)
	base, libraries := layer(t, 200_000), layer(t, 300_000)
	load := func(image v1.Image, sent int64, reused int) {
		t.Helper()
		got, err := e.Load(t.Context(), image, "acme/orders:v1")
		if err != nil {
			t.Fatal(err)
		}
		if got.Sent > sent || got.Sent < sent-20_000 || got.Reused != reused {
			t.Errorf("%+v, want %d bytes and %d layers", got, sent, reused)
		}
		if id, err := image.ConfigName(); err != nil || got.ID != id.String() {
			t.Errorf("ID %s", got.ID)
		}
	}
	first := imageOf(t, base, libraries, layer(t, 10_000))
	load(first, 530_000, 0)
	load(imageOf(t, base, libraries, layer(t, 12_000)), 30_000, 2) // a one-line change
	load(first, 0, 3)                                              // it has that one
	if len(d.tagged) != 1 || d.tagged[0] != "docker.io/acme/orders:v1" {
		t.Errorf("tagged %v", d.tagged)
	}
	d.forgetful = true // somebody pruned it meanwhile
	load(imageOf(t, base, libraries, layer(t, 11_000)), 530_000, 0)
	if d.loads != 4 {
		t.Errorf("%d loads, want 4: the lean one failed", d.loads)
	}
}

func TestContainerdWantsAllOfAnotherImage(t *testing.T) {
	d := &double{containerd: true}
	e := d.connect(t)
	first := imageOf(t, layer(t, 200_000), layer(t, 1000))
	layers, err := first.Layers()
	if err != nil {
		t.Fatal(err)
	}
	env, err := mutate.Config(first, v1.Config{Env: []string{"A=b"}})
	if err != nil {
		t.Fatal(err)
	}
	for what, image := range map[string]v1.Image{"another layer": imageOf(t, layers[0], layer(t, 1000)), "another environment": env} {
		if _, err := e.Load(t.Context(), first, "x:y"); err != nil {
			t.Fatal(err)
		}
		if got, err := e.Load(t.Context(), first, "x:y"); err != nil || got.Sent > 0 || got.Reused != 2 {
			t.Errorf("the same image: %+v, %v", got, err)
		}
		if got, err := e.Load(t.Context(), image, "x:y"); err != nil || got.Sent < 200_000 || got.Reused > 0 {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
}

func TestFaults(t *testing.T) {
	d := &double{broken: "no space left on device"}
	e := d.connect(t)
	if _, err := e.Load(t.Context(), imageOf(t, layer(t, 100)), "x:y"); fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), "load x:y into the Docker engine at tcp://127.0.0.1:") || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("%v", err)
	}
	d.early = true
	if _, err := e.Load(t.Context(), imageOf(t, layer(t, 4<<20)), "x:y"); fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(fmt.Sprint(err), "no space left") {
		t.Errorf("said before all was sent: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Load(ctx, imageOf(t, layer(t, 100)), "x:y"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	for host, want := range map[string]fault.Class{
		"unix:///nowhere/docker.sock":                       fault.Missing,
		strings.Replace(server.URL, "http://", "tcp://", 1): fault.Missing,
		"ssh://somewhere":                                   fault.BadInput,
		"not a host":                                        fault.BadInput,
	} {
		_, err := Connect(t.Context(), func(name string) (string, bool) { return host, name == "DOCKER_HOST" })
		if fault.ClassOf(err) != want || fault.HintOf(err) == "" {
			t.Errorf("%s: %v, hint %q", host, err, fault.HintOf(err))
		}
	}
}

// TestRealEngine loads into the engine of this machine, twice, and runs
// nothing: the archive is the same that cmd's tests run.
func TestRealEngine(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("FASTSHIP_INTEGRATION is not set: .ci/test sets it")
	}
	e, err := Connect(t.Context(), os.LookupEnv)
	if err != nil {
		t.Skip(err)
	}
	defer e.Close()
	base := layer(t, 200_000)
	const name = "fastship-engine-test:v1"
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", name).Run() })
	first, err := e.Load(t.Context(), imageOf(t, base, layer(t, 1000)), name)
	if err != nil || first.Reused != 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	image := imageOf(t, base, layer(t, 1000))
	second, err := e.Load(t.Context(), image, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first %+v, second %+v", first, second)
	if second.Reused == 1 && second.Sent > 20_000 {
		t.Errorf("%+v: the base was sent again", second)
	}
	third, err := e.Load(t.Context(), image, name)
	if err != nil || third.Sent != 0 || third.ID != second.ID {
		t.Errorf("%+v, %v", third, err)
	}
}
