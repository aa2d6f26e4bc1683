// Package mvn knows Maven from outside: where it and its JDKs are, what a
// project's poms say, what a running Maven reports, and what its output and
// its test reports mean.
package mvn

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/internal/scratch"
)

// spyJar is made of spy/*.java; TestSpyJarIsBuiltFromItsSource rebuilds it.
//
//go:embed spy/spy.jar
var spyJar []byte

// Names of the spy's environment variables, as spy/Spy.java reads them. They
// are not Maven properties: those would be passed on to the project's tests.
const (
	envReport = "FASTSHIP_MAVEN_REPORT"
	envHalt   = "FASTSHIP_MAVEN_HALT"
)

// Watch is the place of the spy and of its report during one Maven process.
type Watch struct {
	dir    string
	remove func()
}

// NewWatch unpacks the spy into a temporary folder that Close removes, or the
// next one when this process is killed.
func NewWatch() (*Watch, error) {
	dir, remove, err := scratch.Dir(os.TempDir(), "fastship-maven-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for Maven's report: %w", err)
	}
	w := &Watch{dir, remove}
	if strings.Contains(dir, string(os.PathListSeparator)) {
		w.Close()
		return nil, fmt.Errorf("watch Maven from %s: the folder's name has a %q in it, which ends a path in a class path", dir, os.PathListSeparator)
	}
	if err := os.WriteFile(w.jar(), spyJar, 0o600); err != nil {
		w.Close()
		return nil, fmt.Errorf("unpack Maven's spy: %w", err)
	}
	return w, nil
}

// Close removes the folder.
func (w *Watch) Close() { w.remove() }

func (w *Watch) jar() string    { return filepath.Join(w.dir, "spy.jar") }
func (w *Watch) report() string { return filepath.Join(w.dir, "report") }

// Arg is the Maven argument that loads the spy after the extensions that the
// user loads the same way. It must come last on the command line.
func (w *Watch) Arg(users string) string {
	path := w.jar()
	if users != "" {
		path = users + string(os.PathListSeparator) + path
	}
	return "-D" + extClassPath + "=" + path
}

// Halt is a reason for the spy to end Maven before any work.
type Halt string

const (
	HaltReleases Halt = "releases" // the JDK cannot compile for what the project asks for
	HaltJava     Halt = "java"     // the JDK breaks an enforcer rule
	HaltMaven    Halt = "maven"    // this Maven breaks an enforcer rule
)

// Env is what the spy needs in Maven's environment, and for what it may end
// Maven before any work.
func (w *Watch) Env(on ...Halt) []string {
	var reasons []string
	for _, h := range on {
		reasons = append(reasons, string(h))
	}
	return []string{envReport + "=" + w.report(), envHalt + "=" + strings.Join(reasons, ",")}
}

// Report reads what the spy has said so far. It is empty when Maven died
// before the spy was loaded.
func (w *Watch) Report() (Report, error) {
	f, err := os.Open(w.report())
	if os.IsNotExist(err) {
		return Report{}, nil
	}
	if err != nil {
		return Report{}, fmt.Errorf("read Maven's report: %w", err)
	}
	defer f.Close()
	return ReadReport(f)
}
