package maven

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/zipfs"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

func TestRunBuildsSpringBoot(t *testing.T) {
	needMaven(t)
	for maven, path := range mavens(t) {
		t.Run(maven, func(t *testing.T) {
			project := app(t, "orders")
			s := step(t, Config{Dir: project}, "PATH="+path)
			store, err := dir.Open(t.TempDir(), dir.Options{})
			if err != nil {
				t.Fatal(err)
			}
			s.deps.Local = &cache.Cache{Blobs: store, Actions: store}
			var foreseen []Foreseen
			s.deps.Foreseen = func(all []Foreseen) { foreseen = all }
			r := runStep(t, t.Context(), s)
			if r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.output())
			}
			sameLibraries(t, foreseen, r.out.Jar.Name)
			if want := filepath.Join(project, "target", "orders-1.0.0.jar"); r.out.Jar.Name != want {
				t.Errorf("jar %s, want %s", r.out.Jar.Name, want)
			}
			if r.out.Tests.Run == 0 || r.out.Tests.Failed != 0 {
				t.Errorf("tests %+v", r.out.Tests)
			}
			spring := slices.IndexFunc(r.out.Libraries, func(l Library) bool { return l.Name == "spring-core" })
			if len(r.out.Libraries) < 40 || spring < 0 || r.out.Libraries[spring].Group != "org.springframework" || !strings.HasPrefix(r.out.Libraries[spring].File, "spring-core-") {
				t.Errorf("libraries %+v", r.out.Libraries)
			}
			if slices.ContainsFunc(r.out.Libraries, func(l Library) bool { return strings.Contains(l.Name, "junit") }) {
				t.Error("a library of the tests is on the runtime class path")
			}
		})
	}
}

// sameLibraries wants what was foreseen to be what the packager packed, byte
// for byte, but for its own jar modes.
func sameLibraries(t *testing.T, foreseen []Foreseen, jar string) {
	t.Helper()
	sums := map[string]string{}
	for _, f := range foreseen {
		text, err := os.ReadFile(f.File)
		if err != nil {
			t.Error(err)
		}
		sums[f.Name] = string(cache.Sum(text))
	}
	archive, err := zipfs.Open(jar)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	packed := map[string]string{}
	for _, f := range archive.Files() {
		if name, ok := strings.CutPrefix(f.Name, "BOOT-INF/lib/"); ok && name != "" && !strings.HasPrefix(name, "spring-boot-jarmode-") {
			text, err := zipfs.Read(f, 64<<20)
			if err != nil {
				t.Error(err)
			}
			packed[name] = string(cache.Sum(text))
		}
	}
	if !maps.Equal(sums, packed) {
		t.Errorf("foreseen %v\npacked %v", slices.Sorted(maps.Keys(sums)), slices.Sorted(maps.Keys(packed)))
	}
}

func TestRunTakesTheShadedJar(t *testing.T) {
	needMaven(t)
	r := runStep(t, t.Context(), step(t, Config{Dir: app(t, "shaded")}))
	if r.err != nil || strings.HasPrefix(filepath.Base(r.out.Jar.Name), "original-") || r.out.Jar.Size < 100_000 {
		t.Errorf("%v, %+v", r.err, r.out.Jar)
	}
}

// reactor is a build of n libraries and an application that needs them all,
// each with a test.
func reactor(t *testing.T, n int) string {
	parent := "<parent><groupId>com.example</groupId><artifactId>root</artifactId><version>1.0.0</version></parent>"
	head := `<project><modelVersion>4.0.0</modelVersion>`
	var modules, dependencies string
	var all []string
	for i := range n {
		name := fmt.Sprintf("lib%d", i)
		modules += "<module>" + name + "</module>"
		dependencies += "<dependency><groupId>com.example</groupId><artifactId>" + name + "</artifactId><version>1.0.0</version></dependency>"
		all = append(all, name+"/pom.xml", head+parent+"<artifactId>"+name+"</artifactId></project>",
			name+"/src/main/java/"+name+"/Lib.java", "package "+name+"; public class Lib {}",
			name+"/src/test/java/"+name+"/LibTest.java", "package "+name+"; class LibTest { @org.junit.jupiter.api.Test void works() {} }")
	}
	all = append(all,
		"pom.xml", head+`<groupId>com.example</groupId><artifactId>root</artifactId><version>1.0.0</version><packaging>pom</packaging>
<modules>`+modules+`<module>app</module></modules>
<properties><maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target><project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
<dependencies><dependency><groupId>org.junit.jupiter</groupId><artifactId>junit-jupiter</artifactId><version>5.11.4</version><scope>test</scope></dependency></dependencies>
<build><pluginManagement><plugins>
<plugin><artifactId>maven-surefire-plugin</artifactId><version>3.6.1</version></plugin>
<plugin><artifactId>maven-compiler-plugin</artifactId><version>3.16.0</version></plugin>
<plugin><artifactId>maven-resources-plugin</artifactId><version>3.5.0</version></plugin>
<plugin><artifactId>maven-jar-plugin</artifactId><version>3.5.1</version></plugin>
</plugins></pluginManagement></build></project>`,
		"app/pom.xml", head+parent+`<artifactId>app</artifactId><dependencies>`+dependencies+`</dependencies><build><plugins><plugin><artifactId>maven-jar-plugin</artifactId>
<configuration><archive><manifest><mainClass>com.example.Main</mainClass></manifest></archive></configuration></plugin></plugins></build></project>`,
		"app/src/main/java/com/example/Main.java", mainJava)
	return files(t, all...)
}

