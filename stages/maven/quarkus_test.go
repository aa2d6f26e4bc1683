package maven

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// TestChooseTakesQuarkus: the fast-jar of this build, not that of an earlier
// one, and whatever else beside it has a main class.
func TestChooseTakesQuarkus(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	jar(t, at("target/app.jar"), plain)
	jar(t, at("target/app-tool.jar"), main)
	jar(t, at("target/quarkus-app/quarkus-run.jar"), "Manifest-Version: 1.0\r\nMain-Class: io.quarkus.bootstrap.runner.QuarkusEntryPoint\r\nClass-Path: lib/boot/r.jar\r\n\r\n")
	for _, name := range []string{"quarkus/quarkus-application.dat", "quarkus/generated-bytecode.jar", "lib/boot/r.jar", "lib/main/x.jar", "app/app.jar", "quarkus-app-dependencies.txt"} {
		write(t, at("target/quarkus-app/"+name), name)
	}
	p := &mvn.Project{Group: "g", Artifact: "app", Packaging: "jar", Basedir: dir, Build: at("target"), File: at("target/app.jar")}
	choice := func(mojos ...mvn.MojoEvent) (string, error) {
		app, err := choose(&job{dir: dir}, &attempt{report: mvn.Report{Projects: []*mvn.Project{p}, Mojos: mojos}})
		return strings.TrimPrefix(app.file, dir+"/"), err
	}
	mojo := func(state, goal string, when time.Time) mvn.MojoEvent {
		return mvn.MojoEvent{State: state, Goal: goal, Project: "g:app", Plugin: "quarkus-maven-plugin", Millis: when.UnixMilli()}
	}
	before, later := time.Now().Add(-time.Minute), time.Now().Add(time.Minute)
	if got, err := choice(mojo("MojoStarted", "build", before), mojo("MojoSucceeded", "build", later)); got != "target/quarkus-app/quarkus-run.jar" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for name, mojos := range map[string][]mvn.MojoEvent{
		"no Quarkus here":  nil,
		"code generation":  {mojo("MojoStarted", "generate-code", before), mojo("MojoSucceeded", "generate-code", later)},
		"an earlier build": {mojo("MojoStarted", "build", later), mojo("MojoSucceeded", "build", later)},
	} {
		_, err := choice(mojos...)
		mustFail(t, err, fault.BadInput, "no Main-Class in the manifest of target/app.jar")
		p.Attached = []mvn.Attach{{Classifier: "runner", Type: "jar", File: at("target/app-tool.jar")}} // an uber-jar
		if got, err := choice(mojos...); got != "target/app-tool.jar" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		p.Attached = nil
	}

	beside := besideJar(at("target/quarkus-app/quarkus-run.jar"))
	var libraries []string
	for i, f := range beside {
		beside[i] = strings.TrimPrefix(f, at("target/quarkus-app")+"/")
		if isLibraryOf(at("target/quarkus-app/quarkus-run.jar"), f) {
			libraries = append(libraries, beside[i])
		}
	}
	if want := []string{"lib/boot/r.jar", "lib/main/x.jar", "app/app.jar", "quarkus/generated-bytecode.jar", "quarkus/quarkus-application.dat"}; !slices.Equal(beside, want) {
		t.Errorf("beside it: %q", beside)
	}
	if !slices.Equal(libraries, []string{"lib/boot/r.jar", "lib/main/x.jar"}) {
		t.Errorf("libraries: %q", libraries)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
