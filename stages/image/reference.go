package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// reference is a base image that somebody else made, found but not fetched.
type reference struct {
	name   string // as the user wrote it
	digest v1.Hash
	image  v1.Image // nil: its parts are in the cache
	reg    name.Registry
}

// parsedBase is image.base where it is a reference.
type parsedBase struct {
	name   string
	layout string         // of oci:DIR
	ref    name.Reference // else
}

func (s *Step) parseBase() (parsedBase, error) {
	if dir, ok := strings.CutPrefix(s.config.Base, "oci:"); ok {
		return parsedBase{name: s.config.Base, layout: dir}, nil
	}
	ref, err := registry.ParseReference("image.base", s.config.Base, s.registry())
	return parsedBase{name: s.config.Base, ref: ref}, err
}

func (s *Step) registry() registry.Options {
	return registry.Options{Insecure: s.config.Insecure, Keychain: s.deps.Keychain, UserAgent: "fastship"}
}

// find resolves the base's reference to one image of this machine's
// architecture, once per Step. It reads only. A digest that is in the cache
// needs no network.
func (s *Step) find(ctx context.Context) (reference, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found != nil {
		return *s.found, nil
	}
	p, err := s.parseBase()
	if err != nil {
		return reference{}, err
	}
	var found reference
	if p.layout != "" {
		found, err = findInLayout(p)
	} else {
		found, err = s.findRemote(ctx, p)
	}
	if err != nil {
		return reference{}, err
	}
	s.found = &found
	return found, nil
}

func wanted() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

func findInLayout(p parsedBase) (reference, error) {
	x, err := layout.ImageIndexFromPath(p.layout)
	if errors.Is(err, fs.ErrNotExist) {
		return reference{}, fault.New(fault.BadInput, "oci: is followed by the folder of an OCI layout, the one with index.json", "image.base: %s: no OCI layout there", p.name)
	}
	if err != nil {
		return reference{}, fault.New(fault.BadInput, "", "image.base: %s: %w", p.name, err)
	}
	image, err := pick(p.name, x)
	if err != nil {
		return reference{}, err
	}
	digest, err := image.Digest()
	return reference{name: p.name, digest: digest, image: image}, err
}

// pick finds the image for this machine's architecture in an index, or in the
// indexes it holds.
func pick(base string, x v1.ImageIndex) (v1.Image, error) {
	manifest, err := x.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("image.base: %s: %w", base, err)
	}
	var others []string
	for _, d := range manifest.Manifests {
		switch {
		case d.MediaType.IsIndex():
			inner, err := x.ImageIndex(d.Digest)
			if err != nil {
				return nil, fmt.Errorf("image.base: %s: %w", base, err)
			}
			return pick(base, inner)
		case !d.MediaType.IsImage():
		case d.Platform == nil || d.Platform.Satisfies(wanted()):
			return x.Image(d.Digest)
		case d.Platform.OS != "unknown": // BuildKit's attestations
			others = append(others, platformName(*d.Platform))
		}
	}
	return nil, noPlatform(base, others)
}

func noPlatform(base string, others []string) error {
	return fault.New(fault.Missing, "choose a base that is built for this machine's architecture",
		"image.base: %s has no image for %s, only for %s", base, platformName(wanted()), strings.Join(others, ", "))
}

func (s *Step) findRemote(ctx context.Context, p parsedBase) (reference, error) {
	found := reference{name: p.name, reg: p.ref.Context().Registry}
	if d, ok := p.ref.(name.Digest); ok {
		h, err := v1.NewHash(d.DigestStr())
		if err != nil {
			return found, fault.New(fault.BadInput, "", "image.base: %w", err)
		}
		if _, _, ok := cache.Lookup[fetched](ctx, s.deps.Cache, fetchedKey(h)); ok {
			found.digest = h
			return found, nil
		}
	}
	err := func() error {
		client, err := registry.Connect(ctx, p.ref.Context(), transport.PullScope, s.registry())
		if err != nil {
			return err
		}
		var d *remote.Descriptor
		if err := registry.Retry(ctx, func() (err error) {
			// The context lives on in the images that come of d: the step's.
			d, err = remote.Get(p.ref, append(client.Remote(), remote.WithContext(context.WithoutCancel(ctx)))...)
			return err
		}); err != nil {
			return err
		}
		return found.take(d)
	}()
	if registry.StatusOf(err) == 404 {
		return found, fault.New(fault.Missing, "correct image.base", "image.base: %s does not exist: %w", p.name, err)
	}
	return found, registry.Explain(fault.Missing, "read image.base", p.ref, found.reg, err)
}

