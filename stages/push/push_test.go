package push

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// server is a registry that counts requests and can be told to misbehave.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // METHOD kind
	// before may answer a request itself, and returns true then.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+kind(r.URL.Path))
		before := s.before
		s.mu.Unlock()
		if before != nil && before(w, r) {
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func kind(path string) string {
	for _, k := range []string{"manifests", "blobs/uploads", "blobs", "token"} {
		if strings.Contains(path, "/"+k) {
			return k
		}
	}
	return path
}

func (s *server) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests = nil
	slices.Sort(out)
	return out
}

func (s *server) misbehave(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

func (s *server) host() string { return strings.TrimPrefix(s.URL, "http://") }

// makeImage writes a layout with one image of the given layers.
func makeImage(t *testing.T, at string, layers ...[]byte) In {
	t.Helper()
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put := func(mediaType string, b []byte) cache.Descriptor {
		d := cache.Descriptor{MediaType: mediaType, Digest: cache.Sum(b), Size: int64(len(b))}
		if err := store.Put(t.Context(), d.Digest, d.Size, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	config := v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}}
	var blobs []cache.Descriptor
	for i, b := range layers {
		l, err := oci.WriteLayer(t.Context(), store, "x", []oci.File{{Path: fmt.Sprint("f", i), Size: int64(len(b)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b)), nil
		}}}, oci.Gzip(1))
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, l.Descriptor)
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.MediaType(l.Descriptor.MediaType), Size: l.Descriptor.Size, Digest: h(l.Descriptor.Digest)})
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, h(l.DiffID))
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	c := put(oci.MediaTypeConfig, raw)
	m.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Size: c.Size, Digest: h(c.Digest)}
	raw, err = json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	manifest := put(oci.MediaTypeManifest, raw)
	if err := oci.WriteLayout(t.Context(), store, at, oci.Entry{Manifest: manifest, OS: "linux", Architecture: "amd64"}, append(blobs, c)); err != nil {
		t.Fatal(err)
	}
	return In{Layout: at, Digest: string(manifest.Digest)}
}

func h(d cache.Digest) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: d.Hex()} }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// events collects what a step tells.
type events struct {
	mu   sync.Mutex
	all  []runner.Body
	last runner.Progress
}

func (e *events) env() runner.Env {
	return runner.Env{Emit: func(b runner.Body) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, b)
		if p, ok := b.(runner.Progress); ok {
			e.last = p
		}
	}}
}

// anonymous keeps the tests away from the Docker configuration of whoever
// runs them.
func anonymous() Deps { return Deps{Keychain: authn.NewMultiKeychain()} }

func TestPushSendsWhatIsMissing(t *testing.T) {
	s := newServer(t)
	base, lib, app := random(3<<20), random(200_000), random(1000)
	in := makeImage(t, t.TempDir(), base, lib, app)
	step := New(Config{Repository: s.host() + "/team/orders"}, anonymous())
	if err := step.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := s.take(), []string{"GET /v2/", "GET manifests"}; !slices.Equal(got, want) {
		t.Errorf("Check asked %v", got)
	}
	var e events
	r, err := step.Run(t.Context(), e.env(), in)
	if err != nil {
		t.Fatal(err)
	}
	tag := in.Digest[7:19]
	if want := s.host() + "/team/orders@" + in.Digest; r.Out.Reference != want || !slices.Equal(r.Out.Tags, []string{tag}) {
		t.Errorf("%+v", r.Out)
	}
	image := pull(t, s.host()+"/team/orders:"+tag)
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	size := int64(0)
	m, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range append(m.Layers, m.Config) {
		size += l.Size
	}
	if r.Out.Blobs != 4 || r.Out.Reused != 0 || r.Out.Bytes != size {
		t.Errorf("%+v, the image has %d bytes", r.Out, size)
	}
	if e.last.Done != size || e.last.Total != size {
		t.Errorf("last progress %+v of %d", e.last, size)
	}

	// The same again, by a new process: one HEAD.
	s.take()
	r, err = New(Config{Repository: s.host() + "/team/orders"}, anonymous()).Run(t.Context(), e.env(), in)
	if err != nil || r.Status != runner.Cached || r.Out.Blobs != 0 || r.Out.Bytes != 0 || r.Out.Reused != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	if got, want := s.take(), []string{"GET /v2/", "HEAD manifests"}; !slices.Equal(got, want) {
		t.Errorf("no change asked %v", got)
	}

	// One changed layer.
	in2 := makeImage(t, t.TempDir(), base, lib, random(900))
	r, err = New(Config{Repository: s.host() + "/team/orders", Tags: []string{"a", "b", "a"}}, anonymous()).Run(t.Context(), e.env(), in2)
	if err != nil || r.Out.Blobs != 2 || r.Out.Reused != 2 || r.Out.Bytes > 3000 || !slices.Equal(r.Out.Tags, []string{"a", "b"}) {
		t.Errorf("%+v, %v", r, err)
	}
	want := []string{
		"GET /v2/", "HEAD blobs", "HEAD blobs", "HEAD blobs", "HEAD blobs", "HEAD manifests", "HEAD manifests",
		"POST blobs/uploads", "POST blobs/uploads", "PUT manifests", "PUT manifests",
	}
	if got := s.take(); !slices.Equal(got, want) {
		t.Errorf("one change asked %v", got)
	}
	pull(t, s.host()+"/team/orders:b")
}

