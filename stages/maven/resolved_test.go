package maven

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

func TestNeedsRefuseWhatMayChange(t *testing.T) {
	repo := files(t,
		"org/a/x/1.0/x-1.0.jar", "x", "org/a/x/1.0/_remote.repositories", "#NOTE\nx-1.0.jar>central=\n",
		"org/a/y/1.0/y-1.0.jar", "y", "org/a/y/1.0/_remote.repositories", "y-1.0.jar>=\n",
		"org/a/z/1.0/z-1.0.jar", "z",
		"org/a/s/1-SNAPSHOT/s-1-SNAPSHOT.jar", "s", "org/a/s/1-SNAPSHOT/_remote.repositories", "s-1-SNAPSHOT.jar>r=\n",
		"org/a/x/maven-metadata-central.xml", "<metadata/>",
	)
	project := files(t, "pom.xml", "<project><artifactId>p</artifactId></project>", "lib/pom.xml", "", "lib/target/lib.jar", "")
	tree, err := mvn.ReadTree(project)
	if err != nil {
		t.Fatal(err)
	}
	j := &job{dir: project, tree: tree, host: mvn.Host{Home: t.TempDir()}}
	for _, c := range []struct{ id, file, reason string }{
		{"org.a:x:jar:1.0", "org/a/x/1.0/x-1.0.jar", ""},
		{"org.a:y:jar:1.0", "org/a/y/1.0/y-1.0.jar", "installed on this host"},
		{"org.a:z:jar:1.0", "org/a/z/1.0/z-1.0.jar", "installed on this host"},
		{"org.a:s:jar:1-SNAPSHOT", "org/a/s/1-SNAPSHOT/s-1-SNAPSHOT.jar", "is a snapshot"},
		{"org.a:x/maven-metadata.xml", "org/a/x/maven-metadata-central.xml", "was looked up"},
		{"p:lib:jar:1-SNAPSHOT", filepath.Join(project, "lib", "target", "lib.jar"), ""},
	} {
		file := c.file
		if !filepath.IsAbs(file) {
			file = filepath.Join(repo, file)
		}
		a := &attempt{report: mvn.Report{
			Resolved: []mvn.Resolved{{ID: c.id, File: file}},
			Projects: []*mvn.Project{{Group: "p", Artifact: "lib", Basedir: filepath.Join(project, "lib"), Build: filepath.Join(project, "lib", "target")}},
		}}
		n, reason := j.needs(a)
		if (reason == "") != (c.reason == "") || !strings.Contains(reason, c.reason) {
			t.Errorf("%s: reason %q, want %q", c.id, reason, c.reason)
		}
		if c.id == "org.a:x:jar:1.0" {
			j.repo.Path = repo
			if changed := j.changedLocally(n); changed != "" {
				t.Errorf("%s counts as changed", changed)
			}
			jar := filepath.Join(repo, filepath.FromSlash(c.file))
			if err := os.WriteFile(jar, []byte("X"), 0o644); err != nil { // the same size
				t.Fatal(err)
			}
			if j.changedLocally(n) == "" {
				t.Error("an artifact installed over a download is not seen")
			}
			if err := os.Remove(jar); err != nil {
				t.Fatal(err)
			}
			if changed := j.changedLocally(n); changed != "" {
				t.Errorf("%s is not on this host, and counts as changed", changed)
			}
			if err := os.WriteFile(jar, []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestExplanation(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, keyFile)
	id := func(jdk, source string) identity {
		parts := cache.NewKey("maven-job", "1").Add("source", source).Add("JDK", jdk)
		return identity{key: parts.Key(), files: []File{{Path: "src/A.java", Mode: "100644", ID: source}}, parts: parts}
	}
	if got := explanation(file, id("17.0.12 a", "1")); !strings.Contains(got, "no earlier run") {
		t.Errorf("first: %q", got)
	}
	noEnv := New(Config{}, Deps{State: dir})
	noEnv.explain(quiet(), id("17.0.12 a", "1"))
	for _, c := range []struct {
		id   identity
		want string
	}{
		{id("17.0.12 a", "1"), "nothing that Maven reads differs"},
		{id("17.0.13 b", "2"), "source changed: src/A.java; JDK 17.0.12 → 17.0.13"},
		{id("17.0.12 b", "1"), "JDK 17.0.12 is another build"},
		{identity{reason: "why"}, "cannot be skipped: why"},
	} {
		if got := explanation(file, c.id); !strings.Contains(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// The key file of a large project is not written again at every run.
func TestKeyIsKeptOnce(t *testing.T) {
	s := New(Config{}, Deps{State: t.TempDir()})
	file := filepath.Join(s.deps.State, keyFile)
	id := identity{parts: cache.NewKey("maven-job", "1").Add("source", "1")}
	id.key = id.parts.Key()
	written := func() bool {
		t.Helper()
		before, _ := os.Stat(file)
		if err := os.Chtimes(file, time.Time{}, time.Unix(1, 0)); before != nil && err != nil {
			t.Fatal(err)
		}
		s.explain(quiet(), id)
		after, err := os.Stat(file)
		return err == nil && !after.ModTime().Equal(time.Unix(1, 0))
	}
	if !written() || written() {
		t.Error("the key is not written once")
	}
	id.key = id.parts.Add("source", "2").Key()
	if !written() || keptKey(file) != id.key {
		t.Error("another key is not written")
	}
}

// quiet is an environment that nobody listens to.
func quiet() runner.Env { return runner.Env{Emit: func(runner.Body) {}, Background: inline} }
