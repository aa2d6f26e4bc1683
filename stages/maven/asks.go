package maven

import (
	"context"
	"fmt"
	"slices"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// asks is what a project turned out to ask of its JDK and of Maven, as Maven
// itself saw it: with remote parents, profiles and extensions.
type asks struct {
	Releases []int           `json:"releases"` // that Maven's own JDK has to compile for, ascending
	Rules    []mvn.RuleEvent `json:"rules"`
}

func (a asks) equal(b asks) bool {
	return slices.Equal(a.Releases, b.Releases) && slices.Equal(a.Rules, b.Rules)
}

// remember looks up what Maven said when it last read these poms with these
// arguments.
func (s *Step) remember(ctx context.Context, j *job) {
	j.key = cache.NewKey("maven-asks", "1").
		Add("poms", string(j.tree.Digest)).
		Add("module", s.config.Module).
		Add("profiles", s.config.Profiles).
		Add("args", j.args.Digest()).
		Key()
	if s.deps.Cache != nil {
		j.asks, _, j.known = cache.Lookup[asks](ctx, s.deps.Cache, j.key)
	}
}

// wants settles what a JDK is needed for: what Maven said, else what the poms
// on disk say.
func (s *Step) wants(j *job) {
	j.want = mvn.Want{MinJava: j.launcher.MinJava(), Maven: "Maven " + j.launcher.Version, Rules: j.required.Java, Releases: j.asks.Releases}
	if !j.known {
		j.want.Releases = j.tree.Releases(j.args, s.profiles(j))
	}
}

// learnAsks keeps what Maven has said, for the next run.
func (s *Step) learnAsks(ctx context.Context, j *job, a *attempt) {
	said := a.asks()
	if len(a.report.Projects) == 0 { // it died before it knew them
		said.Releases, said.Rules = j.want.Releases, j.asks.Rules
	}
	// A Maven that meets a plug-in's demand does not tell of it.
	demands := a.demands()
	for _, e := range slices.Concat(demands, j.asks.Rules) {
		if e.On == onPlugin && !slices.Contains(said.Rules, e) {
			said.Rules = append(slices.Clip(said.Rules), e)
		}
	}
	if len(a.report.Projects)+len(demands) == 0 || j.known && said.equal(j.asks) {
		return
	}
	j.asks, j.known, j.want.Releases = said, true, said.Releases
	if s.deps.Cache != nil {
		cache.Keep(ctx, s.deps.Cache, j.key, said, nil)
	}
}

func (a *attempt) asks() asks {
	said := asks{Rules: a.report.Rules}
	for _, p := range a.report.Projects {
		if p.Packaging != "pom" && !p.Toolchain {
			said.Releases = append(said.Releases, p.Releases...)
		}
	}
	slices.Sort(said.Releases)
	said.Releases = slices.Compact(said.Releases)
	return said
}

// halts are the reasons for which the spy may end Maven before any work:
// those after which another JDK or Maven can be tried.
func (j *job) halts(may bool) []mvn.Halt {
	if !may {
		return nil
	}
	all := []mvn.Halt{mvn.HaltReleases}
	if mvn.Meets(j.required.Java, j.choice.JDK.Version) {
		all = append(all, mvn.HaltJava) // else no JDK here meets what is known already
	}
	if !j.pinned && !j.launcher.Wrapper && mvn.Meets(j.required.Maven, j.launcher.Version) {
		all = append(all, mvn.HaltMaven)
	}
	return all
}

// refit chooses Maven and JDK anew by what Maven has said of the project, and
// brings that Maven. release gives it back to the cache. A Maven that cannot
// be had leaves the job to the one at hand: the rule may not be reached.
func (s *Step) refit(ctx context.Context, env runner.Env, j *job, a *attempt) (release func(), err error) {
	before := j.launcher
	j.heard = a.report.Maven
	if err := s.chooseMaven(j); err != nil {
		return nil, err
	}
	release = func() {}
	if !j.launcher.Provided || j.launcher.Version == before.Version {
		j.launcher = before
	} else if provided, err := s.provide(ctx, env, j); err == nil {
		release = provided
	} else if ctx.Err() != nil {
		return nil, err
	} else {
		env.Emit(runner.Warning{Text: fmt.Sprintf("%v; going on with Maven %s", err, before.Version)})
		j.launcher = before
	}
	j.refitted = true
	j.readToolchains()
	s.wants(j)
	if j.choice, err = mvn.ChooseJDK(ctx, j.host, j.want); err != nil {
		release()
		return nil, err
	}
	if handed := j.handed(); len(handed) > 0 && !slices.Contains(j.arguments, handed[0]) {
		j.arguments = slices.Concat(handed, j.arguments)
	}
	j.arguments = j.understood(j.arguments)
	anew := "Maven was started anew on " + j.jdkText()
	if j.launcher.Path != before.Path {
		anew = fmt.Sprintf("Maven was started anew as %s, on %s", j.launcherText(), j.jdkText())
	}
	env.Emit(runner.Note{Text: anew})
	return release, nil
}
