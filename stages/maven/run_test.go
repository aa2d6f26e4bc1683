package maven

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// played is a step whose Maven is a script: it plays what Mavens were heard
// to say. In the script, say appends a line to the spy's report.
func played(t *testing.T, c Config, script string, environ ...string) *Step {
	t.Helper()
	s := bare(t, c, environ...)
	bin := t.TempDir()
	text := "#!/bin/sh\nsay() { printf '%s\\n' \"$1\" >> \"$FASTSHIP_MAVEN_REPORT\"; }\n" + script
	if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	s.deps.Environ = append(s.deps.Environ, "PATH="+bin+":/usr/bin:/bin")
	return s
}

// started is the report of a session in dir that has begun.
func started(dir string, releases string) string {
	return fmt.Sprintf(`say '{"event":"start","maven":"3.9.9","javaHome":"/jdk/jre","javaVersion":"17.0.1","javaMajor":17}'
say '{"event":"project","group":"g","artifact":"a","version":"1","packaging":"jar","basedir":"%[1]s","build":"%[1]s/target","sources":["%[1]s/src/main/java"],"testSources":["%[1]s/src/test/java"],"releases":[%[2]s],"toolchain":false}'
`, dir, releases)
}

func mojo(state, plugin, goal, failure string) string {
	text := fmt.Sprintf(`{"event":"mojo","state":"%s","project":"g:a","plugin":"%s","goal":"%s","time":0`, state, plugin, goal)
	if failure != "" {
		text += `,"error":["x.LifecycleExecutionException: ` + failure + `"]`
	}
	return "say '" + text + "}'\n"
}

const report = `<testsuite tests="3" errors="0" failures="1" skipped="1"><testcase classname="com.example.PriceTest" name="total">
<failure message="expected 3 but was 4">at com.example.PriceTest.total(PriceTest.java:7)</failure></testcase></testsuite>`

func TestRunPlayed(t *testing.T) {
	failedTests := "Failed to execute goal org.apache.maven.plugins:maven-surefire-plugin:3.6.1:test (default-test) on project a: There are test failures."
	crash := "Failed to execute goal org.apache.maven.plugins:maven-surefire-plugin:3.6.1:test (default-test) on project a: The forked VM terminated without properly saying goodbye. VM crash or System.exit called?"
	for name, c := range map[string]struct {
		script func(dir string) string
		class  fault.Class
		want   []string
		tests  runner.Tests
	}{
		"tests failed": {func(dir string) string {
			return started(dir, "17") + mojo("MojoStarted", "maven-surefire-plugin", "test", "") + mojo("MojoFailed", "maven-surefire-plugin", "test", failedTests) + "exit 1\n"
		}, fault.TestsFailed, []string{"PriceTest.total: expected 3 but was 4", "see src/test/java/com/example/PriceTest.java:7"}, runner.Tests{Run: 3, Failed: 1, Skipped: 1}},
		"integration tests failed": {func(dir string) string {
			return started(dir, "17") + "mv target/surefire-reports target/failsafe-reports\n" + mojo("MojoStarted", "maven-failsafe-plugin", "integration-test", "") + mojo("MojoFailed", "maven-failsafe-plugin", "verify", failedTests) + "exit 1\n"
		}, fault.TestsFailed, []string{"PriceTest.total: expected 3 but was 4"}, runner.Tests{Run: 3, Failed: 1, Skipped: 1}},
		"the tests' JVM crashed": {func(dir string) string {
			return started(dir, "17") + "rm -r target\n" + mojo("MojoStarted", "maven-surefire-plugin", "test", "") + mojo("MojoFailed", "maven-surefire-plugin", "test", crash) + "exit 1\n"
		}, fault.BuildFailed, []string{"maven-surefire-plugin:test in a: The forked VM terminated without properly saying goodbye"}, runner.Tests{}},
		"a plug-in failed after ignored tests": {func(dir string) string {
			return started(dir, "17") + mojo("MojoStarted", "maven-surefire-plugin", "test", "") + mojo("MojoSucceeded", "maven-surefire-plugin", "test", "") +
				mojo("MojoFailed", "maven-checkstyle-plugin", "check", "Failed to execute goal org.apache.maven.plugins:maven-checkstyle-plugin:3.6.0:check (default) on project a: You have 2 Checkstyle violations.") + "exit 1\n"
		}, fault.BuildFailed, []string{"maven-checkstyle-plugin:check in a: You have 2 Checkstyle violations."}, runner.Tests{Run: 3, Failed: 1, Skipped: 1}},
		"nothing said": {func(string) string { return "exit 7\n" }, fault.BuildFailed, []string{"Maven ended with exit code 7"}, runner.Tests{}},
		"killed":       {func(string) string { return "kill -9 $$\n" }, fault.BuildFailed, []string{"signal 9 (killed)"}, runner.Tests{}},
		"the JVM does not start": {func(string) string {
			return "echo 'Picked up JAVA_TOOL_OPTIONS: -Xx' >&2; echo \"Unrecognized VM option 'NoSuchFlag'\" >&2; exit 1\n"
		}, fault.BuildFailed, []string{"Unrecognized VM option 'NoSuchFlag'", "MAVEN_OPTS"}, runner.Tests{}},
		"the spy was not loaded": {func(string) string { return "exit 0\n" }, fault.BuildFailed, []string{"reported no project"}, runner.Tests{}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, "pom.xml", "<project/>", "target/surefire-reports/TEST-com.example.PriceTest.xml", report, "src/test/java/com/example/PriceTest.java", "")
			r := runStep(t, t.Context(), played(t, Config{Dir: dir}, c.script(dir)))
			mustFail(t, r.err, c.class, c.want...)
			if r.out.Tests != c.tests {
				t.Errorf("tests %+v, want %+v", r.out.Tests, c.tests)
			}
		})
	}
}

