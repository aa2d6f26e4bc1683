package source

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// put writes files; a name's parents are made.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// isolate keeps the user's own git configuration out of the tests.
func isolate(t *testing.T) {
	t.Helper()
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": home, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": filepath.Join(home, "gitconfig"),
		"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "c", "GIT_COMMITTER_EMAIL": "c@example.com",
		"GIT_AUTHOR_DATE": "2026-01-02T03:04:05+02:00", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+02:00",
	} {
		t.Setenv(name, value)
	}
}

func do(t *testing.T, dir string, args ...string) string {
	t.Helper()
	args = append([]string{"-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"}, args...)
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func commit(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		do(t, dir, "init", "-q")
	}
	do(t, dir, "add", "-A")
	do(t, dir, "commit", "-q", "--allow-empty", "-m", "x")
}

func read(t *testing.T, dir string) (Out, *listing) {
	t.Helper()
	out, l, err := New(Config{Dir: dir}).read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out, l
}

func paths(l *listing) string {
	var p []string
	for _, f := range l.files {
		p = append(p, f.path)
	}
	return strings.Join(p, " ")
}

func project() map[string]string {
	return map[string]string{
		"pom.xml": "<project/>", "src/A.java": "class A {}\n", ".gitignore": "*.log\n", "odd\nname é.txt": "x",
	}
}

// TestSameIdentity holds that the identity is that of the bytes: in a folder,
// uncommitted, committed, elsewhere, touched, under SHA-1 attributes or not.
func TestSameIdentity(t *testing.T) {
	isolate(t)
	files := project()
	files["mvnw.cmd"] = "@echo off\r\n"
	files[".gitattributes"] = "*.cmd text eol=crlf\n* text=auto\n"
	files["src/windows.txt"] = "a\r\nb\r\n"
	make := func(t *testing.T) string {
		dir := t.TempDir()
		put(t, dir, files)
		put(t, dir, map[string]string{"run.sh": "#!/bin/sh\n", "x.log": "ignored", "target/classes/A.class": "made", ".fastship/index.json": "{}", "dependency-reduced-pom.xml": "<project/>"})
		if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("src/A.java", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	plain, l := read(t, make(t))
	if got, want := paths(l), ".gitattributes .gitignore dangling link mvnw.cmd odd\nname é.txt pom.xml run.sh src/A.java src/windows.txt"; got != want {
		t.Fatalf("a folder has %q, want %q", got, want)
	}
	if plain.Commit != "" || plain.Dirty || !plain.Time.IsZero() || len(l.warnings) > 0 {
		t.Errorf("a folder outside git: %+v, warnings %q", plain, l.warnings)
	}
	check := func(what string, dir string, dirty bool) {
		t.Helper()
		out, l := read(t, dir)
		if out.Tree != plain.Tree {
			t.Errorf("%s: another identity; files %q", what, paths(l))
		}
		if out.Dirty != dirty {
			t.Errorf("%s: dirty is %v", what, out.Dirty)
		}
	}
	dir := make(t)
	do(t, dir, "init", "-q")
	check("no commit, nothing added", dir, true)
	do(t, dir, "add", "-A")
	check("added", dir, true)
	commit(t, dir)
	check("committed", dir, false)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "pom.xml"), later, later); err != nil {
		t.Fatal(err)
	}
	check("touched", dir, false)
	do(t, dir, "rm", "-q", "--cached", "src/A.java")
	check("taken out of the index", dir, true)
	do(t, dir, "add", "-N", "src/A.java")
	check("with intent to add", dir, true)
	do(t, dir, "reset", "-q", "--hard")
	do(t, dir, "checkout", "-q", "--detach")
	check("detached", dir, false)
	if out, _ := read(t, dir); out.Branch != "" || len(out.Commit) != 40 {
		t.Errorf("detached: branch %q, commit %q", out.Branch, out.Commit)
	}
	do(t, dir, "worktree", "add", "-q", filepath.Join(dir, "../tree"))
	t.Cleanup(func() { os.RemoveAll(filepath.Join(dir, "../tree")) })
	put(t, filepath.Join(dir, "../tree"), map[string]string{"src/windows.txt": files["src/windows.txt"]}) // git gave it LF
	do(t, filepath.Join(dir, "../tree"), "add", "-A")                                                     // git goes by the size until then
	check("a work tree", filepath.Join(dir, "../tree"), false)

	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_INDEX_FILE", "/nonexistent/index")
	check("from a hook", dir, false)
}

