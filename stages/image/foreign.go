package image

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/javahome"
	"github.com/fastship/fastship/stages/image/jre"
)

// judge holds the application against the Java of bases that somebody else
// made, as far as their layers are on this machine: an image that the push puts
// together of two registries is not fetched for this. jar is nil where the
// application was recalled.
func (s *Step) judge(ctx context.Context, env runner.Env, in In, jar *appjar.App, app application, below []base) error {
	if s.config.Base == jlink || len(s.config.Entrypoint) > 0 {
		return nil
	}
	for _, b := range below {
		java, ok, err := s.javaIn(ctx, b)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if java.Command == "" {
			if len(s.config.Files) > 0 {
				continue // they may bring it along
			}
			return fault.New(fault.ImageFailed, "set image.base to an image that has Java, or leave it out: fastship then links a runtime", "the base has no %s: %s", b.java, b.name)
		}
		if b.release == 0 && java.Release > 0 {
			b.release = java.Release
			if err := app.fits(in, b); err != nil {
				return err
			}
			app.Newest.warn(env, b)
		}
		if java.Modules == nil {
			continue
		}
		lacks, err := s.lacks(ctx, in, jar, java)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && len(lacks) > 0 { // jars that cannot be read are for others to judge
			env.Emit(runner.Warning{Text: lacksText(lacks, b)})
		}
	}
	return nil
}

// fits refuses an application that is for a newer Java than the base's.
func (a application) fits(in In, b base) error {
	if b.release == 0 || a.Release <= b.release {
		return nil
	}
	return fault.New(fault.ImageFailed, "build for an older release (maven.compiler.release), or set image.base to a newer Java",
		"%s needs Java %d, and the base has Java %d (%s)", filepath.Base(in.Jar.Name), a.Release, b.release, b.name)
}

// javaIn finds the base's Java, once for a base; false when its layers are not
// at hand, or cannot be read by us.
func (s *Step) javaIn(ctx context.Context, b base) (javahome.Java, bool, error) {
	search := env(s.containerConfig(b).Env, "PATH")
	key := cache.NewKey("Java of a base image", javahome.Version).Add("command", b.java).Add("PATH", search)
	var layers []javahome.Layer
	for _, l := range b.layers {
		key = key.Add("layer", string(l.DiffID))
		layers = append(layers, func(ctx context.Context) (io.ReadCloser, error) {
			return s.deps.Cache.Blobs.Open(ctx, l.Descriptor.Digest, 0, -1)
		})
	}
	if java, _, ok := cache.Lookup[javahome.Java](ctx, s.deps.Cache, key.Key()); ok {
		return java, true, nil
	}
	if len(s.present(ctx, b, descriptorsOf(b.layers))) < len(b.layers) {
		return javahome.Java{}, false, nil
	}
	java, err := javahome.Find(ctx, layers, b.java, search)
	switch {
	case ctx.Err() != nil:
		return java, false, context.Cause(ctx)
	case lost(err):
		return java, false, err // make makes it again
	case err != nil:
		return java, false, nil // the engine will judge it
	}
	cache.Keep(ctx, s.deps.Cache, key.Key(), java, nil)
	return java, true, nil
}

// lacks tells which modules the jar's classes name and java has not. What a
// jar names beside it is not covered by its digest.
func (s *Step) lacks(ctx context.Context, in In, jar *appjar.App, java javahome.Java) ([]jre.Lack, error) {
	look := func(ctx context.Context) ([]jre.Lack, error) {
		if jar == nil {
			opened, err := appjar.Open(ctx, in.Jar.Name, appjar.Options{Main: s.config.Main, Snapshots: in.Snapshots, Modules: in.Modules})
			if err != nil {
				return nil, err
			}
			defer opened.Close()
			jar = opened
		}
		return jre.Lacking(ctx, s.deps.Cache, jars(jar), java.Release, java.Modules)
	}
	if in.Jar.Digest == "" || jar != nil && jar.Beside {
		return look(ctx)
	}
	key := cache.NewKey("modules that a base lacks", "1").Add("rules", string(jre.ModuleRules())).
		Add("jar", string(in.Jar.Digest)).Add("own", in.Modules).Add("modules", java.Modules).Add("release", java.Release)
	lacks, _, _, err := cache.Do(ctx, s.deps.Cache, key.Key(), func(ctx context.Context) ([]jre.Lack, []cache.Descriptor, error) {
		lacks, err := look(ctx)
		return lacks, nil, err
	})
	return lacks, err
}

func lacksText(lacks []jre.Lack, b base) string {
	var parts []string
	for _, l := range lacks {
		part := fmt.Sprintf("%s (%s, named by %s", l.Module, l.Package, l.By)
		if l.More > 0 {
			part += fmt.Sprintf(" and %d more", l.More)
		}
		parts = append(parts, part+")")
	}
	return fmt.Sprintf("the base's Java lacks modules that classes name: %s; such a class fails when it is used: set image.base to a Java that has them, or to jlink, which finds them (%s)",
		strings.Join(parts, ", "), b.name)
}
