package maven

import (
	"archive/zip"
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
)

// saying is a Maven that only reports a project with a rule on Maven's version,
// and ends there as the spy would when it does not meet the rule.
func saying(version, rule string, meets bool) string {
	unfit := ""
	if !meets {
		unfit = `case ",$FASTSHIP_MAVEN_HALT," in *,maven,*) echo '{"event":"unfit"}' >>"$FASTSHIP_MAVEN_REPORT"; exit 86;; esac`
	}
	return fmt.Sprintf(`#!/bin/sh
cat >>"$FASTSHIP_MAVEN_REPORT" <<'END'
{"event":"start","maven":%q,"javaMajor":17}
{"event":"rule","on":"maven","version":%q,"from":"com.corp:parent:7"}
{"event":"project","group":"g","artifact":"a","version":"1","packaging":"pom","releases":[]}
END
%s
echo "works as %s in $MAVEN_HOME with $*"
exit 1
`, version, rule, unfit, version)
}

// central serves one release of Maven, and counts the requests.
func central(t *testing.T, version, script string) (settings string, asked *atomic.Int32) {
	t.Helper()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	h := &zip.FileHeader{Name: "apache-maven-" + version + "/bin/mvn"}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write([]byte(script))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	path := "/org/apache/maven/apache-maven/" + version + "/apache-maven-" + version + "-bin.zip"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case path:
			_, _ = w.Write(archive.Bytes())
		case path + ".sha512":
			sum := sha512.Sum512(archive.Bytes())
			_, _ = w.Write([]byte(hex.EncodeToString(sum[:])))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return `<settings><mirrors><mirror><id>loopback</id><mirrorOf>central</mirrorOf><url>` + server.URL + `</url></mirror></mirrors></settings>`, asked
}

// scripted is a step whose Maven 3.9.9 on PATH is a script.
func scripted(t *testing.T, c Config, script string) *Step {
	t.Helper()
	s := bare(t, c)
	bin, _, _ := strings.Cut(strings.TrimPrefix(s.deps.Environ[0], "PATH="), ":")
	if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s.deps.Environ = append(s.deps.Environ, "PATH="+bin+":/usr/bin:/bin")
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.deps.Cache = &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { t.Errorf("cache: %v", err) }}
	return s
}

func TestARemoteParentsRuleBringsAnotherMaven(t *testing.T) {
	const rule = "[3.5.4,3.6)"
	settings, asked := central(t, "3.5.4", saying("3.5.4", rule, true))
	c := Config{Dir: files(t, "pom.xml", "<project/>", "settings.xml", settings), Settings: "settings.xml"}
	s := scripted(t, c, saying("3.9.9", rule, false))
	r := runStep(t, t.Context(), s)
	const why = "Maven 3.5.4 from Maven's distribution: com.corp:parent:7 wants Maven [3.5.4,3.6), and PATH has 3.9.9"
	if !strings.Contains(r.said(), "note: Maven was started anew as "+why+", on JDK 17.0.1") || asked.Load() != 2 {
		t.Errorf("%d requests; said\n%s", asked.Load(), r.said())
	}
	if out := r.output(); strings.Contains(out, "works as 3.9.9") || strings.Count(out, "works as 3.5.4 in ") != 1 || strings.Contains(out, noProgress) || !strings.Contains(out, "-B -s ") {
		t.Errorf("output\n%s", out)
	}
	// The next run, or a plan, knows.
	if p, err := s.Plan(t.Context(), In{}); err != nil || p.Lines[1] != "with "+why {
		t.Errorf("plan %q, %v", p.Lines, err)
	}
	r = runStep(t, t.Context(), s)
	if strings.Contains(r.said(), "anew") || !strings.Contains(r.output(), "works as 3.5.4") || asked.Load() != 2 {
		t.Errorf("the second run, %d requests, said\n%s\n%s", asked.Load(), r.said(), r.output())
	}
}

func TestARuleThatCannotBeMetIsThePluginsToTell(t *testing.T) {
	const rule = "[3.5.4,3.6)"
	gone := httptest.NewServer(nil)
	gone.Close()
	settings := `<settings><mirrors><mirror><id>loopback</id><mirrorOf>central</mirrorOf><url>` + gone.URL + `</url></mirror></mirrors></settings>`
	c := Config{Dir: files(t, "pom.xml", "<project/>", "settings.xml", settings), Settings: "settings.xml"}
	r := runStep(t, t.Context(), scripted(t, c, saying("3.9.9", rule, false)))
	if !strings.Contains(r.said(), "; going on with Maven 3.9.9") || strings.Count(r.output(), "works as 3.9.9") != 1 {
		t.Errorf("out of reach:\n%s\n%s", r.said(), r.output())
	}
	c.Settings = ""
	for name, s := range map[string]*Step{
		"no release does": scripted(t, c, saying("3.9.9", "[99,)", false)),
		"chosen":          scripted(t, Config{Dir: c.Dir, Version: "3.9.9"}, saying("3.9.9", rule, false)),
	} {
		// Known or not, Maven goes on, and is not started twice the second time.
		for run := range 2 {
			r := runStep(t, t.Context(), s)
			if n := strings.Count(r.output(), "works as 3.9.9"); n != 1 {
				t.Errorf("%s: Maven worked %d times", name, n)
			}
			if run == 1 && (strings.Contains(r.said(), "anew") || !strings.Contains(r.said(), "that rule will end")) {
				t.Errorf("%s, again: said\n%s", name, r.said())
			}
		}
	}
}

