package maven

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/proc"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// Run runs Maven and finds out what it made.
func (s *Step) Run(ctx context.Context, env runner.Env, in In) (runner.Result[Out], error) {
	j, err := s.prepare(ctx, cmp.Or(in.Dir, s.config.Dir))
	if err != nil {
		return runner.Result[Out]{}, err
	}
	if j.launcher.Note != "" {
		env.Emit(runner.Note{Text: j.launcher.Note})
	}
	known := s.identify(ctx, j, in)
	s.explain(env, known)
	if out, ok := s.recall(ctx, env, j, known, in); ok {
		return runner.Result[Out]{Out: out, Status: runner.Cached, Reason: "nothing that Maven reads has changed", Key: string(known.key)}, nil
	}
	remove, err := j.placeSettings(env)
	if err != nil {
		return runner.Result[Out]{}, err
	}
	defer remove()
	if err := s.tokens(ctx, env, j); err != nil {
		return runner.Result[Out]{}, err
	}
	release, err := s.provide(ctx, env, j)
	if err != nil {
		return runner.Result[Out]{}, err
	}
	defer release()
	env.Emit(runner.Note{Text: fmt.Sprintf("%s, on %s", j.launcherText(), j.jdkText())})
	repository, err := s.takeRepository(ctx, env, j, in)
	if err != nil {
		return runner.Result[Out]{}, err
	}
	s.tune(ctx, env, j, in.Tree)
	a, err := s.build(ctx, env, j)
	var keep func(context.Context)
	defer func() { s.afterwards(env, j, repository, a, keep) }()
	if err != nil {
		return runner.Result[Out]{Out: a.out(j)}, err
	}
	out, err := s.outcome(env, j, a)
	s.learn(ctx, env, j, &a, out.Tests, in.Tree)
	if err == nil {
		if j.refitted {
			known = s.identify(ctx, j, in) // as the next run will have it
		}
		keep = func(ctx context.Context) { s.keep(ctx, env, j, known, in, &a, out) }
	}
	return runner.Result[Out]{Out: out, Key: string(known.key)}, err
}

// attempt is one Maven process, ended.
type attempt struct {
	report  mvn.Report
	exit    proc.Exit
	started time.Time
	errors  []runner.Diagnostic // of severity error, in order
	said    []string            // what Maven printed as its errors
	stderr  []string            // what the JVM, or the script that starts it, complained of
	refused bool                // a JVM did not start for its flags
}

// build runs Maven, and once more on another JDK or as another Maven when the
// project turns out to ask for one.
func (s *Step) build(ctx context.Context, env runner.Env, j *job) (attempt, error) {
	a, err := s.try(ctx, env, j, true)
	if err != nil {
		return a, err
	}
	s.learnAsks(ctx, j, &a)
	if !j.lost(&a) {
		return a, nil
	}
	release, err := s.refit(ctx, env, j, &a)
	if err != nil {
		return a, err
	}
	defer release()
	a, err = s.try(ctx, env, j, false)
	if err == nil && a.report.JavaMajor > 0 && a.report.JavaMajor != j.choice.JDK.Major {
		env.Emit(runner.Warning{Text: fmt.Sprintf("Maven ran on %s and not on JDK %s: a mavenrc file or the wrapper sets JAVA_HOME", a.report.JavaHome, j.choice.JDK.Version)})
	}
	return a, err
}

// attempt runs one Maven process. With halt the spy may end it before any
// work when its JDK does not fit.
func (s *Step) attempt(ctx context.Context, env runner.Env, j *job, halt bool) (attempt, error) {
	if err := s.tokens(ctx, env, j); err != nil {
		return attempt{}, err
	}
	watch, err := mvn.NewWatch()
	if err != nil {
		return attempt{}, err
	}
	defer watch.Close()
	a := attempt{started: time.Now()}
	compilation := mvn.NewCompilation(j.dir, func(d runner.Diagnostic) {
		env.Emit(d)
		if d.Severity == "error" {
			a.errors = append(a.errors, d)
		}
	})
	var mu sync.Mutex // Maven's two streams are read side by side
	listen := func(stream string) func(string) {
		return func(line string) {
			line = mvn.StripColour(line) // batch mode; Debian's mvn writes resets all the same
			line, ok := j.tuning.Quiet(j.host, line)
			if !ok {
				return
			}
			env.Emit(runner.Log{Stream: stream, Line: line})
			mu.Lock()
			defer mu.Unlock()
			a.hear(stream, line)
			if stream == "stdout" {
				compilation.Line(line)
			}
		}
	}
	env.Waiting()
	unfollow := s.foresee(j, watch)
	a.exit, err = proc.Run(ctx, proc.Cmd{
		Path:   j.launcher.Path,
		Args:   append(slices.Clone(j.arguments), watch.Arg(j.args.Extensions())),
		Dir:    j.dir,
		Env:    slices.Concat(j.host.Environ, j.launcher.Environ, []string{"JAVA_HOME=" + j.choice.JDK.Home}, watch.Env(j.halts(halt)...), j.tuning.Env(j.host)),
		Grace:  s.deps.Grace,
		Stdout: listen("stdout"),
		Stderr: listen("stderr"),
	})
	unfollow()
	compilation.Flush()
	report, reportErr := watch.Report()
	a.report = report
	if err != nil {
		if ctx.Err() != nil {
			return a, err
		}
		return a, fault.As(fault.BuildFailed, fmt.Errorf("start Maven: %w", err))
	}
	if reportErr != nil {
		env.Emit(runner.Warning{Text: reportErr.Error()})
	}
	if len(report.Faults) > 0 {
		env.Emit(runner.Warning{Text: "watch Maven: " + report.Faults[0]})
	}
	return a, nil
}

// maxSaid bounds the error lines kept for the cause, in lines.
const maxSaid = 200

// hear keeps what Maven, or the JVM or script that should start it, says is
// wrong.
func (a *attempt) hear(stream, line string) {
	a.refused = a.refused || mvn.Refused(line)
	switch {
	case strings.HasPrefix(line, "[ERROR]") || strings.HasPrefix(line, "[FATAL]"):
		if len(a.said) < maxSaid {
			a.said = append(a.said, line)
		}
	case stream == "stderr" && !strings.HasPrefix(line, "Picked up ") && !strings.HasPrefix(line, "WARNING:"):
		if len(a.stderr) < maxSaid {
			a.stderr = append(a.stderr, line)
		}
	}
}
