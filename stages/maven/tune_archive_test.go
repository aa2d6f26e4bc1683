package maven

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// dumper is a java that archives what the list names.
const dumper = `#!/bin/sh
for a; do case $a in -XX:SharedArchiveFile=*) file=${a#*=};; -XX:SharedClassListFile=*) list=${a#*=};; -Xshare:dump) dump=1;; esac; done
[ -z "$dump" ] || { [ -z "$JAVA_TOOL_OPTIONS" ] && cp "$list" "$file"; }
`

// archiving is a job on a host with a JDK that can make archives, whose Maven
// records and tells what it was started with.
type archiving struct {
	*Step
	dir, launcher, jdk string
	blobs              string // the folder
	warned             []string
}

func newArchiving(t *testing.T, tune, script string, environ ...string) *archiving {
	t.Helper()
	project := files(t, "pom.xml", "<project/>")
	file := jar(t, filepath.Join(project, "target", "a-1.jar"), main)
	a := &archiving{dir: project, launcher: filepath.Join(t.TempDir(), "launcher.jar")}
	if err := os.WriteFile(a.launcher, []byte("jar"), 0o644); err != nil {
		t.Fatal(err)
	}
	record := `echo "opts $MAVEN_OPTS"
list=$(printf '%s\n' $MAVEN_OPTS | sed -n 's/^-XX:DumpLoadedClassList=//p' | sed s/%p/pid7/)
log=$(printf '%s\n' $MAVEN_OPTS | sed -n 's/.*:file=\(.*\):timemillis/\1/p' | sed s/%p/7/)
[ -z "$list" ] || { echo java/lang/Object id: 0 > $list; echo '[12ms] org.codehaus.plexus.classworlds.launcher.Launcher source: file:` + a.launcher + `' > $log; }
`
	a.Step = played(t, Config{Dir: project, Tune: tune}, record+`say "{\"event\":\"start\",\"maven\":\"3.9.9\",\"javaHome\":\"$JAVA_HOME\",\"javaVersion\":\"17.0.1\",\"javaMajor\":17}"
`+strings.SplitN(started(project, "17"), "\n", 2)[1]+script+ends(file), environ...)
	a.jdk = mvn.Host{Environ: a.deps.Environ}.Getenv("JAVA_HOME")
	if err := os.WriteFile(filepath.Join(a.jdk, "bin", "java"), []byte(dumper), 0o755); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	store, err := dir.Open(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.blobs = filepath.Join(root, "blobs", "sha256")
	a.deps.Local = &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { a.warned = append(a.warned, err.Error()) }}
	return a
}

// run runs the job with the work in the background, and tells what that came
// to and whether Maven recorded or started from an archive.
func (a *archiving) run(t *testing.T) (r run, how string, behind error) {
	t.Helper()
	var work func(context.Context) error
	r = runBeside(t, t.Context(), a.Step, func(what string, f func(context.Context) error) {
		if !strings.HasPrefix(what, "archive ") {
			inline(what, f)
			return
		}
		work = f
	})
	how = "neither"
	for _, l := range of[runner.Log](r) {
		switch {
		case !strings.HasPrefix(l.Line, "opts "):
		case strings.Contains(l.Line, "-XX:DumpLoadedClassList="):
			how = "records"
		case strings.Contains(l.Line, "-XX:SharedArchiveFile="+a.blobs):
			how = "starts from it"
		default:
			how = "neither"
		}
	}
	if work != nil {
		behind = work(t.Context())
	}
	left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "fastship-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	return r, how, behind
}

// go on through runs that go well, and compare how each started.
func (a *archiving) all(t *testing.T, want ...string) {
	t.Helper()
	for i, want := range want {
		r, how, err := a.run(t)
		if r.err != nil || err != nil || how != want {
			t.Fatalf("run %d %s, want %s: %v, behind: %v\n%s\n%s", i+1, how, want, r.err, err, r.said(), r.output())
		}
	}
}

// made is a job whose archive is there.
func made(t *testing.T, script string) *archiving {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	a := newArchiving(t, TuneOn, script)
	a.all(t, "neither", "records", "starts from it")
	return a
}

func TestClassArchive(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	a := newArchiving(t, TuneAuto, "", "MAVEN_OPTS=-Dusers=own", "JAVA_TOOL_OPTIONS=-Da=b")
	a.all(t, "neither", "records", "starts from it", "starts from it")
	r, _, _ := a.run(t)
	if !strings.Contains(r.output(), "-Xshare:auto") || !strings.Contains(r.output(), " -Dusers=own") || !strings.Contains(r.said(), "from an archive of its classes") {
		t.Errorf("%s\n%s", r.output(), r.said())
	}
	if len(a.warned) > 0 {
		t.Errorf("warned of %q", a.warned)
	}
}

func TestClassArchiveIsLeftToTheUser(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	newArchiving(t, TuneOff, "").all(t, "neither", "neither", "neither")
	newArchiving(t, TuneOn, "", "MAVEN_OPTS=-Xshare:off").all(t, "neither", "neither", "neither")
	newArchiving(t, TuneOn, "", "JAVA_TOOL_OPTIONS=-XX:SharedArchiveFile=/a").all(t, "neither", "neither", "neither")
}

