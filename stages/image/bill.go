package image

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"path"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/sbom"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// bill reads the jar again: it is the only one who knows it whole, and nobody
// waits.
func (s *Step) bill(ctx context.Context, in In, below []base) (sbom.Document, error) {
	book := stamp.Open(s.deps.State)
	jar, err := appjar.Open(ctx, in.Jar.Name, s.options(in, book))
	if err != nil {
		return sbom.Document{}, err
	}
	defer jar.Close()
	d := sbom.Document{Created: s.config.created(in), Application: describeApplication(in, jar), Repositories: in.Repositories}
	if in.Jar.Digest != "" {
		d.Application.SHA256 = in.Jar.Digest.Hex()
	}
	if d.Libraries, err = s.libraries(ctx, in, jar); err != nil {
		return d, err
	}
	for _, l := range in.Libraries {
		d.Absent = append(d.Absent, sbom.Coordinates{Group: l.Group, Name: l.Name, Version: l.Version})
	}
	if in.Jar.Digest != "" && !book.Is(in.Jar.Name, in.Jar) {
		return d, fmt.Errorf("%s is not the jar any more that the image was made of", in.Jar.Name)
	}
	for _, b := range below {
		d.Grounds = append(d.Grounds, b.ground())
	}
	return d, nil
}

// describeApplication has Maven's coordinates, else those that the jar itself
// tells of.
func describeApplication(in In, jar *appjar.App) sbom.Application {
	a := sbom.Application{Coordinates: sbom.Coordinates{Group: in.Group, Name: in.Name, Version: in.Version}, Source: in.Source, Revision: in.Revision}
	if in.Group != "" {
		a.Jar = sbom.Inspect(jar.Archive(), in.Jar.Name, a.Coordinates)
		return a
	}
	if a.Jar = sbom.Inspect(jar.Archive(), in.Jar.Name, sbom.Coordinates{}); a.Jar.Coordinates.Group != "" {
		a.Coordinates = a.Jar.Coordinates
	}
	return a
}

// ground is what the bill of materials says of a base.
func (b base) ground() sbom.Ground {
	if b.digest != "" {
		return sbom.Ground{Base: &sbom.Image{Reference: b.ref, Digest: b.digest}}
	}
	g := sbom.Ground{Runtime: &sbom.Runtime{Version: b.jdk.Version, Vendor: b.jdk.Vendor}, System: sbom.System(b.system)}
	for _, p := range b.packages {
		g.Packages = append(g.Packages, sbom.Package(p))
	}
	return g
}

// billed is a jar beside the application.
type billed struct {
	path    string // in the image
	digest  cache.Digest
	size    int64
	maven   sbom.Coordinates
	open    func() (io.ReadCloser, error)
	content func() (io.ReaderAt, io.Closer, error) // may be nil
}

// libraries describes the jars beside the application. What they say of
// themselves is known by their digests: a change of the application alone
// reads none of them.
func (s *Step) libraries(ctx context.Context, in In, jar *appjar.App) ([]sbom.Library, error) {
	all := besides(in, jar)
	key := cache.NewKey("libraries described", sbom.Version)
	for _, b := range all {
		key = key.Add(b.path, string(b.digest)).Add("maven", b.maven)
	}
	jars, _, _, err := cache.Do(ctx, s.deps.Cache, key.Key(), func(ctx context.Context) ([]sbom.Jar, []cache.Descriptor, error) {
		jars := make([]sbom.Jar, len(all))
		for i, b := range all {
			var err error
			if ctx.Err() != nil {
				return nil, nil, context.Cause(ctx)
			}
			if jars[i], err = b.describe(); err != nil {
				return nil, nil, fmt.Errorf("read %s: %w", path.Base(b.path), err)
			}
		}
		return jars, nil, nil
	})
	if err != nil || len(jars) != len(all) {
		return nil, err
	}
	list := make([]sbom.Library, len(all))
	for i, b := range all {
		list[i] = sbom.Library{Path: b.path, SHA256: b.digest.Hex(), Jar: jars[i]}
	}
	return list, nil
}

// besides lists the jars beside the application, with what Maven knows of
// them. Quarkus puts the group into the names of files.
func besides(in In, jar *appjar.App) []billed {
	maven := map[string]sbom.Coordinates{}
	for _, l := range in.Libraries {
		c := sbom.Coordinates{Group: l.Group, Name: l.Name, Version: l.Version}
		for _, name := range []string{l.Group + "." + l.File, l.Group + "." + l.Name + "-" + l.Version + ".jar", l.Name + "-" + l.Version + ".jar", l.File} {
			maven[name] = c
		}
	}
	var all []billed
	for _, l := range jar.Libraries {
		all = append(all, billed{home + "/lib/" + l.Name, l.Digest, l.Size, maven[path.Base(l.Name)], l.Open, l.Content})
	}
	for _, f := range jar.Files {
		if f.Archive != nil {
			all = append(all, billed{home + "/" + f.Path, f.Digest, f.Size, maven[path.Base(f.Path)], f.Open, nil})
		}
	}
	return all
}

// describe reads the jar once for its digests, and looks into it.
func (b billed) describe() (sbom.Jar, error) {
	var archive *zip.Reader
	if b.content != nil {
		r, closer, err := b.content()
		if err != nil {
			return sbom.Jar{}, err
		}
		defer closer.Close()
		// What is no archive has a name, still.
		archive, _ = zip.NewReader(r, b.size)
	}
	j := sbom.Inspect(archive, b.path, b.maven)
	r, err := b.open()
	if err != nil {
		return j, err
	}
	defer r.Close()
	return j, j.Hash(r)
}
