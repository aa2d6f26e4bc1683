package maven

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// failure is the error of a Maven that failed: the first cause, in the words
// of whoever found it.
func (s *Step) failure(j *job, a *attempt, r results) error {
	failed := firstFailed(&a.report)
	switch {
	case failed != nil && failed.JudgesTests() && r.tests.Failed > 0:
		return fault.New(fault.TestsFailed, r.place(), "%s", shorten(r.firstFailure()))
	case len(a.errors) > 0 && (failed == nil || !failed.JudgesTests()):
		d := a.errors[0]
		message, _, _ := strings.Cut(d.Message, "\n")
		return fault.New(fault.BuildFailed, "", "%s:%d: %s", d.File, d.Line, message)
	}
	message := strings.ReplaceAll(a.reason(failed), j.dir+string(filepath.Separator), "")
	if message == "" && a.exit.Signal != 0 {
		message = fmt.Sprintf("Maven was ended by signal %d (%s)", a.exit.Signal, a.exit.Signal)
	} else if message == "" {
		message = fmt.Sprintf("Maven ended with exit code %d", a.exit.Code)
	}
	return fault.New(fault.BuildFailed, remedy(j, message), "%s", message)
}

func firstFailed(r *mvn.Report) *mvn.MojoEvent {
	for i := range r.Mojos {
		if r.Mojos[i].State == "MojoFailed" {
			return &r.Mojos[i]
		}
	}
	return nil
}

// place says where the first failed test failed.
func (r results) place() string {
	if len(r.failures) == 0 || r.failures[0].Frame == "" {
		return ""
	}
	return "see " + r.failures[0].Frame
}

// firstFailure is a failed test on one line.
func (r results) firstFailure() string {
	if len(r.failures) == 0 {
		return fmt.Sprintf("%d of %d tests failed", r.tests.Failed, r.tests.Run)
	}
	f := r.failures[0]
	class := f.Class[strings.LastIndex(f.Class, ".")+1:]
	name := class
	if f.Name != "" {
		name += "." + f.Name
	}
	text := name + ": " + strings.Join(strings.Fields(f.Message), " ")
	if more := r.tests.Failed - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}
