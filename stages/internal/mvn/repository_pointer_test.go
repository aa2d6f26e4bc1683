package mvn

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fastship/fastship/cache"
)

func TestPointerNames(t *testing.T) {
	id := RepositoryID{Project: "com.acme:orders", Remotes: "0123456789abcdef", Branch: "feature/é x", Fallbacks: []string{"", "main", "main"}}
	got := PointerNames(id)
	dir := "maven/1/0123456789abcdef/com.acme%3Aorders/"
	want := []Pointers{
		{dir + "feature%2F%C3%A9%20x/releases", dir + "feature%2F%C3%A9%20x/snapshots"},
		{dir + "main/releases", dir + "main/snapshots"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	seen := map[string]string{}
	for _, branch := range []string{"", "@", "..", ".", ".a", "%40", strings.Repeat("x", 300), strings.Repeat("x", 300) + "y", strings.Repeat("é", 200)} {
		p := PointerNames(RepositoryID{Project: strings.Repeat("p", 400), Remotes: id.Remotes, Branch: branch})[0]
		for _, name := range []string{p.Release, p.Snapshots} {
			if err := cache.CheckPointerName(name); err != nil {
				t.Errorf("branch %q: %v", branch, err)
			}
		}
		if other, ok := seen[p.Release]; ok {
			t.Errorf("branches %.20q and %.20q have the same name", other, branch)
		}
		seen[p.Release] = branch
	}
}

func TestRemotesKey(t *testing.T) {
	key := func(pom string, s ...Settings) string {
		t.Helper()
		dir := t.TempDir()
		write(t, filepath.Join(dir, "pom.xml"), "<project><artifactId>a</artifactId>"+pom+"</project>", 0o644)
		tree, err := ReadTree(dir)
		if err != nil {
			t.Fatal(err)
		}
		return RemotesKey(tree, s...)
	}
	repo := func(id, url string) string {
		return "<repositories><repository><id>" + id + "</id><url>" + url + "</url></repository></repositories>"
	}
	plain := key("")
	corp := key(repo("corp", "https://corp/"))
	if len(plain) != 16 || key("<name>n</name>") != plain || key(repo("corp", "https://me:pw@corp/")) != corp {
		t.Error("more than IDs decides")
	}
	mirror := Settings{Mirrors: []Mirror{{ID: "m", Of: "*"}}}
	other := Settings{Mirrors: []Mirror{{ID: "m", Of: "central"}}}
	all := map[string]bool{}
	for _, k := range []string{plain, corp, key(repo("b", "")), key("<profiles><profile>" + repo("c", "") + "</profile></profiles>"), key("", mirror), key("", other), key("", Settings{PluginRepos: []Remote{{ID: "p"}}})} {
		all[k] = true
	}
	if len(all) != 7 {
		t.Errorf("%d keys of 7 differ", len(all))
	}
}

func TestUsedFiles(t *testing.T) {
	root := t.TempDir()
	if note, err := ExtensionsNote(root); note != "" || err != nil {
		t.Fatalf("no extensions: %q, %v", note, err)
	}
	write(t, filepath.Join(root, ".mvn", "extensions.xml"), "<extensions/>", 0o644)
	note, err := ExtensionsNote(root)
	if err != nil || !strings.HasPrefix(note, "extensions ") {
		t.Fatalf("%q, %v", note, err)
	}
	resolved := ResolvedPaths(Report{Resolved: []Resolved{{File: filepath.Join(root, "g/a/1/a.jar")}, {File: "/elsewhere/b.jar"}}}, root)
	notes := NoteNew([]string{"g/a/1/a.jar", "g/a/1/a.pom", "g/x/1/x.jar"}, resolved, note)
	if !reflect.DeepEqual(notes, map[string]string{"g/x/1/x.jar": note}) {
		t.Errorf("notes %v", notes)
	}
	kept := map[string]string{"g/a/1/a.jar": "", "g/a/1/a.pom": "", "g/a/1/_remote.repositories": "", "g/a/1/a-sources.jar": "", "g/x/1/x.jar": note, "g/y/1/y.jar": "extensions other"}
	if got := UsedFiles(kept, resolved, note); !reflect.DeepEqual(got, []string{"g/a/1/_remote.repositories", "g/a/1/a.jar", "g/a/1/a.pom", "g/x/1/x.jar"}) {
		t.Errorf("used %q", got)
	}
	if got := UsedFiles(kept, nil, ""); len(got) != 0 {
		t.Errorf("without extensions: %q", got)
	}
}
