package mvn

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Report is what the spy said about one Maven process, in the order of events.
type Report struct {
	Maven       string // Maven's version
	JavaHome    string // of the JDK that ran Maven
	JavaVersion string
	JavaMajor   int
	Projects    []*Project  // in the order they are built
	Mojos       []MojoEvent // in the order they happened
	Resolved    []Resolved  // every file that Maven took from its repository
	Rules       []RuleEvent // of the enforcer plugin, on versions
	Errors      []Chain     // why the build failed, as Maven tells it
	Unfit       bool        // the spy ended Maven: its JDK, or Maven itself, does not fit
	Ended       bool        // Maven came to the end of its session
	Faults      []string    // what went wrong in the spy itself
}

// Project is one module of the build.
type Project struct {
	Group, Artifact, Version, Packaging string

	Basedir     string   `json:"basedir"`
	Build       string   `json:"build"`       // ${project.build.directory}
	Sources     []string `json:"sources"`     // source roots
	TestSources []string `json:"testSources"` // test source roots
	Releases    []int    `json:"releases"`    // Java releases that its compiler plugin asks for, ascending
	Toolchain   bool     `json:"toolchain"`   // another JDK than Maven's compiles it
	// Repackage is how spring-boot-maven-plugin makes an application of it;
	// nil when it does not, or that is not clear beforehand.
	Repackage *Repackage `json:"repackage"`
	// Quarkus is the version of Quarkus' plug-in where that makes an application
	// of it in the usual form; else empty.
	Quarkus string `json:"quarkus"`
	// Thin is whether its own jar is one, with all that its manifest's class path
	// names copied beside it.
	Thin      bool      `json:"thin"`
	State     string    `json:"-"` // ProjectSucceeded, …; empty when it was never reached
	File      string    `json:"-"` // the main artifact's file
	Attached  []Attach  `json:"-"` // further artifacts
	Classpath []Library `json:"-"` // resolved dependencies of scope compile and runtime
	// Resolution is what Maven resolved before its first mojo, where Repackage,
	// Quarkus or Thin is set; nil until then.
	Resolution *Resolution `json:"-"`
}

// ID is group:artifact.
func (p *Project) ID() string { return p.Group + ":" + p.Artifact }

// Attach is an artifact beside the main one.
type Attach struct {
	Classifier string `json:"classifier"`
	Type       string `json:"type"`
	File       string `json:"file"`
}

// Library is a resolved dependency.
type Library struct {
	Group    string `json:"group"`
	Artifact string `json:"artifact"`
	Version  string `json:"version"` // as asked for: a snapshot says SNAPSHOT
	File     string `json:"file"`
}

// MojoEvent is the start or the end of one mojo.
type MojoEvent struct {
	State         string `json:"state"`   // MojoStarted, MojoSucceeded, MojoFailed, MojoSkipped
	Project       string `json:"project"` // group:artifact
	Plugin        string `json:"plugin"`  // artifact ID
	PluginVersion string `json:"pluginVersion"`
	Goal          string `json:"goal"`
	Execution     string `json:"execution"`
	Millis        int64  `json:"time"`    // since the epoch
	Reports       string `json:"reports"` // reportsDirectory as configured, on MojoStarted
	Error         Chain  `json:"error"`   // on MojoFailed
}

// Time is when it happened.
func (m MojoEvent) Time() time.Time { return time.UnixMilli(m.Millis) }

// RuleEvent is a version that maven-enforcer-plugin wants in the effective
// projects, wherever they have it from.
type RuleEvent struct {
	On      string `json:"on"`      // maven or java
	Version string `json:"version"` // a range, as written
	From    string `json:"from"`    // group:artifact:version of the pom that has the rule
}

// Resolved is a file out of Maven's repository.
type Resolved struct {
	ID   string `json:"id"`
	File string `json:"file"`
}

// Chain is a throwable and its causes, outermost first, each "class: message".
type Chain []string

// Messages are the throwables' messages without their classes.
func (c Chain) Messages() []string {
	all := make([]string, len(c))
	for i, s := range c {
		_, all[i], _ = strings.Cut(s, ": ")
	}
	return all
}

// Project returns a module by group:artifact, or nil.
func (r *Report) Project(id string) *Project {
	for _, p := range r.Projects {
		if p.ID() == id {
			return p
		}
	}
	return nil
}

// ReadReport reads the spy's file. A last line without an end, as a killed
// Maven leaves, is dropped.
func ReadReport(from io.Reader) (Report, error) {
	var r Report
	in := bufio.NewReaderSize(from, 64<<10)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, fmt.Errorf("read Maven's report: %w", err)
		}
		if err := r.add(bytes.TrimSpace(line)); err != nil {
			return r, fmt.Errorf("read Maven's report, line %d: %w", n, err)
		}
	}
}

func (r *Report) add(line []byte) error {
	var head struct {
		Event string `json:"event"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return err
	}
	switch head.Event {
	case "start":
		return json.Unmarshal(line, r)
	case "project":
		return appendTo(&r.Projects, line)
	case "dependencies":
		return r.resolution(line)
	case "mojo":
		return appendTo(&r.Mojos, line)
	case "rule":
		return appendTo(&r.Rules, line)
	case "resolved":
		return appendTo(&r.Resolved, line)
	case "ended":
		return r.ended(line)
	case "error":
		var e struct{ Error Chain }
		err := json.Unmarshal(line, &e)
		r.Errors = append(r.Errors, e.Error)
		return err
	case "unfit":
		r.Unfit = true
	case "end":
		r.Ended = true
	case "fault":
		var f struct{ Message string }
		err := json.Unmarshal(line, &f)
		r.Faults = append(r.Faults, f.Message)
		return err
	}
	return nil
}

func appendTo[T any](list *[]T, line []byte) error {
	var v T
	err := json.Unmarshal(line, &v)
	*list = append(*list, v)
	return err
}

func (r *Report) ended(line []byte) error {
	var e struct {
		State, Project, File string
		Attached             []Attach
		Classpath            []Library
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	if p := r.Project(e.Project); p != nil {
		p.State, p.File, p.Attached, p.Classpath = e.State, e.File, e.Attached, e.Classpath
	}
	return nil
}