func TestClassArchiveThatFitsNoMoreIsMadeAnew(t *testing.T) {
	a := made(t, "")
	if err := os.WriteFile(a.launcher, []byte("another jar"), 0o644); err != nil {
		t.Fatal(err)
	}
	a.all(t, "records", "starts from it")
	modules := filepath.Join(a.jdk, "lib", "modules")
	if err := os.MkdirAll(filepath.Dir(modules), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(modules, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a.all(t, "neither", "records", "starts from it")
}

// TestDamagedClassArchiveIsNotMapped: JDK 17 ends with SIGBUS on a file that
// is too short. That its checksums find changed bytes, the integration test
// holds.
func TestDamagedClassArchiveIsNotMapped(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"truncated": func(path string) error { return os.Truncate(path, 3) },
		"gone":      os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			a := made(t, "")
			found, err := filepath.Glob(filepath.Join(a.blobs, "*"))
			if err != nil || len(found) != 1 {
				t.Fatalf("%q, %v", found, err)
			}
			if err := os.Chmod(found[0], 0o644); err != nil {
				t.Fatal(err)
			}
			if err := damage(found[0]); err != nil {
				t.Fatal(err)
			}
			a.all(t, "neither", "records", "starts from it")
		})
	}
}

func TestCrashOnTheClassArchive(t *testing.T) {
	const crash = `case "$MAVEN_OPTS" in *SharedArchiveFile*) [ ! -e ../crash ] || kill -ABRT $$;; esac` + "\n"
	crashing := func(t *testing.T, script string) *archiving {
		a := made(t, script)
		crash := filepath.Join(filepath.Dir(a.dir), "crash")
		if err := os.WriteFile(crash, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(crash) })
		return a
	}
	t.Run("at the start", func(t *testing.T) {
		a := crashing(t, crash)
		r, how, err := a.run(t)
		if r.err != nil || err != nil || how != "neither" || strings.Count(r.said(), "without the archive of its classes: its JVM crashed") != 1 {
			t.Fatalf("%s, %v, %v\n%s", how, r.err, err, r.said())
		}
		a.all(t, "neither", "neither")
	})
	t.Run("in the middle", func(t *testing.T) {
		a := crashing(t, mojo("MojoStarted", "maven-deploy-plugin", "deploy", "")+crash)
		r, _, _ := a.run(t)
		mustFail(t, r.err, fault.BuildFailed, "signal 6")
		if strings.Contains(r.said(), "anew") {
			t.Errorf("what was deployed may be deployed twice:\n%s", r.said())
		}
		a.all(t, "neither", "neither")
	})
}

func TestRefusedClassArchive(t *testing.T) {
	a := made(t, `case "$MAVEN_OPTS" in *SharedArchiveFile*) [ ! -e refuse ] || { echo "Error: Could not create the Java Virtual Machine." >&2; exit 1; };; esac`+"\n")
	if err := os.WriteFile(filepath.Join(a.dir, "refuse"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r, how, err := a.run(t)
	if r.err != nil || err != nil || how != "neither" || strings.Count(r.said(), "anew, untuned") != 1 {
		t.Fatalf("%s, %v, %v\n%s", how, r.err, err, r.said())
	}
	a.all(t, "neither")
}

func TestClassArchiveThatCannotBeMade(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	a := newArchiving(t, TuneOn, "")
	java := filepath.Join(a.jdk, "bin", "java")
	if err := os.WriteFile(java, []byte("#!/bin/sh\necho Error: no room\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	a.all(t, "neither")
	r, how, err := a.run(t)
	if r.err != nil || how != "records" || err == nil || !strings.Contains(err.Error(), "no room") {
		t.Fatalf("%s, %v, behind: %v", how, r.err, err)
	}
	a.all(t, "neither", "neither") // not tried again today
}

func TestOldClassArchiveIsMadeAnewForOtherPlugins(t *testing.T) {
	a := made(t, "")
	j, err := a.prepare(t.Context(), a.dir)
	if err != nil {
		t.Fatal(err)
	}
	key := a.archiveKey(j)
	past, blobs, ok := cache.Lookup[archived](t.Context(), a.local(), key)
	if !ok || len(blobs) != 1 {
		t.Fatalf("%+v, %v", past, blobs)
	}
	past.Made = past.Made.Add(-2 * archiveRest)
	cache.Keep(t.Context(), a.local(), key, past, blobs)
	a.all(t, "starts from it", "starts from it")
	past.Plugins = "others"
	cache.Keep(t.Context(), a.local(), key, past, blobs)
	a.all(t, "starts from it", "records", "starts from it")
	past, _, _ = cache.Lookup[archived](t.Context(), a.local(), key)
	if past.Again || time.Since(past.Made) > time.Hour {
		t.Errorf("%+v", past)
	}
}
