package image

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/jre"
	"github.com/fastship/fastship/stages/internal/oci"
)

// here is the platform of images that this machine runs.
func here() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// platforms are those of image.platforms, each once; else the one that will
// run the image; else this machine's.
func (s *Step) platforms(ctx context.Context) ([]v1.Platform, error) {
	for _, name := range slices.Sorted(maps.Keys(s.config.JDKs)) {
		if _, err := parsePlatform(name); err != nil {
			return nil, fmt.Errorf("image.jdks: %w", err)
		}
	}
	names, key := s.config.Platforms, "image.platforms"
	if len(names) == 0 && s.deps.Platform != nil {
		name, err := s.deps.Platform(ctx)
		if err != nil {
			return nil, err
		}
		if name != "" {
			names, key = []string{name}, "the task definition's runtimePlatform"
		}
	}
	if len(names) == 0 {
		return []v1.Platform{here()}, nil
	}
	var all []v1.Platform
	for _, name := range names {
		p, err := parsePlatform(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if !slices.ContainsFunc(all, p.Equals) {
			all = append(all, p)
		}
	}
	return all, nil
}

// CheckPlatform holds an item of Config.Platforms against its grammar.
func CheckPlatform(name string) error {
	_, err := parsePlatform(name)
	return err
}

// parsePlatform reads SYSTEM/ARCHITECTURE[/VARIANT].
func parsePlatform(name string) (v1.Platform, error) {
	parts := strings.Split(name, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return v1.Platform{}, fault.New(fault.BadInput, "write linux/amd64 or linux/arm64", "%q is no platform", name)
	}
	if parts[0] != "linux" {
		return v1.Platform{}, fault.New(fault.BadInput, "write linux/amd64 or linux/arm64", "an image for %s cannot be made: fastship makes images for Linux", name)
	}
	p := v1.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 && name != "linux/arm64/v8" { // the only variant of arm64, and its default
		p.Variant = parts[2]
	}
	return p, nil
}

// target is a platform and, with a jlink base, the JDK that its base is made
// of and the one at hand that links it.
type target struct {
	platform    v1.Platform
	jdk, linker jre.JDK
}

// targets finds for every platform the JDK that its base is linked from: the
// one at javaHome for this machine's, those of image.jdks for others.
func (s *Step) targets(ctx context.Context, javaHome string) ([]target, error) {
	platforms, err := s.platforms(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]target, len(platforms))
	for i, p := range platforms {
		all[i].platform = p
	}
	if s.config.Base != jlink {
		return all, nil
	}
	linker, err := jre.Find(javaHome)
	if err != nil {
		return nil, err
	}
	if err := jre.CheckModules(linker, s.config.Modules); err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].jdk, err = s.jdkFor(ctx, all[i].platform, linker); err != nil {
			return nil, err
		}
		all[i].linker = linker
	}
	return all, nil
}

func (s *Step) jdkFor(ctx context.Context, p v1.Platform, linker jre.JDK) (jre.JDK, error) {
	name := platformName(p)
	home, given := s.config.JDKs[name]
	switch {
	case given:
		home = s.config.inProject(home)
		jdk, err := jre.Find(home)
		if err != nil {
			return jdk, fault.New(fault.ClassOf(err), fmt.Sprintf("give the folder of a JDK %d for %s, the one with bin and release in it", linker.Major, name), "image.jdks: %s: %w", name, err)
		}
		if jdk.Platform() != name {
			return jdk, fault.New(fault.BadInput, "give the folder of a JDK for "+name, "image.jdks: %s: %s in %s is made for %s", name, jdk, home, jdk.Platform())
		}
		if jdk.Major != linker.Major {
			return jdk, fault.New(fault.BadInput, "give a JDK of the same release as the one that builds the jar", "image.jdks: %s: %s in %s, and the jar is built by %s", name, jdk, home, linker)
		}
		return jdk, jre.Check(ctx, jdk, linker)
	case name != platformName(here()):
		return jre.JDK{}, fault.New(fault.Missing, fmt.Sprintf("set image.jdks: {%s: FOLDER} to a JDK %d for it, or image.base to an image that has Java for it", name, linker.Major),
			"an image for %s cannot be linked from %s, which is made for %s", name, linker, linker.Platform())
	}
	return linker, jre.Check(ctx, linker, linker)
}

// bases makes or fetches the base of every target, side by side.
func (s *Step) bases(ctx context.Context, env runner.Env, targets []target, needs jre.Needs) ([]base, error) {
	if all := s.takePrepared(targets, needs); all != nil {
		return all, nil
	}
	all := make([]base, len(targets))
	group, ctx := errgroup.WithContext(ctx)
	for i, t := range targets {
		group.Go(func() (err error) {
			if s.config.Base == jlink {
				all[i], err = s.link(ctx, env, t, needs)
			} else {
				all[i], err = s.fetch(ctx, env.Emit, t.platform)
			}
			return err
		})
	}
	return all, group.Wait()
}

// index writes the image index (image-spec, image-index.md) of several
// platforms' manifests.
func (s *Step) index(ctx context.Context, in In, images []built) (cache.Descriptor, error) {
	list := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: annotations(s.config.Container, in, base{})}
	for _, m := range images {
		d := descriptor(m.blob)
		d.Platform = &m.platform
		list.Manifests = append(list.Manifests, d)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return cache.Descriptor{}, fmt.Errorf("write the image's index: %w", err)
	}
	return s.keep(ctx, "index", oci.MediaTypeIndex, raw)
}

// unique lists blobs, each once.
func unique(blobs []cache.Descriptor) []cache.Descriptor {
	once := map[cache.Digest]cache.Descriptor{}
	for _, b := range blobs {
		once[b.Digest] = b
	}
	return slices.Collect(maps.Values(once))
}
