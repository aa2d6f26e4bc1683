package source

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestOutside(t *testing.T) {
	isolate(t)
	parent := func(relative string) string {
		return "<project><parent><groupId>g</groupId>" + relative + "</parent></project>"
	}
	cases := map[string]struct {
		pom     string
		outside string // what is taken in from outside
	}{
		"parent above by default": {parent(""), "../pom.xml"},
		"parent elsewhere":        {parent("<relativePath> ../build/parent </relativePath>"), "../build/parent/pom.xml ../pom.xml"},
		"parent is a file":        {parent("<relativePath>..\\build\\parent\\pom.xml</relativePath>"), "../build/parent/pom.xml ../pom.xml"},
		"parent from repository":  {parent("<relativePath/>"), ""},
		"parent in a comment":     {"<project><!-- <parent></parent> --></project>", ""},
		"no parent":               {"<project/>", ""},
		"parent is absent":        {parent("<relativePath>../none/pom.xml</relativePath>"), ""},
		"not XML":                 {"<project><parent></parent><oh", "../pom.xml"},
		"module beside":           {"<project><modules><module>../lib</module></modules></project>", "../lib/L.java ../lib/pom.xml ../pom.xml"},
		"module of a profile":     {"<project><profiles><profile><modules><module>../lib</module></modules></profile></profiles></project>", "../lib/L.java ../lib/pom.xml ../pom.xml"},
		"module above":            {"<project><modules><module>..</module></modules></project>", ""},
		"module inside":           {"<project><modules><module>../app/sub</module></modules></project>", ""},
	}
	for name, c := range cases {
		for _, git := range []bool{true, false} {
			top := t.TempDir()
			put(t, top, map[string]string{
				"pom.xml": "<project><modules><module>lib</module><module>app</module></modules></project>", "README": "not read",
				"build/parent/pom.xml": parent("<relativePath>../../pom.xml</relativePath>"),
				"lib/pom.xml":          parent(""), "lib/L.java": "", "lib/target/L.class": "made",
				"app/pom.xml": c.pom, "app/sub/pom.xml": parent(""),
			})
			if git {
				commit(t, top)
			}
			out, l := read(t, filepath.Join(top, "app"))
			got := strings.TrimSuffix(paths(l), "pom.xml sub/pom.xml")
			if strings.TrimSpace(got) != c.outside {
				t.Errorf("%s, git %v: outside %q, want %q", name, git, got, c.outside)
			}
			if !git || c.outside == "" {
				continue
			}
			first := strings.Fields(c.outside)[0]
			put(t, top, map[string]string{"README": "changed"})
			if again, _ := read(t, out.Dir); again.Tree != out.Tree || again.Dirty != out.Dirty || again.Commit != out.Commit {
				t.Errorf("%s: a file that Maven does not read counts", name)
			}
			put(t, top, map[string]string{"app/" + first: "<project>changed</project>"})
			if again, _ := read(t, out.Dir); again.Tree == out.Tree || !again.Dirty {
				t.Errorf("%s: a change of %s: same tree %v, dirty %v", name, first, again.Tree == out.Tree, again.Dirty)
			}
		}
	}
}

func TestMavenFolder(t *testing.T) {
	isolate(t)
	top := t.TempDir()
	put(t, top, map[string]string{
		".mvn/maven.config": "-T1", ".mvn/wrapper/maven-wrapper.jar": "downloaded", ".gitignore": "*.jar\n.mvn/jvm.config\n",
		".mvn/jvm.config": "-Xmx1g", "a/b/pom.xml": "<project/>",
	})
	for _, git := range []bool{false, true} {
		if git {
			commit(t, top)
		}
		out, l := read(t, top+"/a/b")
		want := "../../.mvn/jvm.config ../../.mvn/maven.config ../../.mvn/wrapper/maven-wrapper.jar pom.xml"
		if git { // the rules of the folders above hold
			want = "../../.mvn/jvm.config ../../.mvn/maven.config pom.xml"
		}
		if paths(l) != want || out.Dirty {
			t.Errorf("git %v: dirty %v, files %q, want %q", git, out.Dirty, paths(l), want)
		}
	}
	put(t, top, map[string]string{"a/b/.mvn/maven.config": ""})
	if _, l := read(t, top+"/a/b"); paths(l) != ".mvn/maven.config pom.xml" {
		t.Errorf("the nearest .mvn is not the only one: %q", paths(l))
	}
	before, _ := read(t, top)
	put(t, top, map[string]string{".mvn/jvm.config": "-Xmx2g"})
	if after, _ := read(t, top); after.Tree == before.Tree {
		t.Error("an ignored jvm.config does not count, and Maven reads it")
	}
}