func (r *reference) take(d *remote.Descriptor) (err error) {
	if d.MediaType.IsIndex() {
		x, err := d.ImageIndex()
		if err != nil {
			return err
		}
		if r.image, err = pick(r.name, x); err != nil {
			return err
		}
	} else if r.image, err = d.Image(); err != nil {
		return err
	}
	r.digest, err = r.image.Digest()
	return err
}

// fetched is a base image whose layers are in the cache.
type fetched struct {
	Config v1.ConfigFile `json:"config"`
	Layers []oci.Layer   `json:"layers"`
}

func fetchedKey(digest v1.Hash) cache.Key {
	return cache.NewKey("base image", "1").Add("digest", digest.String()).Add("platform", platformName(wanted())).Key()
}

// fetch brings the base's layers into the cache and describes it.
func (s *Step) fetch(ctx context.Context, emit func(runner.Body)) (base, error) {
	ref, err := s.find(ctx)
	if err != nil {
		return base{}, err
	}
	f, _, hit, err := cache.Do(ctx, s.deps.Cache, fetchedKey(ref.digest), func(ctx context.Context) (fetched, []cache.Descriptor, error) {
		return s.download(ctx, ref, emit)
	})
	if err != nil {
		return base{}, registry.Explain(fault.ImageFailed, "fetch image.base", ref, ref.reg, err)
	}
	b := base{
		name: pinned(ref.name, ref.digest.String()), ref: ref.name, digest: ref.digest.String(),
		layers: f.Layers, history: f.Config.History, config: f.Config.Config,
		platform: v1.Platform{OS: f.Config.OS, Architecture: f.Config.Architecture, Variant: f.Config.Variant, OSVersion: f.Config.OSVersion},
		java:     javaOf(f.Config.Config.Env), release: releaseOf(f.Config.Config.Env), cached: hit,
	}
	return b, nil
}

// String implements fmt.Stringer.
func (r reference) String() string { return r.name }

func (s *Step) download(ctx context.Context, ref reference, emit func(runner.Body)) (fetched, []cache.Descriptor, error) {
	if ref.image == nil {
		return fetched{}, nil, fmt.Errorf("%s was in the cache and is gone: run again", ref)
	}
	var raw []byte
	err := registry.Retry(ctx, func() (err error) {
		raw, err = ref.image.RawConfigFile()
		return err
	})
	if err != nil {
		return fetched{}, nil, err
	}
	var f fetched
	if err := json.Unmarshal(raw, &f.Config); err != nil {
		return fetched{}, nil, fmt.Errorf("read its config: %w", err)
	}
	manifest, err := ref.image.Manifest()
	if err != nil {
		return fetched{}, nil, err
	}
	if len(manifest.Layers) != len(f.Config.RootFS.DiffIDs) {
		return fetched{}, nil, fmt.Errorf("its manifest has %d layers and its config %d", len(manifest.Layers), len(f.Config.RootFS.DiffIDs))
	}
	if p := (v1.Platform{OS: f.Config.OS, Architecture: f.Config.Architecture}); !p.Satisfies(wanted()) {
		return fetched{}, nil, noPlatform(ref.name, []string{platformName(p)})
	}
	var blobs []cache.Descriptor
	progress := newProgress(emit, "fetch the base image")
	for i, d := range manifest.Layers {
		if len(d.URLs) > 0 || !d.MediaType.IsLayer() {
			return fetched{}, nil, fmt.Errorf("layer %s is of type %s, which cannot be copied", d.Digest, d.MediaType)
		}
		l := oci.Layer{Descriptor: layerDescriptor(d), DiffID: cache.Digest(f.Config.RootFS.DiffIDs[i].String())}
		f.Layers = append(f.Layers, l)
		blobs = append(blobs, l.Descriptor)
		progress.total += d.Size
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, d := range manifest.Layers {
		group.Go(func() error { return s.downloadLayer(ctx, ref, d, progress) })
	}
	return f, blobs, group.Wait()
}

func (s *Step) downloadLayer(ctx context.Context, ref reference, d v1.Descriptor, p *progress) error {
	digest := cache.Digest(d.Digest.String())
	if info, err := s.deps.Cache.Blobs.Stat(ctx, digest); err == nil && info.Size == d.Size {
		p.add(d.Size)
		return nil
	}
	return registry.Retry(ctx, func() error {
		l, err := ref.image.LayerByDigest(d.Digest)
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
		err = s.deps.Cache.Blobs.Put(ctx, digest, d.Size, counted)
		if err != nil {
			counted.undo()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	})
}
