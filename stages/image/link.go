package image

import (
	"archive/zip"
	"context"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/jre"
	"github.com/fastship/fastship/stages/internal/oci"
)

// link makes the base that needs no network.
func (s *Step) link(ctx context.Context, env runner.Env, t target, needs jre.Needs) (base, error) {
	request, err := s.request(t, needs)
	if err != nil {
		return base{}, err
	}
	cached := true
	request.Emit = func(body runner.Body) {
		cached = false // only linking has anything to tell
		env.Emit(body)
	}
	b, err := jre.Build(ctx, s.deps.Cache, request)
	if err != nil {
		return base{}, err
	}
	if !cached && needs.English {
		env.Emit(runner.Note{Text: "the base has dates and numbers in English alone: no class or file of the application names another language; image.modules: [jdk.localedata] adds them (8 MB)"})
	}
	return linkedBase(t, b, cached), nil
}

// request says which base an application with these needs gets.
func (s *Step) request(t target, needs jre.Needs) (jre.Request, error) {
	certificates, err := s.certificates()
	return jre.Request{
		JDK: t.jdk, Linker: t.linker, Modules: needs.Modules, Natives: needs.Natives,
		Certificates: certificates, Debug: s.config.Debug, Codec: s.config.baseCodec().Within(s.budget),
	}, err
}

func linkedBase(t target, b jre.Base, cached bool) base {
	b.Layer.Descriptor.Name = "base"
	return base{
		name:   b.Name,
		layers: []oci.Layer{b.Layer},
		// The commit's time is the application's, not the base's.
		history:  []v1.History{{CreatedBy: b.Name, Comment: "base"}},
		config:   v1.Config{Env: b.Env, User: b.User},
		platform: t.platform, java: b.JavaPath, flags: b.Flags, release: t.jdk.Major, cached: cached,
		jdk: t.jdk, packages: b.Packages, system: b.System,
	}
}

// certificates reads image.certificates.
func (s *Step) certificates() ([]jre.Certificate, error) {
	var paths []string
	for _, path := range s.config.Certificates {
		paths = append(paths, s.config.inProject(path))
	}
	return jre.ReadCertificates(paths)
}

// modules are those that the configuration asks for: by name, for image.debug,
// or for a language that image.jvm sets.
func (s *Step) modules(jdk jre.JDK) []string {
	all := slices.Clone(s.config.Modules)
	if jdk.Major < 9 {
		return all
	}
	if s.config.Debug {
		all = append(all, "jdk.jcmd", "jdk.jfr")
	}
	for _, flag := range s.config.JVM {
		if language, ok := strings.CutPrefix(flag, "-Duser.language="); ok && language != "en" {
			all = append(all, "jdk.localedata")
		}
	}
	return all
}

// jars lists the jars whose classes decide on the modules. The application's own jar has no
// digest: it is another one at each run, and keeping what was found in it
// would be for nothing.
func jars(app *appjar.App) []jre.Jar {
	all := []jre.Jar{{
		Name: "the application",
		Open: func() (*zip.Reader, io.Closer, error) { return app.Archive(), io.NopCloser(nil), nil },
	}}
	for _, l := range app.Libraries {
		all = append(all, jre.Jar{Name: l.Name, Digest: l.Digest, Own: l.Layer == appjar.Modules, Open: l.Archive})
	}
	for _, f := range app.Files {
		if f.Archive != nil {
			all = append(all, jre.Jar{Name: f.Path, Digest: f.Digest, Open: f.Archive})
		}
	}
	return all
}