// TestEveryByteCounts changes one thing at a time.
func TestEveryByteCounts(t *testing.T) {
	isolate(t)
	change := map[string]func(dir string) error{
		"content": func(d string) error { return os.WriteFile(d+"/src/A.java", []byte("class B {}\n"), 0o644) },
		"mode":    func(d string) error { return os.Chmod(d+"/src/A.java", 0o755) },
		"name":    func(d string) error { return os.Rename(d+"/src/A.java", d+"/src/B.java") },
		"gone":    func(d string) error { return os.Remove(d + "/src/A.java") },
		"new":     func(d string) error { return os.WriteFile(d+"/src/B.java", nil, 0o644) },
		"to a link": func(d string) error {
			return join(os.Remove(d+"/src/A.java"), os.Symlink("x", d+"/src/A.java"))
		},
		"to a folder": func(d string) error {
			return join(os.Remove(d+"/src/A.java"), os.Mkdir(d+"/src/A.java", 0o755), os.WriteFile(d+"/src/A.java/x", nil, 0o644))
		},
		"same size, same time": func(d string) error { // git's racy-clean rule must catch it
			info, err := os.Stat(d + "/src/A.java")
			return join(err, os.WriteFile(d+"/src/A.java", []byte("class Z {}\n"), 0o644), os.Chtimes(d+"/src/A.java", info.ModTime(), info.ModTime()))
		},
		"assumed unchanged": func(d string) error {
			return join(exec.Command("git", "-C", d, "update-index", "--assume-unchanged", "src/A.java").Run(),
				os.WriteFile(d+"/src/A.java", []byte("changed behind git's back\n"), 0o644))
		},
	}
	for name, f := range change {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, project())
			commit(t, dir)
			before, _ := read(t, dir)
			if before.Dirty {
				t.Fatal("dirty from the start")
			}
			if err := f(dir); err != nil {
				t.Fatal(err)
			}
			after, _ := read(t, dir)
			if after.Tree == before.Tree {
				t.Error("the identity did not change")
			}
			if !after.Dirty && name != "assumed unchanged" { // the user told git to say so
				t.Error("not dirty")
			}
			commit(t, dir)
			committed, _ := read(t, dir)
			if committed.Tree != after.Tree {
				t.Error("the commit changed the identity")
			}
			if err := os.RemoveAll(dir + "/.git"); err != nil {
				t.Fatal(err)
			}
			if plain, _ := read(t, dir); plain.Tree != after.Tree {
				t.Error("outside git it has another identity")
			}
		})
	}
}

func join(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestHistory(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	put(t, dir, project())
	put(t, dir, map[string]string{"sub/pom.xml": "<project/>", "sub/a.txt": "a"})
	commit(t, dir)
	do(t, dir, "remote", "add", "origin", "https://user:hunter2@example.com/a/b.git")
	want := Out{
		Dir: filepath.Join(dir, "sub"), Commit: do(t, dir, "rev-parse", "HEAD"), Branch: "main",
		Remote: "https://example.com/a/b.git", Time: time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC),
	}
	got, l := read(t, want.Dir)
	want.Tree, want.Files, want.Read = got.Tree, got.Files, got.Read
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if paths(l) != "a.txt pom.xml" {
		t.Errorf("a folder of the repository has %q", paths(l))
	}
	put(t, dir, map[string]string{"src/A.java": "changed"})
	if got, _ := read(t, want.Dir); got.Tree != want.Tree || got.Dirty != want.Dirty || got.Commit != want.Commit {
		t.Errorf("a change beside the folder counts: %+v", got)
	}
	put(t, dir, map[string]string{"sub/new/é\n.txt": "1", "sub/x.log": "by the rule of the folder above"})
	if got, l := read(t, want.Dir); !got.Dirty || paths(l) != "a.txt new/é\n.txt pom.xml" {
		t.Errorf("dirty %v, files %q", got.Dirty, paths(l))
	}
}

// TestWritesNothing holds the index, byte by byte and by its time, after files
// were touched: git would like to refresh it.
func TestWritesNothing(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	put(t, dir, project())
	commit(t, dir)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir+"/pom.xml", old, old); err != nil {
		t.Fatal(err)
	}
	snapshot := func() string {
		var s strings.Builder
		err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
			if err == nil {
				s.WriteString(p + info.ModTime().String() + info.Mode().String() + "\n")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return s.String()
	}
	before := snapshot()
	read(t, dir)
	if after := snapshot(); after != before {
		t.Errorf("something was written: before\n%s\nafter\n%s", before, after)
	}
}

