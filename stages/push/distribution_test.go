package push

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// integration skips a test that needs other programs.
func integration(t *testing.T) {
	t.Helper()
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("set FASTSHIP_INTEGRATION=1")
	}
}

func TestDistributionRegistry(t *testing.T) {
	integration(t)
	host := distribution(t)
	base := random(20 << 20)
	in := makeImage(t, t.TempDir(), base, random(100))
	deps := anonymous()
	deps.State = t.TempDir()
	push := func(repo string, in In, tags ...string) (runner.Result[Out], *events) {
		t.Helper()
		step, e := New(Config{Repository: host + "/team/" + repo, Tags: tags}, deps), &events{}
		if err := step.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := step.Run(t.Context(), e.env(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range r.Out.Tags {
			if err := validate.Image(pull(t, host+"/team/"+repo+":"+tag)); err != nil {
				t.Error(err)
			}
		}
		return r, e
	}
	if r, e := push("orders", in, "one", "two"); r.Out.Blobs != 3 || r.Out.Bytes < 20<<20 || e.last.Done != r.Out.Bytes {
		t.Error(r, e.last)
	}
	if r, _ := push("orders", in, "one", "two"); r.Status != runner.Cached {
		t.Error(r)
	}
	if r, _ := push("orders", makeImage(t, t.TempDir(), base, random(101))); r.Out.Blobs != 2 || r.Out.Reused != 1 || r.Out.Bytes > 10_000 {
		t.Error(r)
	}
	// Another repository mounts what the first one has.
	if r, _ := push("bills", makeImage(t, t.TempDir(), base, random(102))); r.Out.Blobs != 2 || r.Out.Bytes > 10_000 {
		t.Error(r)
	}
	// A blob that is cut: distribution 2.8 drops what it has of the request, and
	// gets it from its beginning in another upload; 3.1 keeps it and gets the rest.
	wire := &cutter{}
	wire.at.Store(8 << 20)
	deps.Transport = wire.transport()
	if r, e := push("orders", makeImage(t, t.TempDir(), random(12<<20))); wire.sent.Load() < 12<<20 || e.last.Done != r.Out.Bytes {
		t.Errorf("sent %d bytes, progress %+v", wire.sent.Load(), e.last)
	}
}

// TestBigBlob sends a blob of FASTSHIP_PUSH_BYTES (64 MiB) without ever
// holding it.
func TestBigBlob(t *testing.T) {
	integration(t)
	host := distribution(t)
	size, err := strconv.ParseInt(cmp.Or(os.Getenv("FASTSHIP_PUSH_BYTES"), "67108864"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	in := sparseImage(t, size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	r, err := New(Config{Repository: host + "/big"}, anonymous()).Run(t.Context(), (&events{}).env(), in)
	runtime.ReadMemStats(&after)
	if err != nil || r.Out.Bytes < size {
		t.Fatal(r, err)
	}
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d bytes in %s, %d bytes allocated", r.Out.Bytes, time.Since(start), allocated)
	if allocated > 16<<20 {
		t.Errorf("allocated %d bytes for a blob of %d", allocated, size)
	}
}

// sparseImage is a layout whose one layer is size zeros, which take no room.
func sparseImage(t *testing.T, size int64) In {
	t.Helper()
	at := t.TempDir()
	sums := filepath.Join(at, "blobs", "sha256")
	if err := os.MkdirAll(sums, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(at, "zeros"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h256 := sha256.New()
	if err = f.Truncate(size); err == nil {
		_, err = io.Copy(h256, f)
	}
	if err != nil {
		t.Fatal(err)
	}
	layer := cache.FromSum(h256.Sum(nil))
	if err := os.Rename(f.Name(), filepath.Join(sums, layer.Hex())); err != nil {
		t.Fatal(err)
	}
	put := func(v any) v1.Descriptor {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		d := cache.Sum(raw)
		if err := os.WriteFile(filepath.Join(sums, d.Hex()), raw, 0o644); err != nil {
			t.Fatal(err)
		}
		return v1.Descriptor{Digest: h(d), Size: int64(len(raw))}
	}
	c := put(v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{h(layer)}}})
	c.MediaType = types.OCIConfigJSON
	m := put(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: c, Layers: []v1.Descriptor{{MediaType: types.OCIUncompressedLayer, Digest: h(layer), Size: size}}})
	m.MediaType = types.OCIManifestSchema1
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{m}})
	if err == nil {
		err = os.WriteFile(filepath.Join(at, "index.json"), index, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oci.ReadLayout(at, ""); err != nil {
		t.Fatal(err)
	}
	return In{Layout: at, Digest: m.Digest.String()}
}
