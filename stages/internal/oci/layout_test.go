package oci

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
)

func newStore(t *testing.T) *dir.Store {
	t.Helper()
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func keep(t *testing.T, store cache.LocalStore, content string) cache.Descriptor {
	t.Helper()
	d := cache.Descriptor{MediaType: MediaTypeManifest, Digest: cache.Sum([]byte(content)), Size: int64(len(content))}
	if err := store.Put(t.Context(), d.Digest, d.Size, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

func blobs(t *testing.T, at string) []string {
	t.Helper()
	found, err := os.ReadDir(filepath.Join(at, "blobs", "sha256"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range found {
		out = append(out, e.Name())
	}
	return out
}

func TestLayoutReplacesItsImage(t *testing.T) {
	store, at := newStore(t), filepath.Join(t.TempDir(), "image")
	layer := keep(t, store, "a layer")
	for _, m := range []string{`{"first":1}`, `{"second":2}`} {
		manifest := keep(t, store, m)
		if err := WriteLayout(t.Context(), store, at, Entry{Manifest: manifest, OS: "linux", Architecture: "arm64", Variant: "v8"}, []cache.Descriptor{layer, layer}); err != nil {
			t.Fatal(err)
		}
		if got := blobs(t, at); len(got) != 2 {
			t.Errorf("blobs %v", got)
		}
		e, err := ReadLayout(at, manifest.Digest)
		if err != nil || e.Manifest != manifest || e.Variant != "v8" {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if _, err := ReadLayout(at, layer.Digest); err == nil {
		t.Error("found a manifest that is none")
	}
	x, err := layout.ImageIndexFromPath(at)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := x.IndexManifest(); err != nil || len(m.Manifests) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	p, err := store.Path(layer.Digest)
	if err != nil {
		t.Fatal(err)
	}
	a, errA := os.Stat(p)
	b, errB := os.Stat(BlobPath(at, layer.Digest))
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Error("the blob was copied")
	}
}

// noPath has its files on another file system.
type noPath struct{ *dir.Store }

func (noPath) Path(cache.Digest) (string, error) { return "/proc/self/cmdline", nil }

func TestLayoutAcrossFileSystems(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("wants a /proc")
	}
	store, at := newStore(t), t.TempDir()
	d := keep(t, store, "{}")
	if err := WriteLayout(t.Context(), noPath{store}, at, Entry{Manifest: d}, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(BlobPath(at, d.Digest)); err != nil || string(b) != "{}" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestLayoutFaults(t *testing.T) {
	store, at := newStore(t), t.TempDir()
	manifest, layer := keep(t, store, "{}"), keep(t, store, "a layer")
	if err := WriteLayout(t.Context(), store, at, Entry{Manifest: manifest}, nil); err != nil {
		t.Fatal(err)
	}
	p, err := store.Path(layer.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(p), os.WriteFile(p, []byte("A layer"), 0o444)); err != nil {
		t.Fatal(err)
	}
	second := keep(t, store, `{"second":2}`)
	if err := WriteLayout(t.Context(), store, at, Entry{Manifest: second}, []cache.Descriptor{layer}); !errors.Is(err, cache.ErrCorrupt) {
		t.Errorf("damaged: %v", err)
	}
	missing := cache.Descriptor{Digest: cache.Sum([]byte("x")), Size: 1}
	if err := WriteLayout(t.Context(), store, at, Entry{Manifest: second}, []cache.Descriptor{missing}); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	if e, err := ReadLayout(at, ""); err != nil || e.Manifest.Digest != manifest.Digest {
		t.Errorf("after failures the layout has %+v, %v", e, err)
	}
	if _, err := ReadLayout(t.TempDir(), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no layout: %v", err)
	}
}

func TestLayoutTakesTurns(t *testing.T) {
	store, at := newStore(t), t.TempDir()
	var images []cache.Descriptor
	for i := range 8 {
		images = append(images, keep(t, store, strings.Repeat(" ", i)+"{}"))
	}
	var wg sync.WaitGroup
	for _, d := range images {
		wg.Go(func() {
			for range 10 {
				if err := WriteLayout(t.Context(), store, at, Entry{Manifest: d}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	e, err := ReadLayout(at, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := blobs(t, at); len(got) != 1 || got[0] != e.Manifest.Digest.Hex() {
		t.Errorf("index.json has %s, blobs are %v", e.Manifest.Digest, got)
	}
}

// TestLayoutWaitsAndGivesUp: another process has the layout.
func TestLayoutWaitsAndGivesUp(t *testing.T) {
	store, at := newStore(t), t.TempDir()
	d := keep(t, store, "{}")
	unlock, err := lockDir(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- WriteLayout(ctx, store, at, Entry{Manifest: d}, nil) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestMemory writes a layer of 150 MB and looks at the heap on the way.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("150 MB")
	}
	const size = 150 << 20
	store := discard{newStore(t)}
	var peak uint64
	chunk := bytes.Repeat([]byte("some text that compresses, "), 1<<15)
	left := int64(size)
	reader := readFunc(func(p []byte) (int, error) {
		if left == 0 {
			return 0, io.EOF
		}
		if left%(10<<20) < int64(len(p)) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse+m.StackInuse)
		}
		n := copy(p[:min(int64(len(p)), left)], chunk)
		left -= int64(n)
		return n, nil
	})
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	if _, err := WriteLayer(t.Context(), store, "x", []File{{Path: "f", Size: size, Open: func() (io.ReadCloser, error) { return io.NopCloser(reader), nil }}}, Gzip(1)); err != nil {
		t.Fatal(err)
	}
	if peak == 0 || peak > 60<<20 {
		t.Errorf("peak heap %d MB", peak>>20)
	}
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// discard keeps nothing.
type discard struct{ *dir.Store }

func (discard) Create(context.Context) (cache.BlobWriter, error) { return nothing{io.Discard}, nil }

type nothing struct{ io.Writer }

func (nothing) Commit() (cache.Descriptor, error) { return cache.Descriptor{}, nil }
func (nothing) Abort()                            {}
