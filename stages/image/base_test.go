package image

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layoutBuilder writes base images for tests.
type layoutBuilder struct {
	t     testing.TB
	store *cache.Cache
	index v1.IndexManifest
	blobs []cache.Descriptor
}

func newLayoutBuilder(t testing.TB, store *cache.Cache) *layoutBuilder {
	return &layoutBuilder{t: t, store: store, index: v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}}
}

func (b *layoutBuilder) put(mediaType types.MediaType, v any) v1.Descriptor {
	b.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	d := cache.Descriptor{MediaType: string(mediaType), Digest: cache.Sum(raw), Size: int64(len(raw))}
	if err := b.store.Blobs.Put(b.t.Context(), d.Digest, d.Size, bytes.NewReader(raw)); err != nil {
		b.t.Fatal(err)
	}
	b.blobs = append(b.blobs, d)
	return descriptor(d)
}

func (b *layoutBuilder) add(arch string, config v1.Config) {
	b.t.Helper()
	b.addFiles(arch, config, map[string]string{"opt/java/bin/java": strings.Repeat("a JVM for "+arch+"\n", 1000)})
}

func (b *layoutBuilder) addFiles(arch string, config v1.Config, content map[string]string) {
	b.t.Helper()
	var files []oci.File
	for _, name := range slices.Sorted(maps.Keys(content)) {
		body := content[name]
		files = append(files, oci.File{Path: name, Mode: 0o755, Size: int64(len(body)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(body)), nil
		}})
	}
	l, err := oci.WriteLayer(b.t.Context(), b.store.Blobs, "x", files, oci.Gzip(6))
	if err != nil {
		b.t.Fatal(err)
	}
	b.blobs = append(b.blobs, l.Descriptor)
	c := b.put(types.DockerConfigJSON, v1.ConfigFile{
		OS: "linux", Architecture: arch, Config: config, History: []v1.History{{CreatedBy: "them"}},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{hashOf(l.DiffID)}},
	})
	layer := descriptor(l.Descriptor)
	layer.MediaType = types.DockerLayer // the older family is what most bases have
	m := b.put(types.DockerManifestSchema2, v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2, Config: c, Layers: []v1.Descriptor{layer}})
	m.Platform = &v1.Platform{OS: "linux", Architecture: arch}
	b.index.Manifests = append(b.index.Manifests, m)
}

func (b *layoutBuilder) write(at string) {
	b.t.Helper()
	d := b.put(types.OCIImageIndex, b.index)
	top := cache.Descriptor{MediaType: string(d.MediaType), Digest: cache.Digest(d.Digest.String()), Size: d.Size}
	if err := oci.WriteLayout(b.t.Context(), b.store.Blobs, at, oci.Entry{Manifest: top}, b.blobs); err != nil {
		b.t.Fatal(err)
	}
}

// baseRegistry serves a base for two architectures under base/java:17.
func baseRegistry(t *testing.T, before func(w http.ResponseWriter, r *http.Request) bool) (host string, requests *atomic.Int64) {
	t.Helper()
	requests = &atomic.Int64{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	var ready atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if !ready.Load() || before == nil || !before(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	host = strings.TrimPrefix(s.URL, "http://")
	x, err := layout.ImageIndexFromPath(baseLayout(t, "s390x", runtime.GOARCH))
	if err != nil {
		t.Fatal(err)
	}
	m, err := x.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if x, err = x.ImageIndex(m.Manifests[0].Digest); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/base/java:17")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, x); err != nil {
		t.Fatal(err)
	}
	ready.Store(true)
	return host, requests
}

func TestBaseByReference(t *testing.T) {
	host, requests := baseRegistry(t, nil)
	memory, at := newCache(t), t.TempDir()
	in := bootJar(t, t.TempDir(), time.Now(), nil)
	c := Config{Base: host + "/base/java:17", Layout: at, Jars: jarsVerbatim}
	deps := Deps{Cache: memory, Keychain: authn.NewMultiKeychain()}
	var e told
	r, err := New(c, deps).Run(t.Context(), e.env(), in)
	if err != nil {
		t.Fatal(err)
	}
	img := read(t, at, r.Out.Digest)
	if err := validImage(img); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.Out.Base, host+"/base/java:17@sha256:") {
		t.Errorf("base %s", r.Out.Base)
	}
	m, err := img.Manifest()
	if err != nil || m.Layers[0].MediaType != types.OCILayer || m.MediaType != types.OCIManifestSchema1 {
		t.Errorf("%+v, %v", m, err)
	}
	last, ok := e.all[len(e.all)-2].(runner.Progress)
	if !ok || last.Done != last.Total || last.Total != r.Out.Layers[0].Size {
		t.Errorf("progress %+v", e.all)
	}

	// Pinned and in the cache, it needs no registry.
	digest := r.Out.Base[strings.Index(r.Out.Base, "@"):]
	requests.Store(0)
	c.Base = host + "/base/java" + digest
	pinned, err := New(c, deps).Run(t.Context(), e.env(), in)
	if err != nil || pinned.Out.Layers[0] != r.Out.Layers[0] || requests.Load() != 0 {
		t.Errorf("%+v, %v, %d requests", pinned, err, requests.Load())
	}
}

