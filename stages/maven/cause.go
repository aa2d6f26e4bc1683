package maven

import (
	"fmt"
	"path/filepath"
	"regexp"
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
		return fault.New(fault.TestsFailed, "", "%s", r.firstFailure())
	case len(a.errors) > 0 && (failed == nil || !failed.JudgesTests()):
		d := a.errors[0]
		message, _, _ := strings.Cut(d.Message, "\n")
		return fault.New(fault.BuildFailed, "", "%s:%d: %s", d.File, d.Line, message)
	}
	message := a.reason(j.dir, failed)
	if message == "" && a.exit.Signal != 0 {
		message = fmt.Sprintf("Maven was ended by signal %d (%s)", a.exit.Signal, a.exit.Signal)
	} else if message == "" {
		message = fmt.Sprintf("Maven ended with exit code %d", a.exit.Code)
	}
	return fault.New(fault.BuildFailed, hint(j, message), "%s", message)
}

func firstFailed(r *mvn.Report) *mvn.MojoEvent {
	for i := range r.Mojos {
		if r.Mojos[i].State == "MojoFailed" {
			return &r.Mojos[i]
		}
	}
	return nil
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

// reason is why Maven failed, without its boilerplate: what its exceptions
// say, else the first error that it printed.
func (a *attempt) reason(dir string, failed *mvn.MojoEvent) string {
	var chain mvn.Chain
	switch {
	case failed != nil && len(failed.Error) > 0:
		chain = failed.Error
	case len(a.report.Errors) > 0:
		chain = a.report.Errors[0]
	}
	if text := clean(chain.Messages()); text != "" {
		return shorten(dir, text)
	}
	return shorten(dir, clean(a.said))
}

var (
	level       = regexp.MustCompile(`^\[(?:ERROR|FATAL)\] ?`)
	boilerplate = regexp.MustCompile(`^(?:Some problems were encountered while processing the POMs:?|The build could not read \d+ projects? .*|Error executing Maven\.?|COMPILATION ERROR :|)$`)
	helpMark    = regexp.MustCompile(` ?-> \[Help \d+\]$`)
	goalPrefix  = regexp.MustCompile(`^Failed to execute goal (\S+?):(\S+?):(\S+?):(\S+) \(([^)]*)\) on project (\S+): `)
)

// clean takes the first line that says something.
func clean(messages []string) string {
	for _, m := range messages {
		for line := range strings.Lines(m) {
			line = strings.TrimSpace(level.ReplaceAllString(strings.TrimSpace(line), ""))
			line = helpMark.ReplaceAllString(line, "")
			if boilerplate.MatchString(line) || line == "null" {
				continue
			}
			return line
		}
	}
	return ""
}

// shorten makes "Failed to execute goal g:maven-x-plugin:1:y (z) on project p:
// m" read "maven-x-plugin:y in p: m", and paths relative.
func shorten(dir, text string) string {
	text = goalPrefix.ReplaceAllString(text, "$2:$4 in $6: ")
	return strings.ReplaceAll(text, dir+string(filepath.Separator), "")
}

// hint is the remedy of the failures that many meet.
func hint(j *job, message string) string {
	return ""
}
