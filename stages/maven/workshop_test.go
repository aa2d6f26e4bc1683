package maven

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/runner"
)

// workshop is a project on a host whose mvn is a script: it makes a jar of all
// the project's files and of the variables named in vars, counts its starts,
// and tells what Maven's spy was seen to tell.
type workshop struct {
	dir, home, host, state, starts string
	cache                          *cache.Cache
	environ                        []string
	in                             In       // apart from Dir, Files and Read
	ignored                        []string // files that .gitignore names
}

const workshopPom = `<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version></project>`

// script's first line and the paths come from newWorkshop.
const script = `
say() { printf '%s\n' "$1" >> "$FASTSHIP_MAVEN_REPORT"; }
echo started >> "$STARTS"
mkdir -p target/surefire-reports
{
  find . -path ./target -prune -o -type f -print | sort | xargs cat
  echo "$STAMP $DECLARED"
} | sha256sum > target/sum
cat target/sum "$HOST/empty.jar" > target/a-1.jar
cp target/sum target/a-1-sources.jar
failed=0; [ -e src/FAIL ] && failed=1
echo "<testsuite tests='3' errors='0' failures='$failed' skipped='1'>$REPORTED<testcase classname='T' name='t'/></testsuite>" > target/surefire-reports/TEST-T.xml
say '{"event":"start","maven":"3.9.9","javaHome":"'$JAVA_HOME'","javaVersion":"17.0.1","javaMajor":17}'
say '{"event":"project","group":"g","artifact":"a","version":"1","packaging":"jar","basedir":"'$PWD'","build":"'$PWD'/target","sources":["'$PWD'/src"],"testSources":[],"releases":[17],"toolchain":false}'
say '{"event":"mojo","state":"MojoStarted","project":"g:a","plugin":"maven-surefire-plugin","goal":"test","time":0,"reports":"'$PWD'/target/surefire-reports"}'
say '{"event":"mojo","state":"MojoSucceeded","project":"g:a","plugin":"maven-surefire-plugin","goal":"test","time":0}'
[ -n "$PLUGIN" ] && say '{"event":"mojo","state":"MojoSucceeded","project":"g:a","plugin":"'$PLUGIN'","goal":"x","time":0}'
m2="$HOME/.m2/repository"
say '{"event":"resolved","id":"org.x:parent:pom:1","file":"'$m2'/org/x/parent/1/parent-1.pom"}'
say '{"event":"resolved","id":"org.x:lib:jar:1","file":"'$m2'/org/x/lib/1/lib-1.jar"}'
[ -n "$RESOLVED" ] && say "$RESOLVED"
say '{"event":"ended","state":"ProjectSucceeded","project":"g:a","file":"'$PWD'/target/a-1.jar","attached":[{"classifier":"sources","type":"jar","file":"'$PWD'/target/a-1-sources.jar"}],"classpath":[]}'
say '{"event":"end"}'
exit $failed
`