// TestPushAsksLittle holds the requests of runs on a machine that has pushed
// before, Check included.
func TestPushAsksLittle(t *testing.T) {
	s := newServer(t)
	base, deps := random(400_000), anonymous()
	deps.State = t.TempDir()
	push := func(in In, want ...string) {
		t.Helper()
		s.take()
		step := New(Config{Repository: s.host() + "/x"}, deps)
		if err := step.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := step.Run(t.Context(), (&events{}).env(), in)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.take(); want != nil && !slices.Equal(got, want) {
			t.Errorf("asked %v, want %v", got, want)
		}
		if err := validate.Image(pull(t, s.host()+"/x:"+r.Out.Tags[0])); err != nil {
			t.Error(err)
		}
	}
	first := makeImage(t, t.TempDir(), base, random(100))
	push(first)
	push(first, "HEAD manifests")
	push(makeImage(t, t.TempDir(), base, random(101)), "HEAD manifests", "POST blobs/uploads", "POST blobs/uploads", "PUT manifests")
	// The registry has lost all since: everything is asked for and sent.
	lost := newServer(t)
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool { lost.Config.Handler.ServeHTTP(w, r); return true })
	push(makeImage(t, t.TempDir(), base, random(102)))
}

func pull(t *testing.T, ref string) v1.Image {
	t.Helper()
	n, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(n)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestDefaultTags(t *testing.T) {
	const commit, digest = "0123456789abcdef0123456789abcdef01234567", "sha256:fedcba98765432100123456789abcdef0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		in   In
		want string
	}{
		{In{Digest: digest, Commit: commit}, "0123456789ab"},
		{In{Digest: digest, Commit: commit, Dirty: true}, "fedcba987654"},
		{In{Digest: digest}, "fedcba987654"},
	} {
		if got := New(Config{}, Deps{}).tags(c.in); len(got) != 1 || got[0] != c.want {
			t.Errorf("%+v: %v", c.in, got)
		}
	}
}

