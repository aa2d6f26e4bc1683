package maven

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// jdkAbove17 skips a test where Java 17 is all there is, or is not on PATH.
func jdkAbove17(t *testing.T) mvn.JDK {
	t.Helper()
	h := mvn.Host{Environ: os.Environ(), Home: os.Getenv("HOME")}
	var newer mvn.JDK
	for j := range h.JDKs(t.Context()) {
		if (j.Found == "JAVA_HOME" || j.Found == "PATH") && j.Major >= 21 {
			t.Skipf("the host's own JDK is %s already", j.Version)
		}
		if j.Major >= 21 && j.Javac {
			newer = j
		}
	}
	if newer.Home == "" {
		t.Skip("no JDK 21 or newer is installed")
	}
	return newer
}

// release21 asks for Java 21 where fastship's own reading of the poms cannot
// see it: in the configuration of an execution.
func release21() string {
	return strings.NewReplacer(
		"<maven.compiler.release>17</maven.compiler.release>", "",
		"<maven.compiler.source>17</maven.compiler.source>", "",
		"<maven.compiler.target>17</maven.compiler.target>", "",
	).Replace(pom(`<build><plugins>
<plugin><artifactId>maven-compiler-plugin</artifactId><version>3.13.0</version>
<executions><execution><id>default-compile</id><configuration><release>21</release></configuration></execution></executions></plugin>
<plugin><artifactId>maven-jar-plugin</artifactId><version>3.4.2</version>
<configuration><archive><manifest><mainClass>com.example.Main</mainClass></manifest></archive></configuration></plugin>
</plugins></build>`))
}

func TestRunStartsAnewOnTheJDKThatMavenAsksFor(t *testing.T) {
	needMaven(t)
	newer := jdkAbove17(t)
	for maven, path := range mavens(t) {
		t.Run(maven, func(t *testing.T) {
			dir := files(t, "pom.xml", release21(), "src/main/java/com/example/Main.java", mainJava)
			s := step(t, Config{Dir: dir}, "PATH="+path)
			r := runStep(t, t.Context(), s)
			if r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.output())
			}
			if r.out.JavaMajor != newer.Major || r.out.Release != 21 {
				t.Errorf("ran on %d for %d, want %d for 21", r.out.JavaMajor, r.out.Release, newer.Major)
			}
			if !strings.Contains(r.said(), "Maven was started anew on JDK "+newer.Version) || !strings.Contains(r.said(), "the project asks for Java 21") {
				t.Errorf("said:\n%s", r.said())
			}
			if n := strings.Count(r.output(), ":compile (default-compile)"); n != 1 {
				t.Errorf("the compiler was started %d times:\n%s", n, r.output())
			}
			if p, err := s.Plan(t.Context(), In{}); err != nil || !strings.HasPrefix(p.Lines[2], "on JDK "+newer.Version) {
				t.Errorf("the next run has forgotten: %q, %v", p.Lines, err)
			}
		})
	}
}

func TestRunFindsNoJDKForWhatMavenAsks(t *testing.T) {
	needMaven(t)
	dir := files(t, "pom.xml", strings.Replace(release21(), "21", "99", 1), "src/main/java/com/example/Main.java", mainJava)
	r := runStep(t, t.Context(), step(t, Config{Dir: dir}))
	mustFail(t, r.err, fault.Missing, "find a JDK for Java 99: found ", "install a JDK 99 or newer")
	if _, err := os.Stat(filepath.Join(dir, "target")); !os.IsNotExist(err) {
		t.Errorf("Maven did some work: %v", err)
	}
}