func TestRunIsSafeWhereMavenWorksInParallel(t *testing.T) {
	needMaven(t)
	for maven, path := range mavens(t) {
		t.Run(maven, func(t *testing.T) {
			s := step(t, Config{Dir: reactor(t, 6), Args: []string{"-T", "4"}}, "PATH="+path)
			r := runStep(t, t.Context(), s)
			if r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.output())
			}
			if r.out.ArtifactID != "app" || r.out.Tests != (runner.Tests{Run: 6}) || len(r.out.ReactorIDs) != 8 || len(r.out.Libraries) != 6 {
				t.Errorf("%+v", r.out)
			}
		})
	}
}

func TestRunCountsTheTestsOfThisRunOnly(t *testing.T) {
	needMaven(t)
	project := reactor(t, 2)
	s := step(t, Config{Dir: project, Module: "lib1"})
	old := filepath.Join(project, "lib1", "target", "surefire-reports", "TEST-lib1.OldTest.xml") // of an earlier run
	if err := os.MkdirAll(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte(`<testsuite name="lib1.OldTest" tests="1"><testcase name="was" classname="lib1.OldTest"/></testsuite>`), 0o644); err != nil {
		t.Fatal(err)
	}
	hourAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(old, hourAgo, hourAgo); err != nil {
		t.Fatal(err)
	}
	r := runStep(t, t.Context(), s)
	if r.out.Tests != (runner.Tests{Run: 1}) {
		t.Errorf("tests %+v\n%s", r.out.Tests, r.output())
	}
	s.config.Args = []string{"-DskipTests"}
	r = runStep(t, t.Context(), s)
	if r.out.Tests != (runner.Tests{}) || !strings.Contains(r.said(), "0 tests run: they are switched off by -DskipTests") {
		t.Errorf("tests %+v\n%s", r.out.Tests, r.said())
	}
}

// TestRunUsesTheWrapper has the wrapper's project name an extension of its own
// in .mvn/maven.config, too; with -X Maven lists the jars that it loads.
func TestRunUsesTheWrapper(t *testing.T) {
	needMaven(t)
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		t.Skip("no mvn on PATH for the wrapper to stand for")
	}
	project := app(t, "hello")
	own := filepath.Join(t.TempDir(), "users-own.jar")
	spy, err := os.ReadFile("../internal/mvn/spy/spy.jar")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(project, ".mvn"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		own: string(spy),
		filepath.Join(project, ".mvn", "maven.config"): "-X\n-Dmaven.ext.class.path=" + own + "\n",
		filepath.Join(project, "mvnw"):                 "#!/bin/sh\necho this is the wrapper\nexec " + mvn + " \"$@\"\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := runStep(t, t.Context(), step(t, Config{Dir: project, Goals: []string{"validate"}}))
	if !strings.Contains(r.output(), "BUILD SUCCESS") || !strings.Contains(r.output(), "this is the wrapper") || !strings.Contains(r.said(), "from the project's ./mvnw") {
		t.Errorf("%v\n%s\n%s", r.err, r.said(), r.output())
	}
	// "Included /x.jar" in Maven 3, "included '/x.jar'" in 4.
	if !strings.Contains(r.output(), "Included "+own) && !strings.Contains(r.output(), "included '"+own+"'") {
		t.Errorf("Maven did not load the user's extension:\n%s", r.output())
	}
}

func TestRunBringsAMavenOfItsOwn(t *testing.T) {
	needMaven(t)
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// A PATH with what Maven's script needs, and no mvn.
	bin := t.TempDir()
	for _, tool := range strings.Fields("sh uname dirname ls expr tr java sed xargs cat basename") {
		if path, err := exec.LookPath(tool); err == nil {
			if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := New(Config{Dir: app(t, "hello"), Tune: TuneOff}, Deps{
		Environ: append(os.Environ(), "PATH="+bin), Home: os.Getenv("HOME"), HTTP: http.DefaultClient,
		Cache: &cache.Cache{Blobs: store, Actions: store},
	})
	r := runStep(t, t.Context(), s)
	if r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.output())
	}
	if want := filepath.Join(s.config.Dir, "target", "hello-1.0.0.jar"); r.out.Jar.Name != want || r.out.Maven != mvn.PinnedMaven {
		t.Errorf("jar %s, want %s; of Maven %s", r.out.Jar.Name, want, r.out.Maven)
	}
	if r.out.GroupID != "com.example" || r.out.ArtifactID != "hello" || r.out.Version != "1.0.0" || r.out.Packaging != "jar" || r.out.Release != 17 {
		t.Errorf("out %+v", r.out)
	}
	if !strings.Contains(r.said(), "warning: 0 tests run") {
		t.Errorf("said:\n%s", r.said())
	}
}

func TestRunIsInterrupted(t *testing.T) {
	needMaven(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	s := step(t, Config{Dir: app(t, "orders")})
	timer := time.AfterFunc(3*time.Second, func() { cancel(interrupted) })
	defer timer.Stop()
	before := temporary(t)
	r := runStep(t, ctx, s)
	if !errors.Is(r.err, interrupted) {
		t.Errorf("error %v", r.err)
	}
	if after := temporary(t); len(after) > len(before) {
		t.Errorf("left behind: %v", after)
	}
}

// temporary lists the spy's folders.
func temporary(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(os.TempDir(), "fastship-maven-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
