package maven

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// TestSkipFollowsEveryPartOfTheKey changes one thing at a time: Maven starts
// and --explain names it; changed back, Maven is skipped again.
func TestSkipFollowsEveryPartOfTheKey(t *testing.T) {
	w := newWorkshop(t, "conf/a.properties", "a", "pom.xml", strings.Replace(workshopPom, "</project>",
		"<!-- ${env.STAMP} --><profiles><profile><activation><file><exists>${user.home}/switch</exists></file></activation></profile></profiles></project>", 1))
	host := func(name string) string { return filepath.Join(w.host, filepath.FromSlash(name)) }
	home := func(name string) string { return filepath.Join(w.home, filepath.FromSlash(name)) }
	chmod := func(mode fs.FileMode) func() error {
		return func() error { return os.Chmod(filepath.Join(w.dir, "conf", "a.properties"), mode) }
	}
	write := func(path, text string) func() error {
		return func() error {
			if !filepath.IsAbs(path) {
				path = filepath.Join(w.dir, filepath.FromSlash(path))
			}
			return os.WriteFile(path, []byte(text), 0o644)
		}
	}
	remove := func(path string) func() error {
		return func() error { return os.Remove(filepath.Join(w.dir, filepath.FromSlash(path))) }
	}
	removeHome := func(path string) func() error { return func() error { return os.Remove(home(path)) } }
	for _, dir := range []string{filepath.Join(w.dir, ".mvn"), host("maven/conf")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mirror := func(url, password string) string {
		return "<settings><mirrors><mirror><id>m</id><url>" + url + "</url></mirror></mirrors><servers><server><id>m</id><password>" + password + "</password></server></servers></settings>"
	}
	if err := write(home(".m2/settings.xml"), mirror("https://one", "p"))(); err != nil {
		t.Fatal(err)
	}
	w.builds(t, "first", Config{})
	for _, c := range []struct {
		what    string
		do      func() error // nil: nothing
		config  Config
		environ string
		undo    func() error
		says    string
	}{
		{"edit", write("src/main/java/A.java", "class A { }"), Config{}, "", write("src/main/java/A.java", "class A {}"), "source changed: src/main/java/A.java"},
		{"new file", write("src/main/java/B.java", "class B {}"), Config{}, "", remove("src/main/java/B.java"), "source changed: src/main/java/B.java"},
		{"deleted file", remove("conf/a.properties"), Config{}, "", write("conf/a.properties", "a"), "source changed: 1 removed"},
		{"file mode", chmod(0o755), Config{}, "", chmod(0o644), "source changed: conf/a.properties"},
		{"link", func() error { return os.Symlink("one", filepath.Join(w.dir, "src", "link")) }, Config{}, "", remove("src/link"), "source changed: src/link"},
		{"resource README", write("src/main/README.md", "x"), Config{}, "", remove("src/main/README.md"), "source changed: src/main/README.md"},
		{"jvm.config", write(".mvn/jvm.config", "-Xmx99m"), Config{}, "", remove(".mvn/jvm.config"), ".mvn changed"},
		{"maven.config", write(".mvn/maven.config", "-Dx=y"), Config{}, "", remove(".mvn/maven.config"), "arguments changed"},
		{"extensions", write(".mvn/extensions.xml", "<extensions><extension><version>1</version></extension></extensions>"), Config{}, "", remove(".mvn/extensions.xml"), ".mvn changed"},
		{"goals", nil, Config{Goals: []string{"verify"}}, "", nil, "goals changed"},
		{"profiles", nil, Config{Profiles: []string{"p"}}, "", nil, "profiles changed"},
		{"property", nil, Config{Args: []string{"-Dq=1"}}, "", nil, "arguments changed"},
		{"MAVEN_OPTS", nil, Config{}, "MAVEN_OPTS=-Dq=1", nil, "arguments changed"},
		{"time zone", nil, Config{}, "TZ=Asia/Tokyo", nil, "environment TZ changed"},
		{"variable in the pom", nil, Config{}, "STAMP=1", nil, "environment STAMP changed"},
		{"declared variable", nil, Config{Environment: []string{"DECLARED"}}, "DECLARED=1", nil, "environment DECLARED changed"},
		{"JDK", write(host("jdk/release"), "JAVA_VERSION=\"17.0.2\"\n"), Config{}, "", write(host("jdk/release"), "JAVA_VERSION=\"17.0.1\"\n"), "JDK 17.0.1 → 17.0.2"},
		{"JDK of another vendor", write(host("jdk/release"), "JAVA_VERSION=\"17.0.1\"\nIMPLEMENTOR=x\n"), Config{}, "", write(host("jdk/release"), "JAVA_VERSION=\"17.0.1\"\n"), "JDK 17.0.1 is another build"},
		{"Maven", write(host("maven/lib/x.jar"), "x"), Config{}, "", func() error { return os.Remove(host("maven/lib/x.jar")) }, "Maven 3.9.9 is another build"},
		{"mirror", write(home(".m2/settings.xml"), mirror("https://two", "p")), Config{}, "", write(home(".m2/settings.xml"), mirror("https://one", "p")), "settings changed"},
		{"global settings", write(host("maven/conf/settings.xml"), mirror("https://two", "p")), Config{}, "", func() error { return os.Remove(host("maven/conf/settings.xml")) }, "settings changed"},
		{"toolchains", write(home(".m2/toolchains.xml"), "<toolchains/>"), Config{}, "", removeHome(".m2/toolchains.xml"), "toolchains changed"},
		{"mavenrc", write(home(".mavenrc"), "MAVEN_OPTS=-Dx"), Config{}, "", removeHome(".mavenrc"), "user's Maven files changed"},
		{"profile's file", write(home("switch"), ""), Config{}, "", removeHome("switch"), "files that profiles ask for changed"},
	} {
		if c.do != nil {
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
		}
		var environ []string
		if c.environ != "" {
			environ = []string{c.environ}
		}
		if r := w.builds(t, c.what, c.config, environ...); !strings.Contains(r.said(), c.says) {
			t.Errorf("%s: want %q in\n%s", c.what, c.says, r.said())
		}
		w.skips(t, c.what+", the same again", c.config, environ...)
		if c.undo != nil {
			if err := c.undo(); err != nil {
				t.Fatal(err)
			}
		}
		w.skips(t, c.what+", changed back", Config{})
	}
}

func TestSkipIsNotStoppedByWhatMavenDoesNotRead(t *testing.T) {
	w := newWorkshop(t)
	w.builds(t, "first", Config{})
	w.put(t, "README.md", "other words")
	w.put(t, "docs/a.txt", "other words")
	w.put(t, "CHANGELOG.adoc", "new")
	w.put(t, filepath.Join(w.home, ".m2", "settings.xml"), "<settings><localRepository>"+w.home+"/.m2/repository</localRepository><servers><server><id>m</id><password>${env.TOKEN}</password></server></servers></settings>")
	first := w.builds(t, "a server's ID", Config{})
	w.in.Commit, w.in.Dirty = "d", true // a commit of documentation, or none yet
	w.skips(t, "documentation, another commit", Config{}, "TOKEN=renewed", "UNDECLARED=x")
	again := w.skips(t, "tuned", Config{Tune: "on"})
	if again.out.Jar != first.out.Jar || again.out.Tests != (runner.Tests{Run: 3, Skipped: 1}) || again.out.JavaHome != first.out.JavaHome {
		t.Errorf("out %+v, want %+v", again.out, first.out)
	}
	if counts := of[runner.Tests](again); len(counts) != 1 || counts[0].Run != 3 {
		t.Errorf("test counts told: %+v", counts)
	}
	c := Config{Inputs: []string{"src/"}}
	w.skips(t, "the same files by other patterns", c)
	w.put(t, "conf/a.properties", "b")
	w.skips(t, "beyond maven.inputs", c)
	w.put(t, "src/a.md", "words")
	w.builds(t, "within maven.inputs", c)
	w.builds(t, "a file that counts by default", Config{})
}

func TestSkipPutsBackWhatTheJobMade(t *testing.T) {
	w := newWorkshop(t)
	w.builds(t, "first", Config{})
	made := map[string][]byte{}
	for _, name := range []string{"target/a-1.jar", "target/a-1-sources.jar", "target/surefire-reports/TEST-T.xml"} {
		made[name], _ = os.ReadFile(filepath.Join(w.dir, name))
		if len(made[name]) == 0 {
			t.Fatalf("the script made no %s", name)
		}
	}
	check := func(what string) {
		t.Helper()
		for name, want := range made {
			if got, err := os.ReadFile(filepath.Join(w.dir, name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %s: %v, %d bytes", what, name, err, len(got))
			}
		}
	}
	w.remove(t, "target")
	w.skips(t, "deleted target", Config{})
	check("deleted target")
	w.put(t, "target/a-1.jar", "half")
	w.put(t, "target/a-1-sources.jar", string(bytes.ToUpper(made["target/a-1-sources.jar"]))) // the same size
	w.put(t, "target/foreign.txt", "mine")
	w.skips(t, "edited target", Config{})
	check("edited target")
	if text, err := os.ReadFile(filepath.Join(w.dir, "target", "foreign.txt")); err != nil || string(text) != "mine" {
		t.Errorf("a foreign file: %q, %v", text, err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "target", ".fastship-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for blob, err := range w.cache.Blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		flip(t, w.cache, blob.Digest)
	}
	w.remove(t, "target")
	w.builds(t, "corrupt blob", Config{})
	check("corrupt blob")
	w.remove(t, "target")
	w.skips(t, "mended blob", Config{})
	check("mended blob")
}

// flip changes a byte of a blob on disk.
func flip(t *testing.T, c *cache.Cache, d cache.Digest) {
	t.Helper()
	path, err := c.Blobs.Path(d)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := errors.Join(os.Remove(path), os.WriteFile(path, text, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// Another host with the same store has another home folder, without a
// repository, another project folder and no state.
func TestSkipHoldsOnAnotherHost(t *testing.T) {
	w := newWorkshop(t)
	first := w.builds(t, "first", Config{})
	dir := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.CopyFS(dir, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "target")); err != nil {
		t.Fatal(err)
	}
	w.dir, w.state = dir, t.TempDir()
	w.moveTo(t.TempDir())
	r := w.skips(t, "another host", Config{})
	if r.out.Jar.Digest != first.out.Jar.Digest || r.out.Jar.Name != filepath.Join(dir, "target", "a-1.jar") || r.out.Tests.Run != 3 {
		t.Errorf("out %+v", r.out)
	}
	if info, err := os.Stat(r.out.Jar.Name); err != nil || info.Size() != r.out.Jar.Size {
		t.Errorf("the jar: %v, %v", info, err)
	}
	if found, _ := os.ReadDir(w.home); len(found) > 0 {
		t.Errorf("home holds %v", found)
	}
}

func TestSkipSeesTheRepository(t *testing.T) {
	w := newWorkshop(t)
	repo := filepath.Join(w.home, ".m2", "repository", "org", "x")
	w.builds(t, "first", Config{})
	w.skips(t, "again", Config{})
	w.put(t, filepath.Join(repo, "lib/1/lib-1.jar"), "LIB")
	if r := w.builds(t, "edited dependency", Config{}); !strings.Contains(r.said(), "org/x/lib/1/lib-1.jar in its repository is another one now") {
		t.Errorf("said:\n%s", r.said())
	}
	w.put(t, filepath.Join(repo, "lib/1/lib-1.jar"), "lib")
	w.builds(t, "the old dependency, of which no key is kept any more", Config{})
	w.skips(t, "again", Config{})
	w.put(t, filepath.Join(repo, "parent/1/parent-1.pom"), "<project>${env.STAMP}<exists>${user.home}/parents</exists></project>")
	w.builds(t, "another parent", Config{}, "STAMP=1")
	w.skips(t, "the parent's variable", Config{}, "STAMP=1")
	w.builds(t, "another value of the parent's variable", Config{}, "STAMP=2")
	w.skips(t, "the first value again", Config{}, "STAMP=1")
	w.put(t, filepath.Join(w.home, "parents"), "")
	w.builds(t, "the file that the parent's profile asks for", Config{}, "STAMP=1")
	w.put(t, filepath.Join(repo, "lib/1/_remote.repositories"), "lib-1.jar>=\n")
	w.put(t, filepath.Join(repo, "lib/1/lib-1.jar"), "installed")
	for range 2 {
		if r := w.builds(t, "installed dependency", Config{}, "STAMP=1"); !strings.Contains(r.said(), "installed on this host") {
			t.Errorf("said:\n%s", r.said())
		}
	}
}

func TestSkipIsRefused(t *testing.T) {
	resolved := func(id, file string) string {
		return `RESOLVED={"event":"resolved","id":"` + id + `","file":"` + file + `"}`
	}
	for name, c := range map[string]struct {
		config  Config
		environ string
		file    string
		says    string
	}{
		"install":               {Config{Goals: []string{"install"}}, "", "", "the goal install has effects outside target"},
		"a plug-in's goal":      {Config{Goals: []string{"package", "jib:build"}}, "", "", "the goal jib:build has effects"},
		"range or snapshot":     {Config{}, resolved("g:a", "/m2/g/a/maven-metadata-central.xml"), "", "g:a was looked up"},
		"snapshot":              {Config{}, resolved("g:a:jar:1-SNAPSHOT", "/m2/g/a/1-SNAPSHOT/a-1-SNAPSHOT.jar"), "", "is a snapshot"},
		"effects":               {Config{}, "PLUGIN=exec-maven-plugin", "", "may have effects outside target"},
		"floating extension":    {Config{}, "", ".mvn/extensions.xml", "has the version 1.0-SNAPSHOT"},
		"extension of a range":  {Config{}, "", ".mvn/extensions.xml", "has the version [1,2)"},
		"another pom":           {Config{}, "MAVEN_ARGS=-f other.xml", "", "--file names another pom"},
		"latest of the plug-in": {Config{}, resolved("g:p", "/m2/g/p/maven-metadata.xml"), "", "g:p was looked up"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkshop(t)
			if c.file != "" {
				version := strings.TrimPrefix(c.says, "has the version ")
				w.put(t, c.file, "<extensions><extension><artifactId>e</artifactId><version>"+version+"</version></extension></extensions>")
			}
			for range 2 {
				if r := w.builds(t, name, c.config, c.environ); !strings.Contains(r.said(), c.says) {
					t.Errorf("want %q in\n%s", c.says, r.said())
				}
			}
		})
	}
}

func TestSkipReadsTheCommitForPluginsThatDo(t *testing.T) {
	w := newWorkshop(t)
	plugin := "PLUGIN=git-commit-id-maven-plugin"
	w.builds(t, "first", Config{}, plugin)
	w.skips(t, "the same commit", Config{}, plugin)
	for _, change := range []func(){func() { w.in.Commit = "d" }, func() { w.in.Dirty = true }, func() { w.in.Branch = "b" }} {
		change()
		w.builds(t, "another commit", Config{}, plugin)
		w.skips(t, "that commit again", Config{}, plugin)
	}
}

func TestSkipNeverTakesFailingTests(t *testing.T) {
	w := newWorkshop(t, "src/FAIL", "")
	for range 2 {
		r, started := w.run(t, Config{})
		mustFail(t, r.err, fault.BuildFailed)
		if !started || r.out.Tests.Failed != 1 {
			t.Errorf("started %v, tests %+v", started, r.out.Tests)
		}
	}
	w.remove(t, "src/FAIL")
	w.builds(t, "mended", Config{})
	w.skips(t, "mended again", Config{})
}

// forgetting is the cache under --force: it keeps what is made and finds
// nothing.
type forgetting struct{ cache.ActionStore }

func (forgetting) GetAction(context.Context, cache.Key) (cache.Action, error) {
	return cache.Action{}, cache.ErrNotFound
}

func TestSkipNotUnderForce(t *testing.T) {
	w := newWorkshop(t)
	w.builds(t, "first", Config{})
	actions := w.cache.Actions
	w.cache.Actions = forgetting{actions}
	w.builds(t, "forced", Config{})
	w.cache.Actions = actions
	w.skips(t, "not forced", Config{})
}

// A thin application is put back with the jars that its manifest names.
func TestSkipPutsBackTheClassPath(t *testing.T) {
	w := newWorkshop(t)
	jar(t, filepath.Join(w.host, "empty.jar"), strings.TrimSuffix(main, "\r\n")+"Class-Path: lib/x.jar lib/gone.jar http://x/y.jar\r\n\r\n")
	mvn := filepath.Join(w.host, "maven", "bin", "mvn")
	text, err := os.ReadFile(mvn)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mvn, append(bytes.TrimSuffix(text, []byte("exit $failed\n")), "mkdir -p target/lib; echo x > target/lib/x.jar\n"...), 0o755); err != nil {
		t.Fatal(err)
	}
	w.builds(t, "first", Config{})
	w.remove(t, "target")
	w.skips(t, "deleted target", Config{})
	if text, err := os.ReadFile(filepath.Join(w.dir, "target", "lib", "x.jar")); err != nil || string(text) != "x\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// surefire writes system properties into its reports: no secret among them may
// enter the store.
func TestSkipKeepsNoSecretOfReports(t *testing.T) {
	w := newWorkshop(t)
	root := t.TempDir()
	w.cache = storeIn(t, root)
	c := Config{Args: []string{"-Ddb.password=pl4nted-argument", "-Dpin.password=t"}}
	environ := []string{"API_TOKEN=pl4nted-token", "REPORTED=<properties><property name='db.password' value='pl4nted-argument'/></properties><system-out>pl4nted-token</system-out>"}
	w.builds(t, "first", c, environ...)
	report := filepath.Join(w.dir, "target", "surefire-reports", "TEST-T.xml")
	if text, err := os.ReadFile(report); err != nil || !bytes.Contains(text, []byte("pl4nted-argument")) {
		t.Fatalf("%s, %v", text, err)
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("pl4nted")) {
			t.Errorf("a secret is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.remove(t, "target")
	r := w.skips(t, "again", c, environ...)
	text, err := os.ReadFile(report)
	if want := "<testsuite tests='3' errors='0' failures='0' skipped='1'><system-out>***</system-out><testcase classname='T' name='t'/></testsuite>\n"; err != nil || string(text) != want || r.out.Tests.Run != 3 {
		t.Errorf("put back %q, %v", text, err)
	}
}

func TestReportsOfManyMegabytesAreLeftOut(t *testing.T) {
	dir := files(t, "small.xml", "<testsuite/>", "large.xml", strings.Repeat("x", 1000))
	r := newReports(nil)
	r.left = 1000
	for _, c := range []struct {
		name string
		kept bool
	}{{"small.xml", true}, {"large.xml", false}} {
		if text, err := r.read(filepath.Join(dir, c.name)); err != nil || (text != nil) != c.kept {
			t.Errorf("%s: %d bytes, %v", c.name, len(text), err)
		}
	}
}

// A dry run says that Maven would be skipped, and writes nothing.
func TestPlanTellsOfTheSkip(t *testing.T) {
	w := newWorkshop(t)
	plan := func(c Config) runner.Plan[Out] {
		t.Helper()
		in := w.in
		in.Dir, in.Files = w.dir, list(t, w.dir)
		p, err := w.step(c).Plan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := plan(Config{}); p.Lines[0] != "there is no earlier run to compare with" || !strings.HasPrefix(p.Lines[1], "run mvn") {
		t.Errorf("%q", p.Lines)
	}
	first := w.builds(t, "first", Config{})
	p := plan(Config{})
	if want := []string{"nothing that Maven reads differs from the last run", "skip Maven: nothing that it reads has changed; put back 3 files"}; !slices.Equal(p.Lines, want) || p.Out.Jar != first.out.Jar {
		t.Errorf("%q, %+v", p.Lines, p.Out)
	}
	if p := plan(Config{Goals: []string{"verify"}}); !strings.HasPrefix(p.Lines[1], "run mvn") {
		t.Errorf("%q", p.Lines)
	}
	w.remove(t, "target")
	if p := plan(Config{}); len(p.Lines) != 2 || p.Out.Jar.Name != "" {
		t.Errorf("%q, %+v", p.Lines, p.Out)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "target")); err == nil {
		t.Error("a plan put files back")
	}
}
