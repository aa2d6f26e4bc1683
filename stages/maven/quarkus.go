package maven

import (
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// quarkusRunner begins the main class of a Quarkus fast-jar's first jar.
const quarkusRunner = "io.quarkus.bootstrap.runner."

// quarkusApp is the first jar of the fast-jar that Quarkus' plug-in made of p
// in this build; empty when there is none. Quarkus does not attach it: it is a
// folder, target/quarkus-app unless quarkus.package.output-directory says
// otherwise, and one of an earlier build may lie there.
func (a *attempt) quarkusApp(p *mvn.Project) string {
	var since time.Time
	done := false
	for _, m := range a.report.Mojos {
		if m.Project != p.ID() || m.Plugin != "quarkus-maven-plugin" || m.Goal != "build" {
			continue
		}
		switch m.State {
		case "MojoStarted":
			since = m.Time()
		case "MojoSucceeded":
			done = true
		}
	}
	if !done {
		return ""
	}
	found, _ := filepath.Glob(filepath.Join(p.Build, "*", "quarkus", "quarkus-application.dat")) // the pattern is well-formed
	for _, data := range found {
		if !isFresh(data, since) {
			continue
		}
		jars, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(data)), "*.jar"))
		for _, jar := range jars {
			if strings.HasPrefix(mainClass(jar), quarkusRunner) {
				return jar
			}
		}
	}
	return ""
}

// besideQuarkus are all files of a fast-jar but the first jar.
func besideQuarkus(jar string) []string {
	var all []string
	for _, folder := range []string{"lib", "app", "quarkus"} {
		// What cannot be read is not kept; the image's step will say so.
		_ = filepath.WalkDir(filepath.Join(filepath.Dir(jar), folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				all = append(all, path)
			}
			return nil
		})
	}
	return all
}