func TestAPluginsDemandBringsANewerMaven(t *testing.T) {
	const died = `{"event":"error","error":["org.apache.maven.lifecycle.LifecycleExecutionException: The plugin g:p-maven-plugin:4.0.0 requires Maven version 4.0.0-rc-2","org.apache.maven.plugin.PluginIncompatibleException: The plugin g:p-maven-plugin:4.0.0 requires Maven version 4.0.0-rc-2"]}`
	settings, asked := central(t, "4.0.0-rc-4", saying("4.0.0-rc-4", "[3,)", true))
	dir := files(t, "pom.xml", "<project/>", "settings.xml", settings)
	old := strings.Replace(saying("3.9.9", "[3,)", true), `{"event":"project"`, died+"\n"+`{"event":"project"`, 1)
	s := scripted(t, Config{Dir: dir, Settings: "settings.xml"}, old)
	for run := range 3 { // the newer one says nothing of the plug-in: that is kept
		r := runStep(t, t.Context(), s)
		anew := strings.Contains(r.said(), "Maven was started anew as Maven 4.0.0-rc-4 from Maven's distribution: g:p-maven-plugin:4.0.0 wants Maven 4.0.0-rc-2, and PATH has 3.9.9")
		if anew != (run == 0) || strings.Count(r.output(), "works as 4.0.0-rc-4") != 1 || strings.Contains(r.output(), "works as 3.9.9") != (run == 0) || asked.Load() != 2 {
			t.Errorf("run %d, %d requests, said\n%s\n%s", run, asked.Load(), r.said(), r.output())
		}
	}
	// Once a mojo has run, work would be done twice: the next run is the better one.
	late := strings.Replace(old, died, died+"\n"+`{"event":"mojo","state":"MojoStarted","project":"g:a"}`, 1)
	s = scripted(t, Config{Dir: dir, Settings: "settings.xml"}, late)
	for run := range 2 {
		r := runStep(t, t.Context(), s)
		if strings.Contains(r.said(), "anew") || strings.Contains(r.output(), "works as 4.0.0-rc-4") != (run == 1) {
			t.Errorf("late, run %d said\n%s\n%s", run, r.said(), r.output())
		}
	}
}

func TestANewerModelBringsMaven4(t *testing.T) {
	dir := files(t, "pom.xml", "<project><modelVersion>4.1.0</modelVersion></project>")
	p, err := bare(t, Config{Dir: dir}).Plan(t.Context(), In{})
	if err != nil || !strings.HasPrefix(p.Lines[1], "with Maven 4.0.0-rc-4 from Maven's distribution: "+dir+"/pom.xml wants Maven 4.0.0-rc-1 for its model 4.1.0, and PATH has 3.9.9") {
		t.Errorf("%q, %v", p.Lines, err)
	}
}

// TestSkipAfterMavenWasStartedAnew keeps the job under the JDK that it was
// done on, so that the very next run is spared, and another host's too.
func TestSkipAfterMavenWasStartedAnew(t *testing.T) {
	w := newWorkshop(t)
	newer := files(t, "release", "JAVA_VERSION=\"21.0.4\"\n", "bin/java", "", "bin/javac", "")
	for _, tool := range []string{"java", "javac"} {
		if err := os.Chmod(filepath.Join(newer, "bin", tool), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const rule = `
say() { printf '%s\n' "$1" >> "$FASTSHIP_MAVEN_REPORT"; }
say '{"event":"rule","on":"java","version":"[21,)","from":"com.corp:parent:7"}'
case ",$FASTSHIP_MAVEN_HALT,$JAVA_HOME" in *,java,*/jdk)
  say '{"event":"project","group":"g","artifact":"a","version":"1","packaging":"jar","releases":[17]}'
  say '{"event":"unfit"}'; exit 86;;
esac
`
	w.put(t, filepath.Join(w.host, "maven", "bin", "mvn"), "#!/bin/sh\nSTARTS="+w.starts+rule+strings.Replace(script, `"javaMajor":17`, `"javaMajor":21`, 1))
	w.environ = append(w.environ, "JAVA_HOME_21_X64="+newer)
	r := w.builds(t, "first", Config{})
	if !strings.Contains(r.said(), "Maven was started anew on JDK 21.0.4") || !strings.Contains(r.said(), "com.corp:parent:7 wants Java [21,)") {
		t.Errorf("said\n%s", r.said())
	}
	w.skips(t, "the same again", Config{})
}
