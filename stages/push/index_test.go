package push

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/stages/internal/oci"
)

// makeIndex joins the images of layouts under one index, in a layout of its
// own.
func makeIndex(t *testing.T, at string, images ...In) In {
	t.Helper()
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put := func(d cache.Descriptor, raw []byte) cache.Descriptor {
		if err := store.Put(t.Context(), d.Digest, d.Size, bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	x := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	var blobs []cache.Descriptor
	for _, in := range images {
		image, err := readImage(in.Layout, in.Digest)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range image.blobs {
			raw, err := os.ReadFile(oci.BlobPath(in.Layout, b.Digest))
			if err != nil {
				t.Fatal(err)
			}
			blobs = append(blobs, put(b, raw))
		}
		m := put(cache.Descriptor{MediaType: image.root.mediaType, Digest: cache.Digest(image.root.digest), Size: int64(len(image.root.raw))}, image.root.raw)
		blobs = append(blobs, m)
		x.Manifests = append(x.Manifests, v1.Descriptor{MediaType: types.MediaType(m.MediaType), Digest: h(m.Digest), Size: m.Size})
	}
	raw, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	root := put(cache.Descriptor{MediaType: oci.MediaTypeIndex, Digest: cache.Sum(raw), Size: int64(len(raw))}, raw)
	if err := oci.WriteLayout(t.Context(), store, at, oci.Entry{Manifest: root}, blobs); err != nil {
		t.Fatal(err)
	}
	return In{Layout: at, Digest: string(root.Digest)}
}

// TestPushIndex sends what two platforms share once, and the index last.
func TestPushIndex(t *testing.T) {
	s := newServer(t)
	shared := random(200_000)
	in := makeIndex(t, t.TempDir(), makeImage(t, t.TempDir(), shared, random(1000)), makeImage(t, t.TempDir(), shared, random(1001), random(10)))
	var e events
	r, err := New(Config{Repository: s.host() + "/x"}, anonymous()).Run(t.Context(), e.env(), in)
	if err != nil {
		t.Fatal(err)
	}
	if r.Out.Blobs != 6 { // two configs, four layers
		t.Errorf("sent %d blobs", r.Out.Blobs)
	}
	puts := map[string]int{}
	for _, q := range s.take() {
		puts[q]++
	}
	if puts["PUT manifests"] != 3 || puts["POST blobs/uploads"] != 6 {
		t.Errorf("asked %v", puts)
	}
	ref, err := name.ParseReference(r.Out.Reference)
	if err != nil {
		t.Fatal(err)
	}
	x, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(x); err != nil {
		t.Error(err)
	}
}

// TestReferrers stores a manifest under its digest, with an image as its
// subject, and finds it there.
func TestReferrers(t *testing.T) {
	s := newServer(t)
	in := makeImage(t, t.TempDir(), random(10))
	step := New(Config{Repository: s.host() + "/x"}, anonymous())
	if _, err := step.Run(t.Context(), (&events{}).env(), in); err != nil {
		t.Fatal(err)
	}
	r := step.remote
	subject, ok, err := r.manifestOf(t.Context(), in.Digest)
	if err != nil || !ok || subject.digest != in.Digest {
		t.Fatal(subject, ok, err)
	}
	var parsed v1.Manifest
	if err := json.Unmarshal(subject.raw, &parsed); err != nil {
		t.Fatal(err)
	}
	d, err := v1.NewHash(in.Digest)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Subject = &v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: d, Size: int64(len(subject.raw))}
	raw, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	about := manifest{digest: string(cache.Sum(raw)), mediaType: oci.MediaTypeManifest, raw: raw}
	if _, err := r.putManifest(t.Context(), about.digest, about); err != nil {
		t.Fatal(err)
	}
	// Whether this registry has the referrers API or not, the answer is no error.
	if list, ok, err := r.referrers(context.WithoutCancel(t.Context()), in.Digest); err != nil || ok && (len(list) != 1 || list[0].Digest.String() != about.digest) {
		t.Error(list, ok, err)
	}
	if _, ok, err := r.manifestOf(t.Context(), "no-such-tag"); ok || err != nil {
		t.Error(ok, err)
	}
}
