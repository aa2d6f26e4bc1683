// Package inspect looks into images, whoever made them: what their layers
// hold, what differs between two of them, and what in them is not the same at
// each build.
package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// Options say how images are found.
type Options struct {
	// Platform chooses one of an index: linux/arm64. Empty means this
	// machine's, or the only one.
	Platform string
	// Insecure allows plain http to registries that are not on this machine.
	Insecure bool
	// Keychain finds credentials; nil means the Docker configuration.
	Keychain authn.Keychain
}

// Image is one image, its layers not yet read. Close ends it.
type Image struct {
	Name        string // as it was asked for
	Digest      string // of the manifest; empty for a docker-archive, which has none
	Size        int64  // of manifest and config, bytes
	Config      v1.ConfigFile
	Annotations map[string]string
	layers      []blob
	remote      bool
	why         []string
	close       func() error
}

// blob is a layer's bytes as they are kept.
type blob struct {
	digest    string // empty in a docker-archive
	mediaType string
	size      int64
	open      func(ctx context.Context) (io.ReadCloser, error)
}

// Close ends what reading the layers needs.
func (i *Image) Close() error {
	if i.close == nil {
		return nil
	}
	return i.close()
}

// Open finds an image: in a folder with an OCI layout, or a project's folder
// with .fastship/image in it; in an archive of docker save or of OCI; else in
// a registry. Errors are of class fault.BadInput for what is no image, and
// fault.Missing for what a registry does not give.
func Open(ctx context.Context, name string, o Options) (*Image, error) {
	path := strings.TrimPrefix(name, "oci:")
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return openLayout(name, path, o)
	case err == nil && info.Mode().IsRegular():
		return openArchive(name, path, o)
	case err == nil:
		return nil, fault.New(fault.BadInput, "name a file, a folder or an image", "%s is neither a file nor a folder", name)
	case path != name || filepath.IsAbs(name) || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".tar"):
		return nil, fault.New(fault.BadInput, "name an OCI layout's folder, an archive, or an image of a registry", "no file %s", path)
	}
	return openRemote(ctx, name, o)
}

func (o Options) registry() registry.Options {
	return registry.Options{Insecure: o.Insecure, Keychain: o.Keychain, UserAgent: "fastship"}
}

// files opens what an OCI layout has, in a folder or in an archive. The error
// is fs.ErrNotExist for what it has not.
type files func(name string) (io.ReadCloser, int64, error)

func openLayout(name, dir string, o Options) (*Image, error) {
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		built := filepath.Join(dir, ".fastship", "image")
		if _, err := os.Stat(filepath.Join(built, "index.json")); err != nil {
			return nil, fault.New(fault.BadInput, "run fastship image build first, or name the folder with index.json", "%s holds no OCI layout and no .fastship/image", name)
		}
		dir = built
	}
	image, err := readLayout(name, func(file string) (io.ReadCloser, int64, error) {
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(file)))
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		if err != nil {
			return nil, 0, errors.Join(err, f.Close())
		}
		return f, info.Size(), nil
	}, o)
	if err == nil {
		image.why = why(dir, image.Digest)
	}
	return image, err
}

// maxJSON bounds indexes, manifests and configs in bytes: registries take 4
// MiB (distribution-spec).
const maxJSON = 8 << 20

// readJSON reads a small file whole, and checks its digest unless that is
// empty.
func readJSON(open files, name, digest string, v any) (int64, error) {
	r, _, err := open(name)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxJSON+1))
	if err != nil {
		return 0, err
	}
	if len(b) > maxJSON {
		return 0, fmt.Errorf("%s has more than %d bytes", name, maxJSON)
	}
	if got := sum(b); digest != "" && got != digest {
		return 0, fmt.Errorf("%s is broken: its digest is %s", digest, got)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return 0, fmt.Errorf("%s is no JSON of that kind: %w", name, err)
	}
	return int64(len(b)), nil
}

func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

// readLayout follows index.json to one image.
func readLayout(name string, open files, o Options) (*Image, error) {
	bad := func(err error) error {
		return fault.New(fault.BadInput, "make it again: it was cut short, or changed", "read the image in %s: %w", name, err)
	}
	var index v1.IndexManifest
	if _, err := readJSON(open, "index.json", "", &index); err != nil {
		return nil, bad(err)
	}
	d, err := choose(name, index, o)
	for err == nil && d.MediaType.IsIndex() {
		var inner v1.IndexManifest
		if _, err := readJSON(open, blobName(d.Digest), d.Digest.String(), &inner); err != nil {
			return nil, bad(err)
		}
		d, err = choose(name, inner, o)
	}
	if err != nil {
		return nil, err
	}
	image := &Image{Name: name, Digest: d.Digest.String()}
	var m v1.Manifest
	n, err := readJSON(open, blobName(d.Digest), d.Digest.String(), &m)
	if err != nil {
		return nil, bad(err)
	}
	size, err := readJSON(open, blobName(m.Config.Digest), m.Config.Digest.String(), &image.Config)
	if err != nil {
		return nil, bad(err)
	}
	image.Size, image.Annotations = n+size, m.Annotations
	for _, l := range m.Layers {
		image.layers = append(image.layers, blob{
			digest: l.Digest.String(), mediaType: string(l.MediaType), size: l.Size,
			open: func(context.Context) (io.ReadCloser, error) {
				r, _, err := open(blobName(l.Digest))
				if errors.Is(err, fs.ErrNotExist) {
					return nil, fault.New(fault.BadInput, "inspect it in the registry, or run fastship image build", "%s lacks the layer %s: the image stands on a base whose layers were left in its registry", name, l.Digest)
				}
				return r, err
			},
		})
	}
	return image, image.checkLayers()
}

func (i *Image) checkLayers() error {
	if len(i.layers) != len(i.Config.RootFS.DiffIDs) {
		return fault.New(fault.BadInput, "", "read the image in %s: its manifest has %d layers and its config %d", i.Name, len(i.layers), len(i.Config.RootFS.DiffIDs))
	}
	return nil
}

// choose finds the image for a platform in an index. Attestations are none.
func choose(name string, index v1.IndexManifest, o Options) (v1.Descriptor, error) {
	want := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if o.Platform != "" {
		p, err := v1.ParsePlatform(o.Platform)
		if err != nil || p.OS == "" || p.Architecture == "" {
			return v1.Descriptor{}, fault.New(fault.BadInput, "write linux/amd64 or linux/arm64", "--platform %q is no platform", o.Platform)
		}
		want = *p
	}
	var all []v1.Descriptor
	var names []string
	for _, d := range index.Manifests {
		switch {
		case d.MediaType.IsIndex():
			return d, nil
		case !d.MediaType.IsImage() || d.Platform != nil && d.Platform.OS == "unknown" || d.Annotations["vnd.docker.reference.type"] != "" || d.ArtifactType != "" && !types.MediaType(d.ArtifactType).IsConfig():
		case d.Platform != nil && d.Platform.Satisfies(want):
			return d, nil
		default:
			all = append(all, d)
			if d.Platform != nil {
				names = append(names, d.Platform.String())
			}
		}
	}
	if len(all) == 1 && (o.Platform == "" || all[0].Platform == nil) {
		return all[0], nil
	}
	if len(all) == 0 {
		return v1.Descriptor{}, fault.New(fault.BadInput, "", "%s has no image", name)
	}
	return v1.Descriptor{}, fault.New(fault.BadInput, "choose one of them by --platform", "%s has no image for %s, only for %s", name, want, strings.Join(names, ", "))
}
