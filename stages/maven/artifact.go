package maven

import (
	"archive/zip"
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// application is a file that can be run, made by a module of the build.
type application struct {
	project *mvn.Project
	file    string
}

// never are the classifiers and types of artifacts that are not the
// application, whatever their manifests say.
var never = []string{"sources", "test-sources", "javadoc", "test-javadoc", "tests", "original", "consumer", "build"}

// applications are the artifacts of the modules that were built which are
// runnable, at most one of each: Quarkus' folder, else the main artifact, else
// an attached one (Spring Boot's "exec", shade's "shaded", Quarkus' "runner").
func (a *attempt) applications(projects []*mvn.Project, runnable func(file string) bool) []application {
	var all []application
	for _, p := range projects {
		if p.Packaging == "pom" || p.Packaging == "maven-plugin" {
			continue
		}
		if file := a.quarkusApp(p); file != "" {
			all = append(all, application{p, file})
			continue
		}
		for _, file := range artifacts(p) {
			if runnable(file) {
				all = append(all, application{p, file})
				break
			}
		}
	}
	return all
}

// artifacts are a module's files that may be the application, most likely
// first.
func artifacts(p *mvn.Project) []string {
	files := []string{p.File}
	for _, a := range p.Attached {
		if !excluded(a) {
			files = append(files, a.File)
		}
	}
	var all []string
	for _, f := range files {
		base := filepath.Base(f)
		if (strings.HasSuffix(f, ".jar") || strings.HasSuffix(f, ".war")) && !strings.HasPrefix(base, "original-") && isFile(f) {
			all = append(all, f)
		}
	}
	return all
}

func excluded(a mvn.Attach) bool {
	for _, word := range never {
		if a.Classifier == word || strings.HasSuffix(a.Classifier, "-"+word) {
			return true
		}
	}
	return a.Type == "test-jar" || a.Type == "java-source" || a.Type == "javadoc" || a.Type == "pom"
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// isFresh tells a file that was written since, as far as file systems tell.
func isFresh(path string, since time.Time) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.ModTime().After(since.Add(-2*time.Second))
}

// runnable tells whether java -jar would start the file. A war is always an
// application, if not always one that starts by itself.
func runnable(file string) bool {
	return strings.HasSuffix(file, ".war") || mainClass(file) != ""
}

// holds tells whether a jar has the class itself.
func holds(jar, class string) bool {
	z, err := zip.OpenReader(jar)
	if err != nil {
		return false
	}
	defer z.Close()
	name := strings.ReplaceAll(class, ".", "/") + ".class"
	return slices.ContainsFunc(z.File, func(f *zip.File) bool { return f.Name == name })
}

// mainClass is the Main-Class of a jar's manifest, or empty.
func mainClass(jar string) string { return manifestOf(jar, "Main-Class") }

// manifestOf is a main attribute of a jar's manifest, or empty.
func manifestOf(jar, name string) string {
	z, err := zip.OpenReader(jar)
	if err != nil {
		return ""
	}
	defer z.Close()
	f, err := z.Open("META-INF/MANIFEST.MF")
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return ""
	}
	return manifestValue(text, name)
}

// manifestValue reads a main attribute: its section ends at the first blank
// line, and a line that begins with a space continues the one before it (JAR
// File Specification, "Notes on Manifest and Signature Files").
func manifestValue(manifest []byte, name string) string {
	lines := bufio.NewScanner(bytes.NewReader(manifest))
	lines.Buffer(nil, 1<<20)
	value, found := "", false
	for lines.Scan() {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, " "); ok && found {
			value += rest
			continue
		}
		if found || line == "" {
			break
		}
		key, v, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(key, name) {
			value, found = strings.TrimPrefix(v, " "), true
		}
	}
	return strings.TrimSpace(value)
}
