package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// described is all of a base image but its layers' bytes.
type described struct {
	Config v1.ConfigFile `json:"config"`
	Layers []oci.Layer   `json:"layers"`
}

func describedKey(digest v1.Hash, platform v1.Platform) cache.Key {
	return cache.NewKey("base image", "2").Add("digest", digest.String()).Add("platform", platformName(platform)).Key()
}

// pickedKey leads from an index's digest to the image for a platform.
func pickedKey(digest v1.Hash, platform v1.Platform) cache.Key {
	return cache.NewKey("base image of an index", "1").Add("digest", digest.String()).Add("platform", platformName(platform)).Key()
}

// known finds the image that a digest stands for, its own or an index's, where
// the cache describes it.
func (s *Step) known(ctx context.Context, digest v1.Hash, platform v1.Platform) (v1.Hash, bool) {
	if picked, _, ok := cache.Lookup[v1.Hash](ctx, s.deps.Cache, pickedKey(digest, platform)); ok {
		digest = picked
	}
	_, _, ok := cache.Lookup[described](ctx, s.deps.Cache, describedKey(digest, platform))
	return digest, ok
}

// haveBase tells whether the cache has all of the base.
func (s *Step) haveBase(ctx context.Context, digest v1.Hash, platform v1.Platform) bool {
	d, _, ok := cache.Lookup[described](ctx, s.deps.Cache, describedKey(digest, platform))
	for _, l := range d.Layers {
		info, err := s.deps.Cache.Blobs.Stat(ctx, l.Descriptor.Digest)
		ok = ok && err == nil && info.Size == l.Descriptor.Size
	}
	return ok
}

// pinFile, in the project's state folder, holds what the base's name stood for
// when its registry was asked last.
func pinFile(platform v1.Platform) string { return "base-" + platform.Architecture + ".json" }

type pin struct {
	Base     string  `json:"base"` // image.base
	Platform string  `json:"platform"`
	Digest   v1.Hash `json:"digest"`
}

// lastPin reads what base stood for in the last run, where that is of use: when
// the cache describes the image.
func (s *Step) lastPin(ctx context.Context, base string, platform v1.Platform) (v1.Hash, bool) {
	var p pin
	raw, err := os.ReadFile(filepath.Join(s.deps.State, pinFile(platform)))
	if s.deps.State == "" || err != nil || json.Unmarshal(raw, &p) != nil || p.Base != base || p.Platform != platformName(platform) {
		return v1.Hash{}, false
	}
	_, ok := s.known(ctx, p.Digest, platform)
	return p.Digest, ok
}

// keepPin notes what the base's name stands for now. A note that cannot be
// written is missed when the registry is away, and nowhere else.
func (s *Step) keepPin(ref reference) {
	now := pin{ref.name, platformName(ref.platform), ref.digest}
	raw, err := json.Marshal(now)
	if s.deps.State == "" || ref.image == nil || err != nil {
		return
	}
	path := filepath.Join(s.deps.State, pinFile(ref.platform))
	if was, err := os.ReadFile(path); err == nil && bytes.Equal(was, raw) {
		return
	}
	_ = atomicfile.Write(path, raw, 0o644) // as above
}

// fetch describes the base and, unless the push will, brings its layers into
// the cache.
func (s *Step) fetch(ctx context.Context, emit func(runner.Body), platform v1.Platform) (base, error) {
	ref, err := s.find(ctx, platform)
	if err != nil {
		return base{}, err
	}
	if ref.note != "" {
		emit(runner.Note{Text: ref.note})
	}
	d, _, hit, err := cache.Do(ctx, s.deps.Cache, describedKey(ref.digest, platform), func(ctx context.Context) (described, []cache.Descriptor, error) {
		d, err := s.describe(ctx, &ref)
		return d, nil, err
	})
	lazy := s.config.leavesBase() && ref.ref != nil
	if err == nil && !lazy {
		var brought int
		brought, err = s.bring(ctx, &ref, d.Layers, emit)
		hit = hit && brought == 0
	}
	if err != nil {
		return base{}, registry.Explain(fault.ImageFailed, "fetch image.base", ref, ref.registry(), err)
	}
	s.rememberBase(ctx, ref)
	b := base{
		name: pinned(ref.name, ref.digest.String()), ref: ref.name, digest: ref.digest.String(), lazy: lazy,
		layers: d.Layers, history: d.Config.History, config: d.Config.Config,
		platform: v1.Platform{OS: d.Config.OS, Architecture: d.Config.Architecture, Variant: d.Config.Variant, OSVersion: d.Config.OSVersion},
		java:     javaOf(d.Config.Config.Env), release: releaseOf(d.Config.Config.Env), cached: hit,
	}
	return b, nil
}