// TestFallback holds what is said when git cannot be asked.
func TestFallback(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	put(t, dir, project())
	put(t, dir, map[string]string{"sub/pom.xml": "<project/>", "sub/x.log": ""})
	commit(t, dir)
	want, _ := read(t, filepath.Join(dir, "sub"))

	check := func(warning string) {
		t.Helper()
		out, l := read(t, filepath.Join(dir, "sub"))
		if out.Tree != want.Tree || out.Commit != "" {
			t.Errorf("same tree %v, commit %q, files %q", out.Tree == want.Tree, out.Commit, paths(l))
		}
		if len(l.warnings) != 1 || !strings.Contains(l.warnings[0], warning) {
			t.Errorf("warnings %q, want %q", l.warnings, warning)
		}
	}
	t.Run("distrusted", func(t *testing.T) {
		t.Setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
		check("git config --global --add safe.directory " + dir)
	})
	t.Run("no git", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		check("git is not installed")
	})
	t.Run("broken", func(t *testing.T) {
		put(t, dir, map[string]string{".git/index": "this is no index"})
		check("git ")
	})
}

// TestIgnoredByTheRepositoryAround is a project in a home folder under git.
func TestIgnoredByTheRepositoryAround(t *testing.T) {
	isolate(t)
	home := t.TempDir()
	put(t, home, map[string]string{".gitignore": "*\n!.gitignore\n", "app/pom.xml": "<project/>", "app/A.java": ""})
	commit(t, home)
	out, l := read(t, filepath.Join(home, "app"))
	if paths(l) != "A.java pom.xml" || out.Commit != "" || len(l.warnings) != 0 {
		t.Errorf("commit %q, files %q, warnings %q", out.Commit, paths(l), l.warnings)
	}
}

// TestIgnoreLikeGit compares this package's gitignore with git's own.
func TestIgnoreLikeGit(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	put(t, dir, map[string]string{
		".gitignore":     "\uFEFF# comment\r\n*.log\r\n!keep.log\n/top\ndocs/*.txt\n**/gen/x\nall/**\n!all/a\nsp\\ \ntrail  \n\\#hash\n\\!bang\nq?\n[!a-y]z\n{b}\ndir/\n\n[\nmid/**/end\n",
		"sub/.gitignore": "!b.log\n/only\nc/d\n",
		".git-not/x":     "", "a.log": "", "keep.log": "", "sub/b.log": "", "sub/c.log": "", "top": "", "sub/top": "",
		"docs/a.txt": "", "docs/deep/a.txt": "", "gen/x": "", "m/n/gen/x": "", "gen/y": "", "all/a": "", "all/b/c": "",
		"sp ": "", "trail": "", "#hash": "", "!bang": "", "q1": "", "q12": "", "bz": "", "zz": "", "{b}": "", "b": "",
		"dir/x": "", "sub/dir/x": "", "m/dir": "", "sub/only": "", "sub/m/only": "", "sub/c/d": "", "c/d": "",
		"mid/end": "", "mid/a/b/end": "", "mid/a/b/not": "", "x[": "", "gen/gen/x": "",
	})
	ours, err := listFolder(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range ours {
		got = append(got, f.path)
	}
	slices.Sort(got)
	do(t, dir, "init", "-q")
	want := strings.Split(strings.TrimSuffix(do(t, dir, "ls-files", "-z", "-o", "--exclude-standard"), "\x00"), "\x00")
	slices.Sort(want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestWithoutCredentials(t *testing.T) {
	for remote, want := range map[string]string{
		"":                                 "",
		"https://example.com/a.git":        "https://example.com/a.git",
		"https://tok@example.com/a":        "https://example.com/a",
		"https://u:p%40ss@example.com:8/a": "https://example.com:8/a",
		"https://u:p@ss@example.com/a":     "https://example.com/a",
		"https://u:p%zz@example.com/a":     "https://example.com/a",
		"https://example.com/a?token=t#f":  "https://example.com/a",
		"ssh://git@example.com:22/a":       "ssh://git@example.com:22/a",
		"ssh://git:pw@example.com/a":       "ssh://git@example.com/a",
		"git@example.com:a/b.git":          "git@example.com:a/b.git",
		"me@example.com:a/b@c.git":         "example.com:a/b@c.git",
		"me:pw@example.com:a/b.git":        "example.com:a/b.git",
		"example.com:a":                    "example.com:a",
		"/srv/git/a@b:c.git":               "/srv/git/a@b:c.git",
		"../a.git":                         "../a.git",
		"file:///srv/a.git":                "file:///srv/a.git",
	} {
		if got := withoutCredentials(remote); got != want {
			t.Errorf("%s: got %q, want %q", remote, got, want)
		}
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := t.TempDir()
	put(t, dir, project())
	if err := os.Chmod(filepath.Join(dir, "pom.xml"), 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := New(Config{Dir: dir}).read(t.Context()); err == nil || !strings.Contains(err.Error(), "pom.xml") {
		t.Errorf("got %v", err)
	}
}
