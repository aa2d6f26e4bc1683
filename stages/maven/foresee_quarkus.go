package maven

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// fastJar are the libraries of a Quarkus application in its usual form: each in
// lib/main or, where an extension wants it in the runner's own class loader, in
// lib/boot, under its group and file name (FastJarBuilder).
func fastJar(p *mvn.Project) []Foreseen {
	if ownPackaging(p.Basedir) {
		return nil
	}
	var boot, out []string
	jars := released(p.Resolution)
	descriptors := newGlance()
	for _, d := range jars {
		extension, err := descriptors.read(d.File, "META-INF/quarkus-extension.properties")
		if err != nil {
			continue // most likely no extension
		}
		boot = append(boot, coordinates(extension, "runner-parent-first-artifacts")...)
		out = append(out, coordinates(extension, "excluded-artifacts")...)
	}
	// What an IDE starts is no part of an application (ApplicationModelBuilder).
	out = append(out, "io.quarkus:quarkus-ide-launcher")
	var all []Foreseen
	for _, d := range jars {
		if d.Scope == "provided" || lists(out, d) {
			continue
		}
		folder := "main/"
		if lists(boot, d) {
			folder = "boot/"
		}
		all = append(all, Foreseen{Name: folder + d.Group + "." + filepath.Base(d.File), File: d.File})
	}
	return all
}

// ownPackaging tells whether the application's settings choose another form
// than the fast-jar, or shape it. They may be in other places too, which are
// rare: what is foreseen then goes unused.
func ownPackaging(basedir string) bool {
	for _, name := range []string{"application.properties", "application.yaml", "application.yml"} {
		text, err := os.ReadFile(filepath.Join(basedir, "src", "main", "resources", name))
		if err == nil && (bytes.Contains(text, []byte("quarkus.package.")) || bytes.Contains(text, []byte("package:"))) {
			return true
		}
	}
	return false
}

// coordinates are the group:artifact[:classifier]s that a property of an
// extension lists (java.util.Properties writes a colon as \:).
func coordinates(properties []byte, name string) []string {
	for line := range strings.Lines(string(properties)) {
		value, ok := strings.CutPrefix(line, name+"=")
		if !ok {
			continue
		}
		return slices.DeleteFunc(strings.Split(strings.ReplaceAll(strings.TrimSpace(value), `\`, ""), ","), func(s string) bool { return s == "" })
	}
	return nil
}