// describe reads the base's manifest and config.
func (s *Step) describe(ctx context.Context, ref *reference) (described, error) {
	if err := s.connect(ctx, ref); err != nil {
		return described{}, err
	}
	var raw []byte
	err := registry.Retry(ctx, func() (err error) {
		raw, err = ref.image.RawConfigFile()
		return err
	})
	if err != nil {
		return described{}, err
	}
	var d described
	if err := json.Unmarshal(raw, &d.Config); err != nil {
		return described{}, fmt.Errorf("read its config: %w", err)
	}
	manifest, err := ref.image.Manifest()
	if err != nil {
		return described{}, err
	}
	if len(manifest.Layers) != len(d.Config.RootFS.DiffIDs) {
		return described{}, fmt.Errorf("its manifest has %d layers and its config %d", len(manifest.Layers), len(d.Config.RootFS.DiffIDs))
	}
	if p := (v1.Platform{OS: d.Config.OS, Architecture: d.Config.Architecture}); !p.Satisfies(ref.platform) {
		return described{}, noPlatform(ref.name, ref.platform, []string{platformName(p)})
	}
	for i, l := range manifest.Layers {
		if len(l.URLs) > 0 || !l.MediaType.IsLayer() {
			return described{}, fmt.Errorf("layer %s is of type %s, which cannot be copied", l.Digest, l.MediaType)
		}
		d.Layers = append(d.Layers, oci.Layer{Descriptor: layerDescriptor(l), DiffID: cache.Digest(d.Config.RootFS.DiffIDs[i].String())})
	}
	return d, nil
}

// connect makes the image readable that was found in the cache.
func (s *Step) connect(ctx context.Context, ref *reference) error {
	if ref.image != nil {
		return nil
	}
	if ref.note != "" {
		return fmt.Errorf("the cache does not have all of %s, and %s", ref.digest, ref.note)
	}
	again := reference{name: ref.name, platform: ref.platform}
	err := s.ask(ctx, ref.ref.Context().Digest(ref.digest.String()), &again)
	ref.image = again.image
	return err
}

// bring fetches the layers that the cache lacks, and counts them.
func (s *Step) bring(ctx context.Context, ref *reference, layers []oci.Layer, emit func(runner.Body)) (int, error) {
	progress := newProgress(emit, "fetch the base image")
	var missing []cache.Descriptor
	for _, l := range layers {
		if info, err := s.deps.Cache.Blobs.Stat(ctx, l.Descriptor.Digest); err != nil || info.Size != l.Descriptor.Size {
			missing = append(missing, l.Descriptor)
			progress.total += l.Descriptor.Size
		}
	}
	if len(missing) == 0 {
		return 0, nil
	}
	if err := s.connect(ctx, ref); err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, d := range missing {
		group.Go(func() error { return s.download(ctx, ref.image, d, progress) })
	}
	return len(missing), group.Wait()
}

func (s *Step) download(ctx context.Context, image v1.Image, d cache.Descriptor, p *progress) error {
	return registry.Retry(ctx, func() error {
		l, err := image.LayerByDigest(hashOf(d.Digest))
		if err != nil {
			return err
		}
		r, err := l.Compressed()
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { r.Close() }) // ends a read that hangs
		defer stop()
		defer r.Close()
		counted := p.reader(r)
		err = s.deps.Cache.Blobs.Put(ctx, d.Digest, d.Size, counted)
		if err != nil {
			counted.undo()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	})
}

// rememberBase keeps what find learnt, for runs without the registry.
func (s *Step) rememberBase(ctx context.Context, ref reference) {
	s.keepPin(ref)
	if ref.asked == "" {
		return
	}
	if asked, err := v1.NewHash(ref.asked); err == nil {
		if was, _, ok := cache.Lookup[v1.Hash](ctx, s.deps.Cache, pickedKey(asked, ref.platform)); !ok || was != ref.digest {
			cache.Keep(ctx, s.deps.Cache, pickedKey(asked, ref.platform), ref.digest, nil)
		}
	}
}

// present leaves out those of the base's layers that the push will bring.
func (s *Step) present(ctx context.Context, b base, blobs []cache.Descriptor) []cache.Descriptor {
	if !b.lazy {
		return blobs
	}
	absent := map[cache.Digest]bool{}
	for _, l := range b.layers {
		info, err := s.deps.Cache.Blobs.Stat(ctx, l.Descriptor.Digest)
		absent[l.Descriptor.Digest] = err != nil || info.Size != l.Descriptor.Size
	}
	return slices.DeleteFunc(slices.Clone(blobs), func(d cache.Descriptor) bool { return absent[d.Digest] })
}
