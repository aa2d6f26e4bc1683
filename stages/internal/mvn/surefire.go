package mvn

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fastship/fastship/runner"
)

// Suite is one report of surefire or failsafe: the tests of a class.
type Suite struct {
	Tests    runner.Tests
	Failures []Failure
}

// Failure is a test that failed or broke.
type Failure struct {
	Class   string
	Name    string
	Message string // the exception's message, else its type
	Trace   string // the stack trace, as far as surefire left it whole
}

// ReadSuite reads a TEST-*.xml. The counts come from its head; the cases are
// read only where the head says that some failed, since a passing suite may
// hold megabytes of output (format: maven.apache.org/surefire,
// surefire-test-report.xsd).
func ReadSuite(in io.Reader) (Suite, error) {
	var s Suite
	d := xml.NewDecoder(in)
	d.Strict = false // old surefire writes control characters that XML forbids
	for {
		token, err := d.Token()
		if err != nil {
			return s, err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local != "testsuite" {
			return s, fmt.Errorf("its root element is <%s>, not <testsuite>", start.Name.Local)
		}
		s.Tests = counts(start)
		break
	}
	if s.Tests.Failed == 0 {
		return s, nil
	}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "testcase" {
			if err := s.testcase(d, start); err != nil {
				return s, err
			}
		}
	}
}

func counts(start xml.StartElement) runner.Tests {
	number := func(name string) int {
		n, err := strconv.Atoi(attribute(start, name))
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	return runner.Tests{Run: number("tests"), Failed: number("failures") + number("errors"), Skipped: number("skipped")}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (s *Suite) testcase(d *xml.Decoder, start xml.StartElement) error {
	f := Failure{Class: attribute(start, "classname"), Name: attribute(start, "name")}
	failed := false
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local != "failure" && t.Name.Local != "error" || failed {
				if err := d.Skip(); err != nil {
					return err
				}
				continue
			}
			failed = true
			if err := d.DecodeElement(&f.Trace, &t); err != nil {
				return err
			}
			f.Message = attribute(t, "message")
			if strings.TrimSpace(f.Message) == "" {
				f.Message = attribute(t, "type")
			}
		case xml.EndElement:
			if failed {
				s.Failures = append(s.Failures, f)
			}
			return nil
		}
	}
}

// Frames are the places of a stack trace, innermost first, with those of its
// causes after them.
func (f Failure) Frames() []Frame {
	var all []Frame
	for line := range strings.Lines(f.Trace) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "at ")
		if !ok {
			continue
		}
		method, place, ok := strings.Cut(rest, "(")
		place, _, closed := strings.Cut(place, ")")
		file, number, numbered := strings.Cut(place, ":")
		n, err := strconv.Atoi(number)
		if !ok || !closed || !numbered || err != nil {
			continue // native methods and code without line numbers
		}
		method = method[strings.LastIndex(method, "/")+1:] // "app//", "java.base/"
		class, _, ok := cutLast(method, ".")
		if ok {
			all = append(all, Frame{Class: class, File: file, Line: n})
		}
	}
	return all
}

// Frame is one line of a stack trace.
type Frame struct {
	Class string // with its package
	File  string // without a folder
	Line  int
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// TestReports are the report folders that test mojos of this build wrote to,
// with the time their mojo started.
func (r *Report) TestReports() map[string]time.Time {
	folders := map[string]time.Time{}
	for _, m := range r.Mojos {
		p := r.Project(m.Project)
		if m.State != "MojoStarted" || !m.RunsTests() || p == nil {
			continue
		}
		dir := m.Reports
		if dir == "" {
			dir = "${project.build.directory}/" + strings.TrimSuffix(strings.TrimPrefix(m.Plugin, "maven-"), "-plugin") + "-reports"
		}
		dir = Interpolate(dir, func(name string) (string, bool) {
			switch name {
			case "project.build.directory":
				return p.Build, true
			case "project.basedir", "basedir":
				return p.Basedir, true
			}
			return "", false
		})
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(p.Basedir, dir)
		}
		if t, ok := folders[dir]; !ok || m.Time().Before(t) {
			folders[dir] = m.Time()
		}
	}
	return folders
}

// RunsTests tells whether the mojo is one that runs tests.
func (m MojoEvent) RunsTests() bool {
	return m.Plugin == "maven-surefire-plugin" && m.Goal == "test" ||
		m.Plugin == "maven-failsafe-plugin" && m.Goal == "integration-test"
}

// JudgesTests tells whether the mojo is one that fails for failing tests.
func (m MojoEvent) JudgesTests() bool {
	return m.RunsTests() || m.Plugin == "maven-failsafe-plugin" && m.Goal == "verify"
}

// ReadReports reads the reports in a folder that were written since a time.
// Reports of earlier runs lie there too: nothing removes them.
func ReadReports(dir string, since time.Time) ([]Suite, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read test reports: %w", err)
	}
	var suites []Suite
	var errs []error
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "TEST-") || !strings.HasSuffix(e.Name(), ".xml") {
			continue
		}
		if info, err := e.Info(); err != nil || older(info.ModTime(), since) {
			continue
		}
		s, err := readSuiteFile(filepath.Join(dir, e.Name()))
		if err != nil {
			errs = append(errs, err)
		}
		suites = append(suites, s)
	}
	return suites, errors.Join(errs...)
}

func readSuiteFile(path string) (Suite, error) {
	f, err := os.Open(path)
	if err != nil {
		return Suite{}, fmt.Errorf("read a test report: %w", err)
	}
	defer f.Close()
	s, err := ReadSuite(f)
	if err != nil {
		return s, fmt.Errorf("read test report %s: %w", path, err)
	}
	return s, nil
}

// older compares a file's time with a clock's. The kernel stamps files with a
// clock that ticks every few milliseconds, and some file systems keep whole
// seconds, or even ones (FAT).
func older(file, since time.Time) bool {
	if file.Nanosecond() == 0 {
		return file.Before(since.Add(-2 * time.Second))
	}
	return file.Before(since.Add(-20 * time.Millisecond))
}
