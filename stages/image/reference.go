package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// reference is a base image that somebody else made, found but not fetched.
type reference struct {
	name     string // as the user wrote it
	platform v1.Platform
	digest   v1.Hash
	image    v1.Image       // nil: what it consists of is in the cache
	ref      name.Reference // in a registry; nil for a layout
	asked    string         // the digest that the user wrote, where it is another: an index's
	note     string         // what the user should know of how it was found
}

// registry names where it is; zero for a layout.
func (r reference) registry() name.Registry {
	if r.ref == nil {
		return name.Registry{}
	}
	return r.ref.Context().Registry
}

// parsedBase is image.base where it is a reference.
type parsedBase struct {
	name   string
	layout string         // the folder of oci:DIR
	ref    name.Reference // else
}

func (s *Step) parseBase() (parsedBase, error) {
	if dir, ok := strings.CutPrefix(s.config.Base, "oci:"); ok {
		return parsedBase{name: s.config.Base, layout: s.config.inProject(dir)}, nil
	}
	ref, err := registry.ParseReference("image.base", s.config.Base, s.registry())
	return parsedBase{name: s.config.Base, ref: ref}, err
}

func (s *Step) registry() registry.Options {
	return registry.Options{Insecure: s.config.Insecure, Keychain: s.deps.Keychain, UserAgent: "fastship"}
}

// find resolves the base's reference to its image for a platform, once per
// Step. It reads only. A digest that is in the cache
// needs no network.
func (s *Step) find(ctx context.Context, platform v1.Platform) (reference, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := s.found[platformName(platform)]; ok {
		return found, nil
	}
	p, err := s.parseBase()
	if err != nil {
		return reference{}, err
	}
	var found reference
	if p.layout != "" {
		found, err = findInLayout(p, platform)
	} else {
		found, err = s.findRemote(ctx, p, platform)
	}
	if err != nil {
		return reference{}, err
	}
	if s.found == nil {
		s.found = map[string]reference{}
	}
	s.found[platformName(platform)] = found
	return found, nil
}

func findInLayout(p parsedBase, platform v1.Platform) (reference, error) {
	x, err := layout.ImageIndexFromPath(p.layout)
	if errors.Is(err, fs.ErrNotExist) {
		return reference{}, fault.New(fault.BadInput, "oci: is followed by the folder of an OCI layout, the one with index.json, relative to the project's", "image.base: %s: no OCI layout there", p.name)
	}
	if err != nil {
		return reference{}, fault.New(fault.BadInput, "", "image.base: %s: %w", p.name, err)
	}
	image, err := pick(p.name, x, platform)
	if err != nil {
		return reference{}, err
	}
	digest, err := image.Digest()
	return reference{name: p.name, platform: platform, digest: digest, image: image}, err
}

// pick finds the image for a platform in an index, or in the indexes it holds.
func pick(base string, x v1.ImageIndex, platform v1.Platform) (v1.Image, error) {
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
			return pick(base, inner, platform)
		case !d.MediaType.IsImage():
		case d.Platform == nil || d.Platform.Satisfies(platform):
			return x.Image(d.Digest)
		case d.Platform.OS != "unknown": // BuildKit's attestations
			others = append(others, platformName(*d.Platform))
		}
	}
	return nil, noPlatform(base, platform, others)
}

func noPlatform(base string, platform v1.Platform, others []string) error {
	return fault.New(fault.Missing, "choose a base that is built for it, or other image.platforms",
		"image.base: %s has no image for %s, only for %s", base, platformName(platform), strings.Join(others, ", "))
}

// findRemote asks the registry, unless a digest tells all. A registry that
// cannot be reached is done without where the last run's answer is known.
func (s *Step) findRemote(ctx context.Context, p parsedBase, platform v1.Platform) (reference, error) {
	found := reference{name: p.name, platform: platform, ref: p.ref}
	if d, ok := p.ref.(name.Digest); ok {
		h, err := v1.NewHash(d.DigestStr())
		if err != nil {
			return found, fault.New(fault.BadInput, "", "image.base: %w", err)
		}
		if known, ok := s.known(ctx, h, platform); ok {
			found.digest = known
			return found, nil
		}
	}
	err := s.ask(ctx, p.ref, &found)
	switch {
	case registry.StatusOf(err) == http.StatusNotFound:
		return found, fault.New(fault.Missing, "correct image.base", "image.base: %s does not exist: %w", p.name, err)
	case registry.Unreachable(err):
		if pin, ok := s.lastPin(ctx, p.name, platform); ok {
			found.digest = pin
			found.note = fmt.Sprintf("%s cannot be reached: image.base is what it was in the last run, %s", found.registry(), pin)
			return found, nil
		}
	}
	return found, registry.Explain(fault.Missing, "read image.base", p.ref, found.registry(), err)
}

// ask reads the reference's manifest from its registry.
func (s *Step) ask(ctx context.Context, ref name.Reference, found *reference) error {
	client, err := registry.Connect(ctx, ref.Context(), transport.PullScope, s.registry())
	if err != nil {
		return err
	}
	var d *remote.Descriptor
	if err := registry.Retry(ctx, func() (err error) {
		// The context lives on in the images that come of d: the step's.
		d, err = remote.Get(ref, append(client.Remote(), remote.WithContext(context.WithoutCancel(ctx)))...)
		return err
	}); err != nil {
		return err
	}
	return found.take(d)
}

func (r *reference) take(d *remote.Descriptor) (err error) {
	if d.MediaType.IsIndex() {
		x, err := d.ImageIndex()
		if err != nil {
			return err
		}
		if r.image, err = pick(r.name, x, r.platform); err != nil {
			return err
		}
	} else if r.image, err = d.Image(); err != nil {
		return err
	}
	if r.digest, err = r.image.Digest(); err == nil && r.digest != d.Digest {
		r.asked = d.Digest.String()
	}
	return err
}

// String implements fmt.Stringer.
func (r reference) String() string { return r.name }
