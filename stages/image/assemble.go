package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/internal/oci"
)

// assemble writes the image and its layout: a manifest on one base, an index
// of several manifests on several.
func (s *Step) assemble(ctx context.Context, in In, app application, below []base) (Out, error) {
	out := Out{Layout: s.config.Layout, Platform: platformName(below[0].platform), Kind: app.Kind, Base: below[0].name}
	var made []built
	var all, here []cache.Descriptor // blobs: of the image, and those that the layout gets
	for _, b := range below {
		m, err := s.manifest(ctx, in, app, b)
		if err != nil {
			return out, err
		}
		made = append(made, m)
		all = slices.Concat(all, []cache.Descriptor{m.blob, m.config}, m.image.Layers)
		here = slices.Concat(here, []cache.Descriptor{m.blob, m.config}, s.present(ctx, b, m.image.Layers))
		if b.lazy {
			out.From = b.name
		}
	}
	first := made[0].image
	out.Digest, out.Size, out.Layers = first.Digest, first.Size, first.Layers
	top := oci.Entry{
		Manifest: made[0].blob, OS: below[0].platform.OS, Architecture: below[0].platform.Architecture, Variant: below[0].platform.Variant,
	}
	if len(made) > 1 {
		index, err := s.index(ctx, in, made)
		if err != nil {
			return out, err
		}
		top = oci.Entry{Manifest: index}
		out.Digest, out.Size = string(index.Digest), index.Size
		for _, b := range unique(all) {
			out.Size += b.Size
		}
		for _, m := range made {
			out.Images = append(out.Images, m.image)
		}
	}
	return out, oci.WriteLayout(ctx, s.deps.Cache.Blobs, s.config.Layout, top, here)
}

// built is one platform's image and the blobs that make it one.
type built struct {
	image        Image
	platform     v1.Platform
	blob, config cache.Descriptor
}

// manifest writes config and manifest of the image on one base.
func (s *Step) manifest(ctx context.Context, in In, app application, b base) (built, error) {
	m := built{platform: b.platform, image: Image{Platform: platformName(b.platform)}}
	labels := annotations(s.config.Container, in, b)
	app = s.withArchive(app, b)
	file, err := configFile(s.config, in, b, app.Layers, s.entrypoint(app.Launch, b), labels)
	if err != nil {
		return m, err
	}
	config, err := json.Marshal(file)
	if err != nil {
		return m, fmt.Errorf("write the image's config: %w", err)
	}
	all := slices.Concat(b.layers, app.Layers)
	if m.config, err = s.keep(ctx, "config", oci.MediaTypeConfig, config); err != nil {
		return m, err
	}
	raw, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: descriptor(m.config), Layers: descriptors(all), Annotations: labels,
	})
	if err != nil {
		return m, fmt.Errorf("write the image's manifest: %w", err)
	}
	if m.blob, err = s.keep(ctx, "manifest", oci.MediaTypeManifest, raw); err != nil {
		return m, err
	}
	m.image.Digest, m.image.Size = string(m.blob.Digest), m.blob.Size+m.config.Size
	for _, l := range all {
		m.image.Layers = append(m.image.Layers, l.Descriptor)
		m.image.Size += l.Descriptor.Size
	}
	return m, nil
}

// keep puts a small piece of the image into the cache.
func (s *Step) keep(ctx context.Context, name, mediaType string, content []byte) (cache.Descriptor, error) {
	d := cache.Descriptor{Name: name, MediaType: mediaType, Digest: cache.Sum(content), Size: int64(len(content))}
	if err := s.deps.Cache.Blobs.Put(ctx, d.Digest, d.Size, bytes.NewReader(content)); err != nil {
		return d, fmt.Errorf("write the image's %s: %w", name, err)
	}
	return d, nil
}

func configFile(c Config, in In, b base, layers []oci.Layer, entrypoint []string, labels map[string]string) (v1.ConfigFile, error) {
	config := b.config
	config.User = userOf(b.config.User)
	config.WorkingDir = "/" + home
	config.Entrypoint = entrypoint
	config.Labels = maps.Clone(b.config.Labels)
	if config.Labels == nil {
		config.Labels = map[string]string{}
	}
	maps.Copy(config.Labels, labels)
	if err := c.apply(&config); err != nil {
		return v1.ConfigFile{}, err
	}
	created := v1.Time{Time: c.created(in)}
	f := v1.ConfigFile{
		Architecture: b.platform.Architecture, OS: b.platform.OS, Variant: b.platform.Variant, OSVersion: b.platform.OSVersion,
		Created: created, Config: config, RootFS: v1.RootFS{Type: "layers"}, History: slices.Clone(b.history),
	}
	for _, l := range b.layers {
		f.RootFS.DiffIDs = append(f.RootFS.DiffIDs, hashOf(l.DiffID))
	}
	for _, l := range layers {
		f.RootFS.DiffIDs = append(f.RootFS.DiffIDs, hashOf(l.DiffID))
		f.History = append(f.History, v1.History{Created: created, CreatedBy: "fastship", Comment: l.Descriptor.Name})
	}
	return f, nil
}

// annotations are OCI's pre-defined ones (image-spec, annotations.md), with
// the values of image.labels where it names them. They stand in the manifest
// and, as labels, in the config.
func annotations(c Container, in In, b base) map[string]string {
	all := map[string]string{
		"org.opencontainers.image.created":     c.created(in).Format(time.RFC3339),
		"org.opencontainers.image.revision":    in.Revision,
		"org.opencontainers.image.source":      in.Source,
		"org.opencontainers.image.title":       in.Name,
		"org.opencontainers.image.version":     in.Version,
		"org.opencontainers.image.base.name":   b.ref,
		"org.opencontainers.image.base.digest": b.digest,
	}
	for name, value := range c.Labels {
		if strings.HasPrefix(name, "org.opencontainers.image.") {
			all[name] = value
		}
	}
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

func descriptors(layers []oci.Layer) []v1.Descriptor {
	out := make([]v1.Descriptor, len(layers))
	for i, l := range layers {
		out[i] = descriptor(l.Descriptor)
	}
	return out
}

func descriptor(d cache.Descriptor) v1.Descriptor {
	return v1.Descriptor{MediaType: types.MediaType(d.MediaType), Size: d.Size, Digest: hashOf(d.Digest)}
}

func hashOf(d cache.Digest) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: d.Hex()} }
