package image

import (
	"archive/zip"
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/jre"
	"github.com/fastship/fastship/stages/internal/oci"
)

// link makes the base that needs no network.
func (s *Step) link(ctx context.Context, env runner.Env, t target, modules []string) (base, error) {
	cached := true
	b, err := jre.Build(ctx, s.deps.Cache, jre.Request{
		JDK: t.jdk, Linker: t.linker, Modules: modules, Codec: s.config.baseCodec(),
		Emit: func(body runner.Body) {
			cached = false // only linking has anything to tell
			env.Emit(body)
		},
	})
	if err != nil {
		return base{}, err
	}
	b.Layer.Descriptor.Name = "base"
	return base{
		name:   b.Name,
		layers: []oci.Layer{b.Layer},
		// The commit's time is the application's, not the base's.
		history:  []v1.History{{CreatedBy: b.Name, Comment: "base"}},
		config:   v1.Config{Env: b.Env, User: b.User},
		platform: t.platform, java: b.JavaPath, release: t.jdk.Major, cached: cached,
		jdk: t.jdk, packages: b.Packages, system: b.System,
	}, nil
}

// jars lists what jdeps has to look at. The application's own jar has no
// digest: it is another one at each run, and keeping what was found in it
// would be for nothing.
func jars(app *appjar.App) []jre.Jar {
	all := []jre.Jar{{
		Name: "the application",
		Open: func() (*zip.Reader, io.Closer, error) { return app.Archive(), io.NopCloser(nil), nil },
	}}
	for _, l := range app.Libraries {
		all = append(all, jre.Jar{Name: l.Name, Digest: l.Digest, Open: l.Archive})
	}
	for _, f := range app.Files {
		if f.Archive != nil {
			all = append(all, jre.Jar{Name: f.Path, Digest: f.Digest, Open: f.Archive})
		}
	}
	return all
}