func TestBaseByReferenceFaults(t *testing.T) {
	refuse := func(status int, path string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, path) {
				return false
			}
			w.WriteHeader(status)
			fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"no"}]}`)
			return true
		}
	}
	for name, c := range map[string]struct {
		before func(w http.ResponseWriter, r *http.Request) bool
		ref    string
		class  fault.Class
		want   string
	}{
		"401":      {refuse(401, "manifests"), "/base/java:17", fault.Missing, "no valid login"},
		"no tag":   {nil, "/base/java:18", fault.Missing, "does not exist"},
		"no image": {nil, "/base/other:17", fault.Missing, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			host, _ := baseRegistry(t, c.before)
			err := New(Config{Base: host + c.ref, Layout: t.TempDir()}, Deps{Cache: newCache(t), Keychain: authn.NewMultiKeychain()}).Check(t.Context())
			if fault.ClassOf(err) != c.class || !strings.Contains(fmt.Sprint(err), c.want) || fault.HintOf(err) == "" {
				t.Errorf("class %d: %v (%s)", fault.ClassOf(err), err, fault.HintOf(err))
			}
		})
	}
	t.Run("a layer that breaks off once", func(t *testing.T) {
		var broken atomic.Bool
		host, _ := baseRegistry(t, func(w http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, "blobs/sha256") && broken.CompareAndSwap(false, true) && refuse(503, "")(w, r)
		})
		at := t.TempDir()
		r, err := New(Config{Base: host + "/base/java:17", Layout: at}, Deps{Cache: newCache(t), Keychain: authn.NewMultiKeychain()}).Run(t.Context(), (&told{}).env(), bootJar(t, t.TempDir(), time.Now(), nil))
		if err != nil || !broken.Load() {
			t.Fatal(err)
		}
		if err := validImage(read(t, at, r.Out.Digest)); err != nil {
			t.Error(err)
		}
	})
}

// TestOnJlink makes and inspects a real image: a real jar on a linked base.
func TestOnJlink(t *testing.T) {
	home := os.Getenv("JAVA_HOME")
	if home == "" {
		home = "/usr/lib/jvm/java-17-openjdk-amd64"
	}
	if _, err := New(Config{}, Deps{}).targets(t.Context(), home); err != nil || testing.Short() {
		t.Skipf("no JDK that links: %v", err)
	}
	jar := benchmarkJar(t)
	memory, at := newCache(t), t.TempDir()
	c := Config{Layout: at}
	in := In{Jar: runner.Descriptor{Name: jar}, Name: "orders", JavaHome: home}
	r := run(t, c, memory, in)
	img := read(t, at, r.Out.Digest)
	if err := validImage(img); err != nil {
		t.Error(err)
	}
	f, err := img.ConfigFile()
	if err != nil || f.Config.User != "65532:65532" || !strings.HasSuffix(f.Config.Entrypoint[0], "/bin/java") {
		t.Errorf("%+v, %v", f, err)
	}
	if r = run(t, c, memory, in); r.Status != runner.Cached {
		t.Errorf("the second run: %+v", r)
	}
}

// benchmarkJar is FASTSHIP_BOOT_JAR, or what testdata/apps/orders built.
func benchmarkJar(t testing.TB) string {
	t.Helper()
	if jar := os.Getenv("FASTSHIP_BOOT_JAR"); jar != "" {
		return jar
	}
	found, err := filepath.Glob("../../testdata/apps/orders/target/orders*.jar")
	if err != nil || len(found) == 0 {
		t.Skip("no Spring Boot jar: build testdata/apps/orders, or name one in FASTSHIP_BOOT_JAR")
	}
	return found[0]
}

// BenchmarkWarm is the stage after a change that touched the application
// alone.
func BenchmarkWarm(b *testing.B) {
	deps := Deps{Cache: newCache(b), State: b.TempDir()}
	c := Config{Base: "oci:" + baseLayout(b, runtime.GOARCH), Layout: b.TempDir(), Pushed: true}
	jar := benchmarkJar(b)
	step := func(i int) {
		b.StopTimer()
		in := In{Jar: runner.Descriptor{Name: changedJar(b, jar, fmt.Sprint(i))}, Name: "orders"}
		b.StartTimer()
		env := runner.Env{Emit: func(runner.Body) {}, Background: func(string, func(context.Context) error) {}}
		if _, err := New(c, deps).Run(b.Context(), env, in); err != nil {
			b.Fatal(err)
		}
	}
	step(-1)
	for i := 0; b.Loop(); i++ {
		step(i)
	}
}

// changedJar is a jar with another resource of the application in it.
func changedJar(b *testing.B, jar, text string) string {
	b.Helper()
	r, err := zip.OpenReader(jar)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	path := filepath.Join(b.TempDir(), "app.jar")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := zip.NewWriter(f)
	for _, entry := range r.File {
		if entry.Mode().IsDir() {
			continue
		}
		if err := w.Copy(entry); err != nil {
			b.Fatal(err)
		}
	}
	e, err := w.Create("BOOT-INF/classes/changed.txt")
	if err == nil {
		_, err = io.WriteString(e, text)
	}
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		b.Fatal(err)
	}
	return path
}
