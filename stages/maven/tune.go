package maven

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// Values of Config.Tune.
const (
	TuneAuto = "auto" // what was faster for this job, the default
	TuneOn   = "on"
	TuneOff  = "off"
)

// tune settles whether this job's JVMs are tuned. tree is the source's
// digest, empty when unknown.
func (s *Step) tune(ctx context.Context, env runner.Env, j *job, tree string) {
	j.tuning = tuning{}
	if s.config.Tune == TuneOff {
		return
	}
	flags := mvn.Tune(j.host, mvn.MultiModuleRoot(j.dir), j.tree, s.config.Args)
	if flags.Empty() {
		env.Emit(runner.Note{Text: "Maven's JVMs are not tuned: the project chooses " + strings.Join(flags.Kept, " ")})
		return
	}
	t := tuning{key: s.tuneKey(j)}
	if s.deps.Cache != nil {
		t.past, _, _ = cache.Lookup[tuned](ctx, s.deps.Cache, t.key)
	}
	on, why := t.past.choose(s.cores, j.inputs(), tree)
	if s.config.Tune == TuneOn {
		on, why = true, "maven.tune is on"
	}
	if t.on = on; on {
		t.Tuning = flags
		env.Emit(runner.Note{Text: fmt.Sprintf("Maven's JVMs are tuned with %s: %s", strings.Join(flags.Flags(), " "), why)})
	} else {
		env.Emit(runner.Note{Text: "Maven's JVMs are not tuned: " + why})
	}
	j.tuning = t
}

// tuneKey names a job without its sources, and the class of host: what was
// faster on two cores need not be so on thirty-two.
func (s *Step) tuneKey(j *job) cache.Key {
	ids := reactorIDs(j.tree)
	return cache.NewKey("maven-tune", "1").
		Add("project", ids[0]).
		Add("module", s.config.Module).
		Add("profiles", s.config.Profiles).
		Add("goals", s.config.Goals).
		Add("args", j.args.Digest()).
		Add("java", j.choice.JDK.Version).
		Add("maven", j.launcher.Version).
		Add("cores", s.cores).
		Add("memory", memoryClass()).
		Key()
}

// inputs names what decides whether a JVM starts: the poms and the arguments.
func (j *job) inputs() string { return string(j.tree.Digest) + " " + string(j.args.Digest()) }

// learn remembers how the attempt went. It tells of failed tests what a tuned
// JVM may have to do with them.
func (s *Step) learn(ctx context.Context, env runner.Env, j *job, a *attempt, tests runner.Tests, tree string) {
	s.archiveClasses(ctx, env, j, a)
	t := j.tuning
	if t.key == "" {
		return
	}
	failed := a.exit.Code != 0
	if failed && tests.Failed > 0 && t.on {
		env.Emit(runner.Note{Text: "the tests ran in tuned JVMs; maven.tune: off in fastship.yaml runs them untuned"})
	}
	if s.deps.Cache == nil {
		return
	}
	r := ran{tuned: t.on, seconds: seconds(&a.report), failed: failed, testsFailed: tests.Failed > 0, tree: tree}
	if next, changed := t.past.after(r, s.cores); changed {
		cache.Keep(ctx, s.deps.Cache, t.key, next, nil)
	}
}

// try is one attempt, and a second one when the first JVM crashed on its class
// archive, or did not start for its flags.
func (s *Step) try(ctx context.Context, env runner.Env, j *job, halt bool) (attempt, error) {
	ended := s.preload(ctx, env, j)
	a, err := s.attempt(ctx, env, j, halt)
	ended(&a)
	if err == nil && j.archive.used && a.crashed() {
		s.dropArchive(ctx, j)
		j.archive = classArchive{}
		if len(a.report.Mojos) > 0 {
			return a, nil // whatever they did is done: who runs it once more must know
		}
		env.Emit(runner.Note{Text: "Maven was started anew, without the archive of its classes: its JVM crashed"})
		a, err = s.attempt(ctx, env, j, halt)
	}
	if err != nil || !j.tuning.on && len(j.tuning.Archive) == 0 || !a.stillborn() {
		return a, err
	}
	return s.retry(ctx, env, j, halt)
}

// retry is an attempt without any flag of ours. When it comes further, that is
// remembered.
func (s *Step) retry(ctx context.Context, env runner.Env, j *job, halt bool) (attempt, error) {
	tried := *j
	past := j.tuning.past
	if j.tuning.on {
		past.Refused = j.inputs()
	}
	j.tuning, j.archive = tuning{key: j.tuning.key, past: past}, classArchive{}
	env.Emit(runner.Note{Text: "Maven was started anew, untuned: a JVM did not start with the tuned flags"})
	a, err := s.attempt(ctx, env, j, halt)
	if err != nil || a.stillborn() {
		return a, err // the flags were not to blame
	}
	if tried.tuning.on && s.deps.Cache != nil {
		cache.Keep(ctx, s.deps.Cache, j.tuning.key, past, nil)
	}
	if len(tried.tuning.Archive) > 0 {
		s.dropArchive(ctx, &tried)
	}
	return a, nil
}

// birth is how soon after its start a test JVM that does not say goodbye is
// taken for one that did not start. Tests that ran longer are not repeated.
const birth = 20 * time.Second

// stillborn tells whether the attempt failed because a JVM did not start:
// Maven's, or one that a plug-in forked. Failing tests are no such thing,
// whatever they print.
func (a *attempt) stillborn() bool {
	failed := firstFailed(&a.report)
	if a.exit.Code == 0 || a.report.Unfit {
		return false
	}
	if failed == nil || !failed.JudgesTests() {
		return a.refused
	}
	lost := slices.ContainsFunc(failed.Error, func(s string) bool { return strings.Contains(s, "The forked VM terminated without") })
	return lost && (a.refused || failed.Time().Sub(a.begun(failed)) < birth)
}

// crashed tells whether a JVM ended by its own fault. mvnw's shell reports a
// signal as 128 and its number.
func (a *attempt) crashed() bool {
	signal := a.exit.Signal
	if signal == 0 && a.exit.Code > 128 {
		signal = syscall.Signal(a.exit.Code - 128)
	}
	return slices.Contains([]syscall.Signal{syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL}, signal)
}

// begun is when a mojo started.
func (a *attempt) begun(of *mvn.MojoEvent) time.Time {
	for _, m := range a.report.Mojos {
		if m.State == "MojoStarted" && m.Project == of.Project && m.Plugin == of.Plugin && m.Goal == of.Goal && m.Execution == of.Execution {
			return m.Time()
		}
	}
	return time.Time{}
}

// seconds sums the mojos' times: Maven's own start and most downloads, which
// differ from run to run, lie outside of them. Modules built side by side add
// up, tuned or not.
func seconds(r *mvn.Report) float64 {
	type mojo struct{ project, plugin, goal, execution string }
	begun := map[mojo]int64{}
	var millis int64
	for _, m := range r.Mojos {
		id := mojo{m.Project, m.Plugin, m.Goal, m.Execution}
		if m.State == "MojoStarted" {
			begun[id] = m.Millis
		} else if start, ok := begun[id]; ok {
			millis += m.Millis - start
			delete(begun, id)
		}
	}
	return float64(millis) / 1000
}
