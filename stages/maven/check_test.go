package maven

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

// bare is a step on a machine with one JDK 17 and a Maven 3.9.9, none of
// which can be started.
func bare(t *testing.T, c Config, environ ...string) *Step {
	t.Helper()
	host := files(t,
		"jdk/release", "JAVA_VERSION=\"17.0.1\"\n", "jdk/bin/java", "", "jdk/bin/javac", "",
		"maven/bin/mvn", "", "maven/lib/maven-core-3.9.9.jar", "", "home/x", "")
	for _, program := range []string{"jdk/bin/java", "jdk/bin/javac", "maven/bin/mvn"} {
		if err := os.Chmod(filepath.Join(host, program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	environ = append([]string{"PATH=" + filepath.Join(host, "maven", "bin"), "JAVA_HOME=" + filepath.Join(host, "jdk")}, environ...)
	return New(c, Deps{Environ: environ, Home: filepath.Join(host, "home"), Cache: memory()})
}

const twoModules = `<project><groupId>g</groupId><artifactId>root</artifactId><packaging>pom</packaging>
<modules><module>api</module><module>web</module></modules></project>`

func module(name string) string {
	return `<project><parent><groupId>g</groupId><artifactId>root</artifactId></parent><artifactId>` + name + `</artifactId></project>`
}

func TestCheckFindsBadInput(t *testing.T) {
	for name, c := range map[string]struct {
		files  []string
		config Config
		class  fault.Class
		want   []string
	}{
		"no pom":             {[]string{"README.md", ""}, Config{}, fault.BadInput, []string{"no pom.xml in DIR", "run fastship in the folder that holds the pom.xml"}},
		"pom further down":   {[]string{"services/orders/pom.xml", "", "web/pom.xml", ""}, Config{}, fault.BadInput, []string{"no pom.xml in DIR", "name the project's folder: web, services/orders"}},
		"Gradle":             {[]string{"build.gradle.kts", ""}, Config{}, fault.BadInput, []string{"no pom.xml but a build.gradle.kts", "Gradle projects are not supported"}},
		"pom is a folder":    {[]string{"pom.xml/x", ""}, Config{}, fault.BadInput, []string{"DIR/pom.xml: it is a folder"}},
		"not XML":            {[]string{"pom.xml", "project:\n"}, Config{}, fault.BadInput, []string{"DIR/pom.xml:1:1: not a pom"}},
		"broken module":      {[]string{"pom.xml", twoModules, "api/pom.xml", module("api"), "web/pom.xml", "<project>\n<a></project>"}, Config{}, fault.BadInput, []string{"DIR/web/pom.xml:2:"}},
		"absent module":      {[]string{"pom.xml", twoModules, "api/pom.xml", module("api")}, Config{}, fault.BadInput, []string{"DIR/pom.xml names a module whose pom is not there: DIR/web/pom.xml"}},
		"unknown module":     {[]string{"pom.xml", twoModules, "api/pom.xml", module("api"), "web/pom.xml", module("web-app")}, Config{Module: "webapp"}, fault.BadInput, []string{`maven.module "webapp"`, "api (api), web (web-app)"}},
		"no settings":        {[]string{"pom.xml", "<project/>"}, Config{Settings: "ci/settings.xml"}, fault.BadInput, []string{"maven.settings", "DIR/ci/settings.xml"}},
		"settings, a folder": {[]string{"pom.xml", "<project/>", "ci/x", ""}, Config{Settings: "ci"}, fault.BadInput, []string{"DIR/ci is a folder"}},
		"no JDK": {[]string{"pom.xml", "<project><properties><maven.compiler.release>99</maven.compiler.release></properties></project>"}, Config{}, fault.Missing,
			[]string{"a JDK for Java 99", "17.0.1 in ", "(JAVA_HOME)", "install a JDK 99 or newer"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Dir = files(t, c.files...)
			for i, w := range c.want {
				c.want[i] = strings.ReplaceAll(w, "DIR", c.config.Dir)
			}
			mustFail(t, bare(t, c.config).Check(t.Context()), c.class, c.want...)
		})
	}
	mustFail(t, bare(t, Config{Dir: filepath.Join(t.TempDir(), "gone")}).Check(t.Context()), fault.BadInput, "gone is not a folder")
}

func TestPlanTellsTheCommandLine(t *testing.T) {
	dir := files(t, "pom.xml", twoModules, "api/pom.xml", module("api"), "web/pom.xml", module("web-app"), "ci/settings.xml", "<settings/>")
	for name, c := range map[string]struct {
		config  Config
		environ []string
		want    string
	}{
		"plain":  {Config{}, nil, "run mvn -B --no-transfer-progress package in " + dir},
		"module": {Config{Module: "web-app"}, nil, "run mvn -B --no-transfer-progress -pl web -am package in " + dir},
		"all": {Config{Goals: []string{"clean", "verify"}, Module: "web", Profiles: []string{"ci", "!slow"}, Args: []string{"-Dname=a b", "-T4"}, Settings: "ci/settings.xml"}, nil,
			"run mvn -B --no-transfer-progress -s " + dir + "/ci/settings.xml -P 'ci,!slow' -pl web -am '-Dname=a b' -T4 clean verify in " + dir},
		"own projects": {Config{Module: "web", Args: []string{"-pl", "web,api"}}, nil, "run mvn -B --no-transfer-progress -pl web,api package in " + dir},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Dir = dir
			p, err := bare(t, c.config, c.environ...).Plan(t.Context(), In{})
			if err != nil {
				t.Fatal(err)
			}
			if p.Lines[0] != c.want {
				t.Errorf("got  %s\nwant %s", p.Lines[0], c.want)
			}
			if p.Lines[1] != "with Maven 3.9.9 from PATH" || !strings.HasPrefix(p.Lines[2], "on JDK 17.0.1 in ") {
				t.Errorf("lines %q", p.Lines[1:])
			}
			if p.Out.Maven != "3.9.9" || p.Out.JavaMajor != 17 || strings.Join(p.Out.ReactorIDs, " ") != "g:root g:api g:web-app" {
				t.Errorf("out %+v", p.Out)
			}
		})
	}
}

func TestPlanOfAHostWithoutMaven(t *testing.T) {
	s := bare(t, Config{Dir: files(t, "pom.xml", "<project/>")}, "PATH=")
	p, err := s.Plan(t.Context(), In{})
	if err != nil || p.Lines[1] != "with Maven 3.9.16 from Maven's distribution, pinned by fastship" {
		t.Errorf("%q, %v", p.Lines, err)
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := bare(t, Config{Dir: files(t, "pom.xml", "<project><properties><maven.compiler.release>99</maven.compiler.release></properties></project>")}).Check(ctx)
	if err != context.Canceled {
		t.Errorf("error %v", err)
	}
}
