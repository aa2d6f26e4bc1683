package maven

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// chooseMaven settles which Maven runs the job: maven.version's, the
// wrapper's or the installed one, unless a rule of the enforcer plugin wants
// another. The rules are those that Maven told of when it last read these
// poms, else those in the poms on disk.
func (s *Step) chooseMaven(j *job) error {
	v := s.config.Version
	j.pinned = v != "" && v != "auto"
	if j.pinned && !mvn.IsVersion(v) {
		return fault.New(fault.BadInput, "write a release as Maven names it, such as "+mvn.PinnedMaven+" or 4.0.0-rc-4, or auto", "maven.version %q is not a version of Maven", v)
	}
	j.required = j.tree.Required(j.args)
	if j.known {
		j.required = mvn.RequiredBy(j.asks.Rules)
	}
	j.required.Maven = append(j.required.Maven, j.tree.ModelRules()...)
	l := mvn.ChooseLauncher(j.host, j.dir, mvn.MultiModuleRoot(j.dir), v)
	l.Version = cmp.Or(l.Version, j.heard) // a shim's files do not tell
	j.launcher = l.Fitting(j.required.Maven, j.pinned)
	return nil
}

// provide makes sure that there is a Maven to run, by a download where this
// machine does not have it. release gives it back to the cache.
func (s *Step) provide(ctx context.Context, env runner.Env, j *job) (release func(), err error) {
	if !j.launcher.Provided {
		return func() {}, nil
	}
	if s.deps.Cache == nil || s.deps.Cache.Blobs == nil {
		if j.launcher.Wrapper {
			return func() {}, nil // ./mvnw brings it itself
		}
		return nil, fault.New(fault.Missing, "install Maven", "find Maven %s: it is not installed, and there is no cache to keep a downloaded one in", j.launcher.Version)
	}
	if j.said.err != nil && !j.launcher.Wrapper {
		return nil, j.said.err
	}
	d := j.launcher.Of(s.deps.HTTP, func(done, total int64) {
		env.Emit(runner.Progress{What: "download Maven " + j.launcher.Version, Unit: "bytes", Done: done, Total: total})
	})
	path, release, err := d.Provide(ctx, cmp.Or(s.deps.Mavens, s.deps.Cache), j.said.user)
	switch {
	case err == nil:
		j.launcher.Path = path
		j.launcher.Environ = []string{"MAVEN_HOME=" + filepath.Dir(filepath.Dir(path))} // as mvnw exports it
		s.maskProvided(j)
		return release, nil
	case ctx.Err() != nil || !j.launcher.Wrapper:
		return nil, err
	}
	// The script may know a way that fastship does not, such as .netrc.
	env.Emit(runner.Warning{Text: err.Error() + "; ./mvnw is left to bring it"})
	j.launcher.Origin = "the project's ./mvnw"
	return func() {}, nil
}

// maskProvided tells the secrets in the settings that a distribution brings: a
// company's own may hold some. What is not read is Maven's to tell.
func (s *Step) maskProvided(j *job) {
	if settings, err := mvn.ReadSettings(j.host, j.launcher.Conf("settings.xml")); err == nil && s.deps.Secret != nil {
		s.deps.Secret(settings.Secrets()...)
	}
}
