package inspect

import (
	"context"
	"encoding/json"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// openRemote reads an image's manifest and config from its registry; layers
// are fetched when they are read.
func openRemote(ctx context.Context, name string, o Options) (*Image, error) {
	ref, err := registry.ParseReference("image", name, o.registry())
	if err != nil {
		return nil, err
	}
	image, err := func() (*Image, error) {
		client, err := registry.Connect(ctx, ref.Context(), transport.PullScope, o.registry())
		if err != nil {
			return nil, err
		}
		// The context lives on in what comes of it: the caller's.
		options := append(client.Remote(), remote.WithContext(context.WithoutCancel(ctx)))
		var d *remote.Descriptor
		if err := registry.Retry(ctx, func() (err error) {
			d, err = remote.Get(ref, options...)
			return err
		}); err != nil {
			return nil, err
		}
		found, err := imageIn(name, d, o)
		if err != nil {
			return nil, err
		}
		return describe(name, found)
	}()
	if registry.StatusOf(err) == 404 {
		return nil, fault.New(fault.Missing, "correct the name, or push it first", "%s does not exist: %w", name, err)
	}
	if err != nil {
		return nil, registry.Explain(fault.Missing, "read", ref, ref.Context().Registry, err)
	}
	return image, nil
}

func imageIn(name string, d *remote.Descriptor, o Options) (v1.Image, error) {
	if !d.MediaType.IsIndex() {
		return d.Image()
	}
	x, err := d.ImageIndex()
	if err != nil {
		return nil, err
	}
	for {
		manifest, err := x.IndexManifest()
		if err != nil {
			return nil, err
		}
		chosen, err := choose(name, *manifest, o)
		if err != nil {
			return nil, err
		}
		if !chosen.MediaType.IsIndex() {
			return x.Image(chosen.Digest)
		}
		if x, err = x.ImageIndex(chosen.Digest); err != nil {
			return nil, err
		}
	}
}

func describe(name string, found v1.Image) (*Image, error) {
	digest, err := found.Digest()
	if err != nil {
		return nil, err
	}
	size, err := found.Size()
	if err != nil {
		return nil, err
	}
	m, err := found.Manifest()
	if err != nil {
		return nil, err
	}
	raw, err := found.RawConfigFile()
	if err != nil {
		return nil, err
	}
	image := &Image{Name: name, Digest: digest.String(), Size: size + int64(len(raw)), Annotations: m.Annotations, remote: true}
	if err := json.Unmarshal(raw, &image.Config); err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		image.layers = append(image.layers, blob{
			digest: l.Digest.String(), mediaType: string(l.MediaType), size: l.Size,
			open: func(ctx context.Context) (io.ReadCloser, error) {
				layer, err := found.LayerByDigest(l.Digest)
				if err != nil {
					return nil, err
				}
				r, err := layer.Compressed()
				if err != nil {
					return nil, err
				}
				stop := context.AfterFunc(ctx, func() { r.Close() }) // ends a read that hangs
				return &stopping{r, stop}, nil
			},
		})
	}
	return image, image.checkLayers()
}

type stopping struct {
	io.ReadCloser
	stop func() bool
}

func (s *stopping) Close() error {
	s.stop()
	return s.ReadCloser.Close()
}
