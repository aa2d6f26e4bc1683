package push

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// pushedIndex has an index of two platforms in repository x of a registry, with
// something attached to it, and returns its reference.
func pushedIndex(t *testing.T, host string) (ref string, attached manifest) {
	t.Helper()
	shared := random(200_000)
	in := makeIndex(t, t.TempDir(), makeImage(t, t.TempDir(), shared, random(1000)), makeImage(t, t.TempDir(), shared, random(1001)))
	step := New(Config{Repository: host + "/x"}, anonymous())
	r, err := step.Run(t.Context(), (&events{}).env(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r.Out.Reference, attach1(t, step.remote, in.Digest)
}

// attach1 puts a manifest there whose subject is digest, and lists it as a
// registry without the referrers API wants it.
func attach1(t *testing.T, r *repository, digest string) manifest {
	t.Helper()
	subject, _, err := r.manifestOf(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	var x v1.IndexManifest
	if err := json.Unmarshal(subject.raw, &x); err != nil {
		t.Fatal(err)
	}
	child, _, err := r.manifestOf(t.Context(), x.Manifests[0].Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(child.raw, &m); err != nil {
		t.Fatal(err)
	}
	d, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	m.Subject, m.Layers = &v1.Descriptor{MediaType: types.OCIImageIndex, Digest: d, Size: int64(len(subject.raw))}, nil
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	about := manifest{digest: string(cache.Sum(raw)), mediaType: oci.MediaTypeManifest, raw: raw}
	linked, err := r.putManifest(t.Context(), about.digest, about)
	if err != nil {
		t.Fatal(err)
	}
	if !linked {
		k := &copying{to: r}
		if err := k.list(t.Context(), strings.Replace(digest, ":", "-", 1), []v1.Descriptor{{MediaType: types.OCIManifestSchema1, Digest: h(cache.Digest(about.digest)), Size: int64(len(raw))}}); err != nil {
			t.Fatal(err)
		}
	}
	return about
}

// TestCopy brings an index, its images and what is attached to it from one
// registry to another under the same digest; a second copy sends nothing.
func TestCopy(t *testing.T) {
	from, to := newServer(t), newServer(t)
	modern := httptest.NewServer(registry.New(registry.WithReferrersSupport(true)))
	defer modern.Close()
	ref, about := pushedIndex(t, from.host())
	for _, host := range []string{to.host(), strings.TrimPrefix(modern.URL, "http://")} {
		in := CopyIn{Reference: ref, Tags: []string{"v1"}}
		c := NewCopy(Config{Repository: host + "/live/x"}, anonymous(), in)
		if err := c.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		plan, err := c.Plan(t.Context(), in)
		if err != nil || len(plan.Lines) != 1 || !strings.HasPrefix(plan.Lines[0], "copy sha256:") {
			t.Errorf("%v, %v", plan.Lines, err)
		}
		r, err := c.Run(t.Context(), (&events{}).env(), in)
		if err != nil {
			t.Fatal(err)
		}
		_, digest, _ := strings.Cut(ref, "@")
		if r.Out.Reference != host+"/live/x@"+digest || r.Out.Blobs != 5 || r.Out.Reused != 1+1 { // the shared layer, the attachment's config
			t.Errorf("%+v", r.Out)
		}
		got, err := name.ParseReference(host + "/live/x:v1")
		if err != nil {
			t.Fatal(err)
		}
		x, err := remote.Index(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(x); err != nil {
			t.Error(err)
		}
		list, err := remote.Referrers(got.Context().Digest(digest))
		if err != nil {
			t.Fatal(err)
		}
		all, err := list.IndexManifest()
		if err != nil || len(all.Manifests) != 1 || all.Manifests[0].Digest.String() != about.digest {
			t.Errorf("attached: %+v, %v", all, err)
		}
		again, err := NewCopy(Config{Repository: host + "/live/x"}, anonymous(), in).Run(t.Context(), (&events{}).env(), in)
		if err != nil || again.Status != runner.Cached || again.Out.Blobs != 0 {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
}

// TestCopyMounts: within a registry no byte is sent.
func TestCopyMounts(t *testing.T) {
	s := newServer(t)
	ref, _ := pushedIndex(t, s.host())
	var mounts atomic.Int64
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/"):
			w.WriteHeader(http.StatusNotFound) // this double has one store for all repositories
			return true
		case r.URL.Query().Get("mount") != "":
			if r.URL.Query().Get("from") != "x" {
				t.Errorf("mounted from %q", r.URL.Query().Get("from"))
			}
			mounts.Add(1)
			w.WriteHeader(http.StatusCreated)
			return true
		}
		return false
	})
	r, err := NewCopy(Config{Repository: s.host() + "/y"}, anonymous(), CopyIn{}).Run(t.Context(), (&events{}).env(), CopyIn{Reference: ref})
	if err != nil || r.Out.Blobs != 0 || mounts.Load() != 7 {
		t.Errorf("%+v, %d mounts, %v", r.Out, mounts.Load(), err)
	}
}

// TestCopyRefusals: what cannot be copied is found by Check, before any work.
func TestCopyRefusals(t *testing.T) {
	s := newServer(t)
	ref, _ := pushedIndex(t, s.host())
	for _, c := range []struct {
		ref, want, hint string
		class           fault.Class
	}{
		{s.host() + "/x:v1", "names no digest: a tag may move", "name it by its digest: repository@sha256:…", fault.BadInput},
		{ref[:len(ref)-4] + "0000", "the repository has no such image", "name an image that was pushed", fault.Missing},
		{"x y", "", "", fault.BadInput},
	} {
		err := NewCopy(Config{Repository: s.host() + "/y"}, anonymous(), CopyIn{Reference: c.ref}).Check(t.Context())
		if err == nil || fault.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.want) || c.hint != "" && fault.HintOf(err) != c.hint {
			t.Errorf("%s: %v | %s", c.ref, err, fault.HintOf(err))
		}
	}
}