func TestSubmodules(t *testing.T) {
	isolate(t)
	lib, dir := t.TempDir(), t.TempDir()
	put(t, lib, map[string]string{"L.java": "1"})
	commit(t, lib)
	put(t, dir, project())
	commit(t, dir)
	do(t, dir, "submodule", "--quiet", "add", lib, "lib")
	commit(t, dir)
	first, l := read(t, dir)
	if !slices.Contains(strings.Split(paths(l), " "), "lib/L.java") || first.Dirty {
		t.Fatalf("dirty %v, files %q", first.Dirty, paths(l))
	}
	put(t, dir, map[string]string{"lib/L.java": "2", "lib/New.java": ""})
	second, l := read(t, dir)
	if second.Tree == first.Tree || !second.Dirty || !strings.Contains(paths(l), "lib/New.java") {
		t.Errorf("a change in the submodule: dirty %v, files %q", second.Dirty, paths(l))
	}
	commit(t, filepath.Join(dir, "lib"))
	third, _ := read(t, dir)
	if third.Tree != second.Tree || !third.Dirty {
		t.Errorf("a submodule at another commit: same tree %v, dirty %v", third.Tree == second.Tree, third.Dirty)
	}
	do(t, dir, "submodule", "--quiet", "deinit", "-f", "lib")
	if _, l := read(t, dir); strings.Contains(paths(l), "lib/") {
		t.Errorf("not checked out: files %q", paths(l))
	}

	// A repository that nobody made a submodule of is source all the same.
	loose := filepath.Join(dir, "loose")
	put(t, loose, map[string]string{"a": "1"})
	commit(t, loose)
	if out, l := read(t, dir); !strings.Contains(paths(l), "loose/a") || !out.Dirty {
		t.Errorf("a repository inside: dirty %v, files %q", out.Dirty, paths(l))
	}
}

func TestSparseCheckout(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	put(t, dir, project())
	put(t, dir, map[string]string{"other/B.java": "b"})
	commit(t, dir)
	do(t, dir, "sparse-checkout", "set", "--cone", "src")
	out, l := read(t, dir)
	if got, want := paths(l), ".gitignore odd\nname é.txt pom.xml src/A.java"; got != want || out.Dirty {
		t.Errorf("dirty %v, files %q, want %q", out.Dirty, got, want)
	}
}

func TestConflict(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	put(t, dir, project())
	commit(t, dir)
	do(t, dir, "checkout", "-q", "-b", "other")
	put(t, dir, map[string]string{"src/A.java": "theirs"})
	commit(t, dir)
	do(t, dir, "checkout", "-q", "main")
	put(t, dir, map[string]string{"src/A.java": "ours"})
	commit(t, dir)
	merge := exec.Command("git", "merge", "other")
	merge.Dir = dir
	if out, err := merge.CombinedOutput(); err == nil {
		t.Fatalf("no conflict: %s", out)
	}
	out, l := read(t, dir)
	if strings.Count(paths(l), "src/A.java") != 1 || !out.Dirty {
		t.Fatalf("dirty %v, files %q", out.Dirty, paths(l))
	}
	if err := os.RemoveAll(dir + "/.git"); err != nil {
		t.Fatal(err)
	}
	if plain, _ := read(t, dir); plain.Tree != out.Tree {
		t.Error("a conflicted file is not hashed as it is on disk")
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"file": ""})
	if err := New(Config{Dir: dir}).Check(t.Context()); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{dir + "/file", dir + "/none"} {
		err := New(Config{Dir: bad}).Check(t.Context())
		if fault.ClassOf(err) != fault.BadInput || fault.HintOf(err) == "" || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestRunTellsWhatItFound(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	put(t, dir, project())
	commit(t, dir)
	put(t, dir, map[string]string{"src/B.java": ""})
	step := New(Config{Dir: dir})
	var notes []runner.Body
	result, err := step.Run(t.Context(), runner.Env{Emit: func(b runner.Body) { notes = append(notes, b) }}, In{})
	if err != nil {
		t.Fatal(err)
	}
	want := "commit " + result.Out.Commit[:12] + " on main, 5 files, 1 of them not as committed"
	if len(notes) != 1 || notes[0] != (runner.Note{Text: want}) {
		t.Errorf("notes %v, want %q", notes, want)
	}
	plan, err := step.Plan(t.Context(), In{})
	if err != nil || plan.Out.Tree != result.Out.Tree || plan.Out.Commit != result.Out.Commit || plan.Out.Dirty != result.Out.Dirty || plan.Lines[0] != "build "+want {
		t.Errorf("plan %+v, %v", plan, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := step.Plan(ctx, In{}); err == nil {
		t.Error("a cancelled run went on")
	}
}
