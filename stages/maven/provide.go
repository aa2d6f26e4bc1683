package maven

import (
	"cmp"
	"context"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// settingsPath is the settings.xml that Maven will read, there or not.
func (j *job) settingsPath() string { return cmp.Or(j.settings, mvn.UserSettings(j.host)) }

// hide tells the secrets in Maven's settings, which a build may print. What
// is wrong with the file is Maven's to say.
func (s *Step) hide(j *job) {
	if s.deps.Secret == nil {
		return
	}
	if settings, err := mvn.ReadSettings(j.host, j.settingsPath()); err == nil {
		s.deps.Secret(settings.Secrets()...)
	}
}

// provide makes sure that there is a Maven to run, by a download where none is
// installed. release gives it back to the cache.
func (s *Step) provide(ctx context.Context, env runner.Env, j *job) (release func(), err error) {
	if j.launcher.Path != "" {
		return func() {}, nil
	}
	if s.deps.Cache == nil {
		return nil, fault.New(fault.Missing, "install Maven", "find Maven: no ./mvnw, no mvn on PATH, and no cache to keep a downloaded one in")
	}
	file := j.settingsPath()
	settings, err := mvn.ReadSettings(j.host, file)
	if err != nil {
		return nil, fault.New(fault.BadInput, "correct "+file, "%w", err)
	}
	d := mvn.Pinned(s.deps.HTTP, func(done, total int64) {
		env.Emit(runner.Progress{What: "download Maven " + mvn.PinnedMaven, Unit: "bytes", Done: done, Total: total})
	})
	path, release, err := d.Provide(ctx, s.deps.Cache, settings)
	if err != nil {
		return nil, err
	}
	j.launcher.Path = path
	return release, nil
}
