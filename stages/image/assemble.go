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

// assemble writes config and manifest of the image and its layout.
func (s *Step) assemble(ctx context.Context, in In, app application, b base) (Out, error) {
	labels := annotations(s.config.Container, in, b)
	file, err := configFile(s.config, in, b, app.Layers, labels)
	if err != nil {
		return Out{}, err
	}
	config, err := json.Marshal(file)
	if err != nil {
		return Out{}, fmt.Errorf("write the image's config: %w", err)
	}
	all := slices.Concat(b.layers, app.Layers)
	configBlob, err := s.keep(ctx, "config", oci.MediaTypeConfig, config)
	if err != nil {
		return Out{}, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: descriptor(configBlob), Layers: descriptors(all), Annotations: labels,
	})
	if err != nil {
		return Out{}, fmt.Errorf("write the image's manifest: %w", err)
	}
	manifestBlob, err := s.keep(ctx, "manifest", oci.MediaTypeManifest, manifest)
	if err != nil {
		return Out{}, err
	}
	out := Out{
		Layout: s.config.Layout, Digest: string(manifestBlob.Digest), Size: manifestBlob.Size + configBlob.Size,
		Platform: platformName(b.platform), Kind: app.Kind, Base: b.name,
	}
	if b.lazy {
		out.From = b.name
	}
	for _, l := range all {
		out.Layers = append(out.Layers, l.Descriptor)
		out.Size += l.Descriptor.Size
	}
	entry := oci.Entry{
		Manifest: manifestBlob, OS: b.platform.OS, Architecture: b.platform.Architecture, Variant: b.platform.Variant,
	}
	return out, oci.WriteLayout(ctx, s.deps.Cache.Blobs, s.config.Layout, entry, s.present(ctx, b, append(out.Layers[:len(out.Layers):len(out.Layers)], configBlob)))
}

// keep puts a small piece of the image into the cache.
func (s *Step) keep(ctx context.Context, name, mediaType string, content []byte) (cache.Descriptor, error) {
	d := cache.Descriptor{Name: name, MediaType: mediaType, Digest: cache.Sum(content), Size: int64(len(content))}
	if err := s.deps.Cache.Blobs.Put(ctx, d.Digest, d.Size, bytes.NewReader(content)); err != nil {
		return d, fmt.Errorf("write the image's %s: %w", name, err)
	}
	return d, nil
}

func configFile(c Config, in In, b base, layers []oci.Layer, labels map[string]string) (v1.ConfigFile, error) {
	config := b.config
	config.User = userOf(b.config.User)
	config.WorkingDir = "/" + home
	config.Entrypoint = entrypoint(b.java, c.JVM)
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

// entrypoint starts the jar itself: only so does the JVM read all of its
// manifest (Class-Path, Add-Opens, Launcher-Agent-Class). There are no flags
// but the user's, because a flag here cannot be replaced by JAVA_TOOL_OPTIONS
// at run time.
func entrypoint(java string, flags []string) []string {
	return slices.Concat([]string{java}, flags, []string{"-jar", "/" + home + "/app.jar"})
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