func newWorkshop(t testing.TB, project ...string) *workshop {
	t.Helper()
	w := &workshop{state: t.TempDir(), starts: filepath.Join(t.TempDir(), "starts"), in: In{Commit: "c", Branch: "main"}}
	w.cache = storeIn(t, t.TempDir())
	w.dir = files(t, append([]string{"pom.xml", workshopPom, "src/main/java/A.java", "class A {}", "README.md", "words", "docs/a.txt", "words"}, project...)...)
	w.host = files(t, "jdk/release", "JAVA_VERSION=\"17.0.1\"\n", "jdk/bin/java", "", "jdk/bin/javac", "", "maven/lib/maven-core-3.9.9.jar", "",
		"maven/bin/mvn", "#!/bin/sh\nSTARTS="+w.starts+script)
	for _, program := range []string{"jdk/bin/java", "jdk/bin/javac", "maven/bin/mvn"} {
		if err := os.Chmod(filepath.Join(w.host, program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	jar(t, filepath.Join(w.host, "empty.jar"), main)
	w.moveTo(files(t,
		".m2/repository/org/x/parent/1/parent-1.pom", "<project/>",
		".m2/repository/org/x/parent/1/_remote.repositories", "parent-1.pom>central=\n",
		".m2/repository/org/x/lib/1/lib-1.jar", "lib",
		".m2/repository/org/x/lib/1/_remote.repositories", "lib-1.jar>central=\n"))
	return w
}

// moveTo gives the user another home folder.
func (w *workshop) moveTo(home string) {
	w.home = home
	w.environ = []string{"PATH=" + filepath.Join(w.host, "maven", "bin") + ":/usr/bin:/bin", "JAVA_HOME=" + filepath.Join(w.host, "jdk"), "HOME=" + home, "HOST=" + w.host}
}

// put writes a file below the project, or an absolute one.
func (w *workshop) put(t testing.TB, name, text string) {
	t.Helper()
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(w.dir, filepath.FromSlash(name))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (w *workshop) remove(t testing.TB, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(w.dir, filepath.FromSlash(name))); err != nil {
		t.Fatal(err)
	}
}

// list are the project's files, as the source stage lists them.
func list(t testing.TB, dir string) []File {
	t.Helper()
	var all []File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "target" {
				return filepath.SkipDir
			}
			return nil
		}
		rel, _ := filepath.Rel(dir, path)
		f := File{Path: filepath.ToSlash(rel), Mode: "100644"}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var text []byte
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			var to string
			to, err = os.Readlink(path)
			f.Mode, text = "120000", []byte(to)
		case info.Mode()&0o100 != 0:
			f.Mode = "100755"
			fallthrough
		default:
			text, err = os.ReadFile(path)
		}
		sum := sha256.Sum256(text)
		f.ID = hex.EncodeToString(sum[:])
		all = append(all, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (w *workshop) step(c Config, environ ...string) *Step {
	c.Dir = w.dir
	if c.Tune == "" {
		c.Tune = "off"
	}
	return New(c, Deps{Environ: append(w.environ[:len(w.environ):len(w.environ)], environ...), Home: w.home, Cache: w.cache, State: w.state, Explain: true})
}

// run runs the job and tells whether Maven was started.
func (w *workshop) run(t testing.TB, c Config, environ ...string) (r run, started bool) {
	t.Helper()
	before, _ := os.ReadFile(w.starts)
	var mu sync.Mutex
	emit := func(e runner.Body) {
		mu.Lock()
		defer mu.Unlock()
		r.events = append(r.events, e)
	}
	time.Sleep(25 * time.Millisecond) // the kernel stamps what was just written within the clock's tick
	in := w.in
	in.Dir, in.Read = w.dir, time.Now()
	in.Files = slices.DeleteFunc(list(t, w.dir), func(f File) bool { return slices.Contains(w.ignored, f.Path) })
	result, err := w.step(c, environ...).Run(t.Context(), runner.Env{Emit: emit, Background: inline}, in)
	r.out, r.err = result.Out, err
	after, _ := os.ReadFile(w.starts)
	started = len(after) > len(before)
	if started == (result.Status == runner.Cached) {
		t.Errorf("status %q and started %v", result.Status, started)
	}
	return r, started
}

// builds and skips run the job, which must or must not start Maven.
func (w *workshop) builds(t testing.TB, what string, c Config, environ ...string) run {
	t.Helper()
	return w.want(t, what, true, c, environ...)
}

func (w *workshop) skips(t testing.TB, what string, c Config, environ ...string) run {
	t.Helper()
	return w.want(t, what, false, c, environ...)
}

func (w *workshop) want(t testing.TB, what string, starts bool, c Config, environ ...string) run {
	t.Helper()
	r, started := w.run(t, c, environ...)
	if r.err != nil {
		t.Fatalf("%s: %v\n%s\n%s", what, r.err, r.output(), r.said())
	}
	if started != starts {
		t.Errorf("%s: Maven started: %v, want %v\n%s", what, started, starts, r.said())
	}
	return r
}

func storeIn(t testing.TB, root string) *cache.Cache {
	t.Helper()
	store, err := dir.Open(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { t.Log("cache:", err) }}
}
