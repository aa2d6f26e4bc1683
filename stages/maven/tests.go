package maven

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// results are the tests of a job.
type results struct {
	tests    runner.Tests
	failures []runner.TestFailure
}

// readTests reads the reports that this build's tests wrote, and tells them.
func readTests(env runner.Env, j *job, a *attempt) results {
	var r results
	folders := a.report.TestReports()
	var dirs []string
	for dir := range folders {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		suites, err := mvn.ReadReports(dir, folders[dir])
		if err != nil {
			env.Emit(runner.Warning{Text: err.Error()})
		}
		for _, s := range suites {
			r.tests.Run += s.Tests.Run
			r.tests.Failed += s.Tests.Failed
			r.tests.Skipped += s.Tests.Skipped
			for _, f := range s.Failures {
				r.failures = append(r.failures, failureEvent(j, a, f))
			}
		}
	}
	for _, f := range r.failures {
		env.Emit(f)
	}
	env.Emit(r.tests)
	r.comment(env, j, a)
	return r
}

// comment says what the bare counts would hide.
func (r results) comment(env runner.Env, j *job, a *attempt) {
	ok := a.exit.Code == 0
	switch {
	case r.tests.Run > 0 && r.tests.Failed > 0 && ok:
		env.Emit(runner.Warning{Text: fmt.Sprintf("%d of %d tests failed, and the build is told to ignore that", r.tests.Failed, r.tests.Run)})
	case r.tests.Run > 0 || !ok:
	case j.args.Flag("skipTests") || j.args.Flag("maven.test.skip"):
		env.Emit(runner.Note{Text: "0 tests run: they are switched off by " + skipper(j.args)})
	default:
		env.Emit(runner.Warning{Text: "0 tests run"})
	}
}

func skipper(a mvn.Args) string {
	if a.Flag("skipTests") {
		return "-DskipTests"
	}
	return "-Dmaven.test.skip"
}

func failureEvent(j *job, a *attempt, f mvn.Failure) runner.TestFailure {
	return runner.TestFailure{Class: f.Class, Name: f.Name, Message: strings.TrimSpace(f.Message), Frame: ownFrame(j, a, f)}
}

// ownFrame is the first place of a stack trace that lies in a source file of
// this build, as file:line.
func ownFrame(j *job, a *attempt, f mvn.Failure) string {
	var roots []string
	for _, p := range a.report.Projects {
		roots = append(roots, p.TestSources...)
		roots = append(roots, p.Sources...)
	}
	for _, frame := range f.Frames() {
		folder := ""
		if i := strings.LastIndex(frame.Class, "."); i >= 0 {
			folder = strings.ReplaceAll(frame.Class[:i], ".", string(filepath.Separator))
		}
		for _, root := range roots {
			// Kotlin lets a file leave out the packages that all share.
			for _, path := range []string{filepath.Join(root, folder, frame.File), filepath.Join(root, frame.File)} {
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
					return fmt.Sprintf("%s:%d", mvn.Relative(j.dir, path), frame.Line)
				}
			}
		}
	}
	return ""
}
