package maven

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// jarFile writes a jar: entry and content in turns.
func jarFile(t *testing.T, path, comment string, entries ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for i := 0; i < len(entries); i += 2 {
		w, err := z.Create(entries[i])
		if err == nil {
			_, err = w.Write([]byte(entries[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.SetComment(comment); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

const manifestEntry = "META-INF/MANIFEST.MF"

// shelf is a Maven repository with what a module needs.
type shelf struct {
	root string
	all  []mvn.Dependency
}

// add adds a dependency by group:artifact:version[:classifier], of scope
// compile; kind is the Spring-Boot-Jar-Type of its jar.
func (s *shelf) add(t *testing.T, id, kind string, change func(*mvn.Dependency)) {
	t.Helper()
	parts := append(strings.Split(id, ":"), "")
	d := mvn.Dependency{Group: parts[0], Artifact: parts[1], Version: parts[2], Classifier: parts[3], Extension: "jar", Scope: "compile"}
	d.File = filepath.Join(s.root, filepath.Join(strings.Split(d.Group, ".")...), d.Artifact, d.Version, fileName(d))
	if change != nil {
		change(&d)
	}
	text := "Manifest-Version: 1.0\n"
	if kind != "" {
		text += "Spring-Boot-Jar-Type: " + kind + "\n"
	}
	jarFile(t, d.File, "", "a/META-INF/MANIFEST.MF", "not this one", "META-INF/", "", manifestEntry, text)
	s.all = append(s.all, d)
}

func (s *shelf) project(settings mvn.Repackage) *mvn.Project {
	return &mvn.Project{Group: "g", Artifact: "a", Packaging: "jar", Repackage: &settings, Resolution: &mvn.Resolution{Repository: s.root, Dependencies: s.all}}
}

func names(all []Foreseen) []string {
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

func TestForeseenFollowsThePackagersRules(t *testing.T) {
	s := &shelf{root: t.TempDir()}
	s.add(t, "org.x:lib:1", "", nil)
	s.add(t, "org.x:native:1:linux", "", func(d *mvn.Dependency) { d.Scope = "runtime" })
	s.add(t, "org.y:api:2", "", func(d *mvn.Dependency) { d.Scope = "provided" })
	s.add(t, "org.y:maybe:2", "", func(d *mvn.Dependency) { d.Optional = true })
	s.add(t, "org.z:starter:3", "dependencies-starter", nil)
	s.add(t, "org.z:processor:3", "annotation-processor", nil)
	s.add(t, "org.z:tool:3", "development-tool", nil)
	s.add(t, "org.z:other:3", "something-else", nil)
	s.add(t, "one:same:1", "", nil)
	s.add(t, "two:same:1", "", nil)
	s.add(t, "org.springframework.boot:spring-boot-devtools:4.1.2", "", nil)
	s.add(t, "org.springframework.boot:spring-boot-docker-compose:4.1.2", "", nil)
	s.add(t, "org.x:moving:1-SNAPSHOT", "", nil)
	s.add(t, "org.x:pom:1", "", func(d *mvn.Dependency) { d.Extension = "pom" })
	s.add(t, "org.x:module:1", "", func(d *mvn.Dependency) { d.File = filepath.Join(t.TempDir(), "module-1.jar") })
	s.add(t, "org.x:beside:1", "", func(d *mvn.Dependency) { d.File = s.root + "-of-another/beside-1.jar" })
	t.Cleanup(func() { os.RemoveAll(s.root + "-of-another") })

	usual := []string{"api-2.jar", "lib-1.jar", "native-1-linux.jar", "one-same-1.jar", "other-3.jar", "two-same-1.jar"}
	with := func(more ...string) []string { return append(slices.Clone(usual), more...) }
	without := func(fewer ...string) []string {
		return slices.DeleteFunc(slices.Clone(usual), func(s string) bool { return slices.Contains(fewer, s) })
	}
	for name, c := range map[string]struct {
		settings mvn.Repackage
		want     []string
	}{
		"4.1":                       {mvn.Repackage{Version: "4.1.2"}, usual},
		"3.5 packs optional ones":   {mvn.Repackage{Version: "3.5.7"}, with("maybe-2.jar", "tool-3.jar")},
		"2.3":                       {mvn.Repackage{Version: "2.3.0.RELEASE"}, with("maybe-2.jar", "tool-3.jar")},
		"4.0, includeOptional":      {mvn.Repackage{Version: "4.0.0", IncludeOptional: "true"}, with("maybe-2.jar")},
		"3.5, no includeOptional":   {mvn.Repackage{Version: "3.5.7", IncludeOptional: "false"}, with("tool-3.jar")},
		"development tools":         {mvn.Repackage{Version: "4.1.2", ExcludeDevtools: "false", ExcludeDockerCompose: "false"}, with("spring-boot-devtools-4.1.2.jar", "spring-boot-docker-compose-4.1.2.jar")},
		"excludes":                  {mvn.Repackage{Version: "4.1.2", Excludes: []string{"org.y:api", "org.x:native:windows"}}, without("api-2.jar")},
		"excludes by classifier":    {mvn.Repackage{Version: "4.1.2", Excludes: []string{"org.x:native:linux", "org.x:lib:linux"}}, without("native-1-linux.jar")},
		"includes":                  {mvn.Repackage{Version: "4.1.2", Includes: []string{"org.y:api", "org.z:starter"}}, []string{"api-2.jar"}},
		"excludeGroupIds":           {mvn.Repackage{Version: "4.1.2", ExcludeGroupIDs: "org.x, one"}, without("lib-1.jar", "native-1-linux.jar", "one-same-1.jar")},
		"part of a group":           {mvn.Repackage{Version: "4.1.2", ExcludeGroupIDs: "org"}, usual},
		"a layout of the project's": {mvn.Repackage{Version: "4.1.2", LayoutFactory: "true"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			all := repackaged(s.project(c.settings))
			slices.Sort(c.want)
			if got := names(all); !slices.Equal(got, c.want) {
				t.Errorf("foreseen %v\nwant     %v", got, c.want)
			}
			for _, f := range all {
				if !strings.HasPrefix(f.File, s.root+"/") {
					t.Errorf("%s comes from %s", f.Name, f.File)
				}
			}
		})
	}
}

func TestForeseenOfAThinJar(t *testing.T) {
	s := &shelf{root: t.TempDir()}
	s.add(t, "org.x:lib:1", "", nil)
	s.add(t, "org.x:starter:1", "dependencies-starter", nil)
	s.add(t, "org.x:native:1:linux", "", func(d *mvn.Dependency) { d.Scope = "runtime"; d.Optional = true })
	s.add(t, "org.x:api:2", "", func(d *mvn.Dependency) { d.Scope = "provided" })
	s.add(t, "org.x:moving:1-SNAPSHOT", "", nil)
	p := s.project(mvn.Repackage{})
	p.Repackage, p.Thin = nil, true
	if got, want := names(packager(p)(p)), []string{"lib-1.jar", "native-1-linux.jar", "starter-1.jar"}; !slices.Equal(got, want) {
		t.Errorf("foreseen %v\nwant     %v", got, want)
	}
}

// TestPackager: where two make an application of a module, none is chosen.
func TestPackager(t *testing.T) {
	boot := &mvn.Repackage{Version: "4.1.2"}
	for name, c := range map[string]struct {
		project mvn.Project
		known   bool
	}{
		"none":                         {mvn.Project{Packaging: "jar"}, false},
		"Spring Boot":                  {mvn.Project{Packaging: "war", Repackage: boot}, true},
		"Spring Boot in a parent":      {mvn.Project{Packaging: "pom", Repackage: boot}, false},
		"Spring Boot, skipped":         {mvn.Project{Packaging: "jar", Repackage: &mvn.Repackage{Version: "4.1.2", Skip: "true"}}, false},
		"skipped for a thin one":       {mvn.Project{Packaging: "jar", Repackage: &mvn.Repackage{Version: "4.1.2", Skip: "true"}, Thin: true}, true},
		"Quarkus":                      {mvn.Project{Packaging: "quarkus", Quarkus: "3.20.0"}, true},
		"Quarkus and Spring Boot both": {mvn.Project{Packaging: "jar", Quarkus: "3.20.0", Repackage: boot}, false},
		"thin":                         {mvn.Project{Packaging: "jar", Thin: true}, true},
	} {
		if known := packager(&c.project) != nil; known != c.known {
			t.Errorf("%s: known %t", name, known)
		}
	}
}

func TestJarType(t *testing.T) {
	dir := t.TempDir()
	types := newGlance()
	text := "Manifest-Version: 1.0\r\nSpring-Boot-Jar-Type: dependencies-\r\n starter\r\n\r\nName: x\r\nSpring-Boot-Jar-Type: y\r\n"
	for name, c := range map[string]struct {
		entries []string
		comment string
		want    string
	}{
		"manifest first":   {[]string{manifestEntry, text}, "", "dependencies-starter"},
		"manifest last":    {[]string{"META-INF/MANIFEST.MF.bak", "x", "a/META-INF/MANIFEST.MF", "x", manifestEntry, text}, "", "dependencies-starter"},
		"with a comment":   {[]string{manifestEntry, text}, "signed by someone", "dependencies-starter"},
		"no type":          {[]string{manifestEntry, "Manifest-Version: 1.0\n"}, "", ""},
		"no manifest":      {[]string{"a/META-INF/MANIFEST.MF", text}, "", ""},
		"nothing":          {nil, "", ""},
		"manifest is huge": {[]string{manifestEntry, strings.Repeat("x", 3*maxText)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name+".jar")
			jarFile(t, path, c.comment, c.entries...)
			if got := types.jarType(path); got != c.want {
				t.Errorf("type %q, want %q", got, c.want)
			}
			// Cut short anywhere, it is some jar or none, and never a panic.
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; n < min(len(whole), 400); n++ {
				if err := os.WriteFile(path, whole[n:], 0o644); err != nil {
					t.Fatal(err)
				}
				types.jarType(path)
			}
		})
	}
	if got := types.jarType(filepath.Join(dir, "not there.jar")); got != "" {
		t.Errorf("of a missing file: %q", got)
	}
}

// told collects what Foreseen hears.
type told struct {
	mu    sync.Mutex
	calls [][]Foreseen
	file  string // written at each call, for a played Maven to see
}

func (o *told) hear(all []Foreseen) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, all)
	if err := os.WriteFile(o.file, nil, 0o644); err != nil {
		panic(err)
	}
}

// saidModule is the spy's line of a module that Spring Boot makes an
// application of, or not.
func saidModule(dir, artifact, repackage string) string {
	return fmt.Sprintf(`say '{"event":"project","group":"g","artifact":"%[2]s","version":"1","packaging":"jar","basedir":"%[1]s/%[2]s","build":"%[1]s/%[2]s/target","sources":[],"testSources":[],"releases":[17],"toolchain":false,"repackage":%[3]s}'`+"\n", dir, artifact, repackage)
}

func saidResolution(t *testing.T, s *shelf, artifact string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"event": "dependencies", "project": "g:" + artifact, "repository": s.root, "dependencies": s.all})
	if err != nil {
		t.Fatal(err)
	}
	// encoding/json sorts keys; the spy names the event first.
	line := `{"event":"dependencies",` + strings.Replace(strings.TrimPrefix(string(text), "{"), `"event":"dependencies",`, "", 1)
	return "say '" + line + "'\n"
}

// TestRunForetellsWhileMavenRuns has a Maven that waits until fastship has
// told; where nothing is to be told, it ends by itself.
func TestRunForetellsWhileMavenRuns(t *testing.T) {
	boot := `{"version":"4.1.2"}`
	waits := "i=0; while [ ! -e told ]; do i=$((i+1)); [ $i -gt 500 ] && { echo nobody told; exit 2; }; sleep 0.02; done\n"
	short := "sleep 0.2\n"
	for name, c := range map[string]struct {
		module string
		script func(dir string, resolved func(string) string) string
		want   int // libraries; 0: not told
	}{
		"one application": {"", func(dir string, resolved func(string) string) string {
			return saidModule(dir, "api", "null") + saidModule(dir, "web", boot) + resolved("web") + waits
		}, 2},
		"two applications": {"", func(dir string, resolved func(string) string) string {
			return saidModule(dir, "api", boot) + saidModule(dir, "web", boot) + resolved("api") + resolved("web") + short
		}, 0},
		"two, and one is asked for": {"web", func(dir string, resolved func(string) string) string {
			return saidModule(dir, "api", boot) + saidModule(dir, "web", boot) + resolved("api") + resolved("web") + waits
		}, 2},
		"the other one is resolved": {"web", func(dir string, resolved func(string) string) string {
			return saidModule(dir, "api", boot) + saidModule(dir, "web", boot) + resolved("api") + short
		}, 0},
		"repackage is skipped": {"", func(dir string, resolved func(string) string) string {
			return saidModule(dir, "web", `{"version":"4.1.2","skip":"true"}`) + resolved("web") + short
		}, 0},
		"of Quarkus": {"", func(dir string, resolved func(string) string) string {
			return saidModule(dir, "api", "null") + saidModule(dir, "web", `null,"quarkus":"3.20.0"`) + resolved("web") + waits
		}, 2},
		"no application": {"", func(dir string, resolved func(string) string) string {
			return saidModule(dir, "web", "null") + resolved("web") + short
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{root: t.TempDir()}
			s.add(t, "org.x:lib:1", "", nil)
			s.add(t, "org.x:more:1", "", nil)
			dir := files(t, "pom.xml", twoModules,
				"api/pom.xml", `<project><parent><groupId>g</groupId><artifactId>root</artifactId></parent><artifactId>api</artifactId></project>`,
				"web/pom.xml", `<project><parent><groupId>g</groupId><artifactId>root</artifactId></parent><artifactId>web</artifactId></project>`)
			o := &told{file: filepath.Join(dir, "told")}
			resolved := func(artifact string) string { return saidResolution(t, s, artifact) }
			step := played(t, Config{Dir: dir, Module: c.module}, c.script(dir, resolved)+"exit 1\n")
			step.deps.Foreseen = o.hear
			r := runStep(t, t.Context(), step)
			if fault.ClassOf(r.err) != fault.BuildFailed || strings.Contains(r.said(), "warning: watch") || strings.Contains(r.output(), "nobody told") {
				t.Errorf("%v\n%s\n%s", r.err, r.said(), r.output())
			}
			var got int
			for _, all := range o.calls {
				got += len(all)
			}
			if got != c.want || len(o.calls) > 1 {
				t.Errorf("told %v, want %d libraries at once", o.calls, c.want)
			}
		})
	}
}

// TestRunForetellsOnce has a Maven that asks for another one after it has
// resolved, so that it is started again.
func TestRunForetellsOnce(t *testing.T) {
	s := &shelf{root: t.TempDir()}
	s.add(t, "org.x:lib:1", "", nil)
	dir := files(t, "pom.xml", workshopPom)
	o := &told{file: filepath.Join(dir, "told")}
	script := saidModule(dir, "web", `{"version":"4.1.2"}`) + saidResolution(t, s, "web") +
		"echo started >> starts\nwhile [ ! -e told ]; do sleep 0.02; done; sleep 0.1\necho 'Error: Could not create the Java Virtual Machine.' >&2\nexit 1\n"
	step := played(t, Config{Dir: dir, Tune: TuneOn}, script)
	step.deps.Foreseen = o.hear
	r := runStep(t, t.Context(), step)
	starts, err := os.ReadFile(filepath.Join(dir, "starts"))
	if err != nil || len(strings.Fields(string(starts))) != 2 {
		t.Fatalf("Maven was to start twice: %q, %v\n%s\n%s", starts, err, r.said(), r.output())
	}
	if len(o.calls) != 1 || len(o.calls[0]) != 1 {
		t.Errorf("told %v", o.calls)
	}
}
