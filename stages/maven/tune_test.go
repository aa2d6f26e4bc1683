package maven

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// ends is the report of a session that made a jar.
func ends(file string) string {
	return `say '{"event":"ended","state":"ProjectSucceeded","project":"g:a","file":"` + file + `"}'` + "\n"
}

const lostVM = "Failed to execute goal maven-surefire-plugin: The forked VM terminated without properly saying goodbye. VM crash or System.exit called?"

// untunedOnly plays what fails in tuned JVMs alone.
func untunedOnly(failing string) string {
	return `case "$JAVA_TOOL_OPTIONS" in *TieredStopAtLevel*) ` + failing + ` exit 1;; esac` + "\n"
}

func TestTunedJVMThatDoesNotStartIsRetriedOnce(t *testing.T) {
	for name, failing := range map[string]string{
		"Maven's own": `echo 'Error occurred during initialization of VM' >&2; echo 'Multiple garbage collectors selected' >&2;`,
		"the tests'": mojo("MojoStarted", "maven-surefire-plugin", "test", "") + `echo '[ERROR] Multiple garbage collectors selected'
` + strings.TrimSpace(mojo("MojoFailed", "maven-surefire-plugin", "test", lostVM)) + ";",
		"the tests', without a word": mojo("MojoStarted", "maven-surefire-plugin", "test", "") + strings.TrimSpace(mojo("MojoFailed", "maven-surefire-plugin", "test", lostVM)) + ";",
		"a plug-in's":                `echo '[ERROR] Unrecognized VM option'; ` + strings.TrimSpace(mojo("MojoFailed", "exec-maven-plugin", "exec", "Command execution failed.")) + ";",
	} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, "pom.xml", "<project/>")
			file := jar(t, filepath.Join(dir, "target", "a-1.jar"), main)
			start := ""
			if name != "Maven's own" {
				start = started(dir, "17")
			}
			s := played(t, Config{Dir: dir}, start+untunedOnly(failing)+started(dir, "17")+ends(file))
			s.cores = 2
			r := runStep(t, t.Context(), s)
			if r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.said())
			}
			if n := strings.Count(r.said(), "Maven was started anew, untuned"); n != 1 {
				t.Errorf("retried %d times:\n%s", n, r.said())
			}
			r = runStep(t, t.Context(), s)
			if r.err != nil || strings.Contains(r.said(), "anew") || !strings.Contains(r.said(), "not tuned: a tuned JVM did not start") {
				t.Errorf("the next run: %v\n%s", r.err, r.said())
			}
		})
	}
}

func TestFailingTestsAreNotRepeated(t *testing.T) {
	dir := files(t, "pom.xml", "<project/>", "target/surefire-reports/TEST-com.example.PriceTest.xml", report)
	s := played(t, Config{Dir: dir}, started(dir, "17")+`echo run >> runs
echo 'Unrecognized VM option'
`+mojo("MojoStarted", "maven-surefire-plugin", "test", "")+mojo("MojoFailed", "maven-surefire-plugin", "test", "There are test failures.")+"exit 1\n")
	s.cores = 2
	r := runStep(t, t.Context(), s)
	mustFail(t, r.err, fault.TestsFailed, "PriceTest")
	if strings.Contains(r.said(), "anew") || !strings.Contains(r.said(), "maven.tune: off") {
		t.Errorf("said:\n%s", r.said())
	}
}

func TestFlagsThatAreNotToBlameAreKept(t *testing.T) {
	dir := files(t, "pom.xml", "<project/>")
	s := played(t, Config{Dir: dir}, "echo 'Unrecognized VM option x' >&2; exit 1\n")
	s.cores = 2
	for range 2 {
		r := runStep(t, t.Context(), s)
		mustFail(t, r.err, fault.BuildFailed, "Unrecognized VM option")
		if !strings.Contains(r.said(), "anew") {
			t.Errorf("said:\n%s", r.said())
		}
	}
}

func TestTuneIsSeenByMavenAndNotInTheLog(t *testing.T) {
	dir := files(t, "pom.xml", "<project/>")
	file := jar(t, filepath.Join(dir, "target", "a-1.jar"), main)
	script := `echo "Picked up JAVA_TOOL_OPTIONS: $JAVA_TOOL_OPTIONS" >&2
echo "[ERROR] Picked up JAVA_TOOL_OPTIONS: $JAVA_TOOL_OPTIONS"
echo "saw $JAVA_TOOL_OPTIONS"
` + started(dir, "17") + ends(file)
	for _, c := range []struct {
		tune, users, saw string
		cores, picked    int
	}{
		{"", "", "saw -XX:TieredStopAtLevel=1 -XX:+UseSerialGC", 2, 0},
		{"auto", "-Da=b", "saw -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Da=b", 4, 2},
		{"", "-Da=b", "saw -Da=b", 16, 2},
		{"off", "-Da=b", "saw -Da=b", 2, 2},
		{"on", "", "saw -XX:TieredStopAtLevel=1 -XX:+UseSerialGC", 16, 0},
		{"on", "-XX:+UseParallelGC", "saw -XX:TieredStopAtLevel=1 -XX:+UseParallelGC", 2, 2},
		{"on", "-XX:+UseParallelGC -Xint", "saw -XX:+UseParallelGC -Xint", 2, 2},
	} {
		s := played(t, Config{Dir: dir, Tune: c.tune}, script, "JAVA_TOOL_OPTIONS="+c.users)
		s.cores = c.cores
		r := runStep(t, t.Context(), s)
		var saw string
		picked := 0
		for _, l := range of[runner.Log](r) {
			if strings.HasPrefix(l.Line, "saw") {
				saw = l.Line
			} else if strings.HasSuffix(l.Line, "Picked up JAVA_TOOL_OPTIONS: "+c.users) {
				picked++
			} else {
				t.Errorf("%+v: the log has %q", c, l.Line)
			}
		}
		if r.err != nil || saw != c.saw || picked != c.picked {
			t.Errorf("%+v: %v, %q, %d lines on what was picked up", c, r.err, saw, picked)
		}
	}
}
