package push

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/oci"
)

// manifest is an image, an index of images, or what is attached to one.
type manifest struct {
	digest    string
	mediaType string
	raw       []byte
}

// image is what lies in the layout: one platform's image, or an index and the
// images of its platforms.
type image struct {
	layout string
	root   manifest
	// children are the root's, where it is an index.
	children []manifest
	blobs    []cache.Descriptor // layers and configs, each once
	// base has the layers that the layout may lack; nil when it lacks none.
	base *baseBlobs
}

// maxManifest is what registries accept at most (distribution-spec:
// “at least 4 MiB”).
const maxManifest = 4 << 20

func readImage(layout, digest string) (image, error) {
	d, err := cache.ParseDigest(digest)
	if err != nil {
		return image{}, fmt.Errorf("read the image layout: %w", err)
	}
	entry, err := oci.ReadLayout(layout, d)
	if err != nil {
		return image{}, err
	}
	i := image{layout: layout}
	if i.root, err = readManifest(layout, entry.Manifest); err != nil {
		return image{}, err
	}
	if !types.MediaType(i.root.mediaType).IsIndex() {
		i.blobs, err = i.root.blobs()
		return i, err
	}
	var x v1.IndexManifest
	if err := json.Unmarshal(i.root.raw, &x); err != nil {
		return image{}, fmt.Errorf("read the image layout: index %s: %w", d, err)
	}
	for _, m := range x.Manifests {
		child, err := readManifest(layout, cache.Descriptor{MediaType: string(m.MediaType), Digest: cache.Digest(m.Digest.String()), Size: m.Size})
		if err != nil {
			return image{}, err
		}
		blobs, err := child.blobs()
		if err != nil {
			return image{}, err
		}
		i.children = append(i.children, child)
		i.blobs = append(i.blobs, blobs...)
	}
	i.blobs = once(i.blobs)
	return i, nil
}

// readManifest reads a manifest of the layout and checks its digest.
func readManifest(layout string, d cache.Descriptor) (manifest, error) {
	if d.Size > maxManifest {
		return manifest{}, fmt.Errorf("read the image layout: a manifest of %d bytes", d.Size)
	}
	raw, err := os.ReadFile(oci.BlobPath(layout, d.Digest))
	if err != nil {
		return manifest{}, fmt.Errorf("read the image layout: %w", err)
	}
	if cache.Sum(raw) != d.Digest {
		return manifest{}, fmt.Errorf("read the image layout: manifest %s: %w", d.Digest, cache.ErrCorrupt)
	}
	return manifest{digest: string(d.Digest), mediaType: d.MediaType, raw: raw}, nil
}

// blobs lists what an image manifest consists of, each once.
func (m manifest) blobs() ([]cache.Descriptor, error) {
	var parsed v1.Manifest
	if err := json.Unmarshal(m.raw, &parsed); err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", m.digest, err)
	}
	var blobs []cache.Descriptor
	for _, b := range append(parsed.Layers, parsed.Config) {
		d, err := cache.ParseDigest(b.Digest.String())
		if err != nil {
			return nil, fmt.Errorf("read manifest %s: %w", m.digest, err)
		}
		blobs = append(blobs, cache.Descriptor{MediaType: string(b.MediaType), Digest: d, Size: b.Size})
	}
	return once(blobs), nil
}

func once(blobs []cache.Descriptor) []cache.Descriptor {
	seen := map[cache.Digest]bool{}
	var out []cache.Descriptor
	for _, b := range blobs {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			out = append(out, b)
		}
	}
	return out
}

// open reads a blob from a byte on: the layout's, else the base's.
func (i image) open(ctx context.Context, b cache.Descriptor, from int64) (io.ReadCloser, error) {
	f, err := os.Open(oci.BlobPath(i.layout, b.Digest))
	if errors.Is(err, fs.ErrNotExist) && i.base != nil {
		return i.base.open(ctx, b, from)
	}
	if err != nil {
		return nil, fmt.Errorf("read the image layout: %w", err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != b.Size {
		f.Close()
		return nil, fmt.Errorf("read the image layout: blob %s does not have its %d bytes: %w", b.Digest, b.Size, cache.ErrCorrupt)
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		f.Close()
		return nil, fmt.Errorf("read the image layout: %w", err)
	}
	return f, nil
}

// verify reads a blob again to see whether it is what its name says.
func (i image) verify(ctx context.Context, b cache.Descriptor) error {
	if _, err := os.Stat(oci.BlobPath(i.layout, b.Digest)); err != nil && i.base != nil {
		return fault.New(fault.ImageFailed, "pull the base image with another tool, to see whether its registry is sound", "the base's layer %s came from %s as other bytes", b.Digest, i.base.repo)
	}
	f, err := i.open(ctx, b, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if cache.FromSum(h.Sum(nil)) != b.Digest {
		return fault.New(fault.ImageFailed, "remove the folder "+i.layout+" and run again", "blob %s in the image layout: %w", b.Digest, cache.ErrCorrupt)
	}
	return nil
}