func TestRunPlayedSuccess(t *testing.T) {
	dir := files(t, "pom.xml", "<project/>", "target/surefire-reports/TEST-com.example.PriceTest.xml", report)
	file := jar(t, filepath.Join(dir, "target", "a-1.jar"), main)
	script := started(dir, "8, 17") + mojo("MojoStarted", "maven-surefire-plugin", "test", "") +
		`say '{"event":"ended","state":"ProjectSucceeded","project":"g:a","file":"` + file + `","classpath":[{"group":"org.slf4j","artifact":"slf4j-api","version":"2-SNAPSHOT","file":"/m2/slf4j-api-2-2026.jar"}]}'
echo "JAVA_HOME=$JAVA_HOME halt=$FASTSHIP_MAVEN_HALT args=$*"
`
	r := runStep(t, t.Context(), played(t, Config{Dir: dir}, script, "MAVEN_OPTS=-Dmaven.ext.class.path=/users.jar"))
	if r.err != nil {
		t.Fatal(r.err)
	}
	o := r.out
	if o.Jar.Name != file || o.GroupID != "g" || o.ArtifactID != "a" || o.Version != "1" || o.Packaging != "jar" || o.JavaHome != "/jdk" || o.JavaMajor != 17 || o.Release != 17 || o.Maven != "3.9.9" {
		t.Errorf("out %+v", o)
	}
	if len(o.Libraries) != 1 || o.Libraries[0] != (Library{File: "slf4j-api-2-2026.jar", Group: "org.slf4j", Name: "slf4j-api", Version: "2-SNAPSHOT"}) {
		t.Errorf("libraries %+v", o.Libraries)
	}
	if !strings.Contains(r.said(), "warning: 1 of 3 tests failed, and the build is told to ignore that") {
		t.Errorf("said:\n%s", r.said())
	}
	log := r.output()
	if !strings.Contains(log, "JAVA_HOME="+s(r, "/jdk")) || !strings.Contains(log, "halt=releases,java,maven") || !strings.Contains(log, " package -Dmaven.ext.class.path=/users.jar:") {
		t.Errorf("Maven was started with %s", log)
	}
}

// s is the JDK that the note names, which ends in suffix.
func s(r run, suffix string) string {
	_, after, _ := strings.Cut(r.said(), " in ")
	home, _, _ := strings.Cut(after, suffix)
	return home + suffix
}

func TestRunPlayedOnAnotherJDK(t *testing.T) {
	dir := files(t, "pom.xml", "<project/>")
	file := jar(t, filepath.Join(dir, "target", "a-1.jar"), main)
	newer := files(t, "release", "JAVA_VERSION=\"21.0.4\"\n", "bin/java", "", "bin/javac", "")
	for _, tool := range []string{"java", "javac"} {
		if err := os.Chmod(filepath.Join(newer, "bin", tool), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := started(dir, "21") + `
case $FASTSHIP_MAVEN_HALT in releases*) say '{"event":"unfit"}'; exit 86;; esac
say '{"event":"ended","state":"ProjectSucceeded","project":"g:a","file":"` + file + `"}'
`
	r := runStep(t, t.Context(), played(t, Config{Dir: dir}, script, "JAVA_HOME_21_X64="+newer))
	if r.err != nil {
		t.Fatal(r.err)
	}
	if !strings.Contains(r.said(), "note: Maven was started anew on JDK 21.0.4 in "+newer) ||
		!strings.Contains(r.said(), "warning: Maven ran on /jdk/jre and not on JDK 21.0.4") { // the script says so both times
		t.Errorf("said:\n%s", r.said())
	}
}

// BenchmarkRun is the stage's own time around a Maven that takes none, a
// shell's start included.
func BenchmarkRun(b *testing.B) {
	host := b.TempDir()
	write := func(name, text string) {
		path := filepath.Join(host, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	write("project/pom.xml", "<project/>")
	write("project/target/a.war", strings.Repeat("x", 60<<20)) // the size of a Spring Boot service
	write("jdk/release", "JAVA_VERSION=\"17.0.1\"\n")
	write("jdk/bin/java", "")
	write("jdk/bin/javac", "")
	dir := filepath.Join(host, "project")
	write("bin/mvn", "#!/bin/sh\nsay() { printf '%s\\n' \"$1\" >> \"$FASTSHIP_MAVEN_REPORT\"; }\n"+started(dir, "17")+
		`say '{"event":"ended","state":"ProjectSucceeded","project":"g:a","file":"`+dir+`/target/a.war"}'`+"\n")
	s := New(Config{Dir: dir}, Deps{Cache: memory(), Environ: []string{"PATH=" + host + "/bin:/usr/bin:/bin", "JAVA_HOME=" + host + "/jdk"}})
	for b.Loop() {
		if _, err := s.Run(b.Context(), runner.Env{Emit: func(runner.Body) {}, Background: inline}, In{Dir: dir}); err != nil {
			b.Fatal(err)
		}
	}
}
