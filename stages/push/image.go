package push

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/internal/oci"
)

// image is what lies in the layout.
type image struct {
	layout    string
	digest    string
	mediaType string
	manifest  []byte
	blobs     []cache.Descriptor // layers and config, each once
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
	if entry.Manifest.Size > maxManifest {
		return image{}, fmt.Errorf("read the image layout: a manifest of %d bytes", entry.Manifest.Size)
	}
	raw, err := os.ReadFile(oci.BlobPath(layout, d))
	if err != nil {
		return image{}, fmt.Errorf("read the image layout: %w", err)
	}
	if cache.Sum(raw) != d {
		return image{}, fmt.Errorf("read the image layout: manifest %s: %w", d, cache.ErrCorrupt)
	}
	var m v1.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return image{}, fmt.Errorf("read the image layout: manifest %s: %w", d, err)
	}
	out := image{layout: layout, digest: digest, mediaType: entry.Manifest.MediaType, manifest: raw}
	seen := map[cache.Digest]bool{}
	for _, b := range append(m.Layers, m.Config) {
		d, err := cache.ParseDigest(b.Digest.String())
		if err != nil {
			return image{}, fmt.Errorf("read the image layout: %w", err)
		}
		if !seen[d] {
			seen[d] = true
			out.blobs = append(out.blobs, cache.Descriptor{Digest: d, Size: b.Size})
		}
	}
	return out, nil
}

func (i image) open(b cache.Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(oci.BlobPath(i.layout, b.Digest))
	if err != nil {
		return nil, fmt.Errorf("read the image layout: %w", err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != b.Size {
		f.Close()
		return nil, fmt.Errorf("read the image layout: blob %s does not have its %d bytes: %w", b.Digest, b.Size, cache.ErrCorrupt)
	}
	return f, nil
}

// verify reads a blob again to see whether it is what its name says.
func (i image) verify(b cache.Descriptor) error {
	f, err := i.open(b)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if cache.FromSum(h.Sum(nil)) != b.Digest {
		return fmt.Errorf("blob %s in the image layout: %w", b.Digest, cache.ErrCorrupt)
	}
	return nil
}