// TestPushRecovers breaks each kind of request once, in each way.
func TestPushRecovers(t *testing.T) {
	ways := map[string]func(w http.ResponseWriter, r *http.Request){
		"503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"429": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(429)
			io.WriteString(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`)
		},
		"cut": func(w http.ResponseWriter, r *http.Request) {
			io.CopyN(io.Discard, r.Body, 100_000)
			hijack(w)
		},
		"upload forgotten": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			io.WriteString(w, `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"who?"}]}`)
		},
	}
	for way, act := range ways {
		for _, at := range []string{"GET /v2/", "HEAD manifests", "HEAD blobs", "POST blobs/uploads", "PUT blobs/uploads", "PUT manifests"} {
			if way == "upload forgotten" && at != "PUT blobs/uploads" {
				continue
			}
			t.Run(way+" "+at, func(t *testing.T) {
				t.Parallel()
				s := newServer(t)
				var once sync.Once
				s.misbehave(func(w http.ResponseWriter, r *http.Request) (acted bool) {
					if r.Method+" "+kind(r.URL.Path) == at {
						once.Do(func() { acted = true; act(w, r) })
					}
					return acted
				})
				in := makeImage(t, t.TempDir(), random(500_000), random(10))
				var e events
				r, err := New(Config{Repository: s.host() + "/x"}, anonymous()).Run(t.Context(), e.env(), in)
				if err != nil {
					t.Fatal(err)
				}
				if r.Out.Blobs != 3 || e.last.Done != r.Out.Bytes || e.last.Total != r.Out.Bytes {
					t.Errorf("%+v, progress %+v", r.Out, e.last)
				}
				if err := validate.Image(pull(t, s.host()+"/x:"+r.Out.Tags[0])); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func hijack(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

// TestPushGivesUp: nothing is tagged when a blob cannot be sent.
func TestPushGivesUp(t *testing.T) {
	s := newServer(t)
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && kind(r.URL.Path) == "blobs/uploads" {
			w.WriteHeader(507)
			return true
		}
		return false
	})
	in := makeImage(t, t.TempDir(), random(10), random(2*smallBlob))
	_, err := New(Config{Repository: s.host() + "/x"}, anonymous()).Run(t.Context(), (&events{}).env(), in)
	if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), "no room left") {
		t.Errorf("%v", err)
	}
	if slices.Contains(s.take(), "PUT manifests") {
		t.Error("tagged all the same")
	}
}

func TestPushCancelled(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	s.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			io.Copy(io.Discard, r.Body) // only then does the server see a client go
			cancel(stop)
			<-r.Context().Done()
			return true
		}
		return false
	})
	in := makeImage(t, t.TempDir(), random(10))
	if _, err := New(Config{Repository: s.host() + "/x"}, anonymous()).Run(ctx, (&events{}).env(), in); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

func TestImmutableTag(t *testing.T) {
	s := newServer(t)
	step := func() *Step { return New(Config{Repository: s.host() + "/x", Tags: []string{"v1"}}, anonymous()) }
	first := makeImage(t, t.TempDir(), random(10))
	if _, err := step().Run(t.Context(), (&events{}).env(), first); err != nil {
		t.Fatal(err)
	}
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || kind(r.URL.Path) != "manifests" {
			return false
		}
		w.WriteHeader(400) // as ECR answers
		fmt.Fprint(w, `{"errors":[{"code":"TAG_INVALID","message":"The image tag 'v1' already exists in the 'x' repository and cannot be overwritten because the tag is immutable."}]}`)
		return true
	})
	if _, err := step().Run(t.Context(), (&events{}).env(), first); err != nil {
		t.Errorf("the same image again: %v", err)
	}
	_, err := step().Run(t.Context(), (&events{}).env(), makeImage(t, t.TempDir(), random(10)))
	if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), "tag v1 is immutable and names "+first.Digest) || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

func TestDamagedLayout(t *testing.T) {
	s := newServer(t)
	at := t.TempDir()
	in := makeImage(t, at, random(1000))
	image, err := readImage(at, in.Digest)
	if err != nil {
		t.Fatal(err)
	}
	p := oci.BlobPath(at, image.blobs[0].Digest)
	if err := os.Remove(p); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, make([]byte, image.blobs[0].Size), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = New(Config{Repository: s.host() + "/x"}, anonymous()).Run(t.Context(), (&events{}).env(), in)
	if !errors.Is(err, cache.ErrCorrupt) || !strings.Contains(fault.HintOf(err), at) {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
	in.Layout = filepath.Join(at, "gone")
	if _, err := New(Config{Repository: s.host() + "/x"}, anonymous()).Run(t.Context(), (&events{}).env(), in); fault.ClassOf(err) != fault.ImageFailed {
		t.Errorf("%v", err)
	}
}
