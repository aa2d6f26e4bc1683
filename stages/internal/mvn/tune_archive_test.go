package mvn

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCanArchiveLeavesTheUsersChoices(t *testing.T) {
	for name, c := range map[string]struct {
		env, release, config string
		major                int
		want                 bool
	}{
		"nothing chosen":      {major: 17, want: true},
		"a heap":              {env: "MAVEN_OPTS=-Xmx1g -Dshare=-Xshare:off", major: 17, want: true},
		"an old JDK":          {major: 11},
		"OpenJ9":              {major: 17, release: "JVM_VARIANT=\"Openj9\"\n"},
		"an archive":          {env: "MAVEN_OPTS=-Xmx1g -XX:SharedArchiveFile=/a.jsa", major: 17},
		"sharing off":         {env: "JAVA_TOOL_OPTIONS=-Xshare:off", major: 17},
		"an AOT cache":        {env: "JDK_JAVA_OPTIONS=-XX:AOTCache=a.aot", major: 25},
		"jvm.config":          {config: "-Xmx1g\n-XX:ArchiveClassesAtExit=x.jsa\n", major: 17},
		"an agent":            {config: "-javaagent:x.jar", major: 17},
		"a debugger":          {env: "MAVEN_DEBUG_OPTS=-agentlib:jdwp=transport=dt_socket", major: 17},
		"its own log of CDS":  {env: "MAVEN_OPTS=-Xlog:class+path,cds=debug", major: 17},
		"other object layout": {env: "MAVEN_OPTS=-XX:-UseCompressedOops", major: 17},
		"a file of flags":     {env: "MAVEN_OPTS=-XX:Flags=x", major: 17},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "jdk", "release"), c.release+"JAVA_VERSION=x\n", 0o644)
			write(t, filepath.Join(dir, ".mvn", "jvm.config"), c.config, 0o644)
			j := JDK{Home: filepath.Join(dir, "jdk"), Major: c.major}
			if got := CanArchive(Host{Environ: []string{c.env}}, dir, j); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestArchiveFlags(t *testing.T) {
	for path, want := range map[string]bool{"/c/blobs/sha256/ab": true, "/my cache/ab": false, "/a:/b": false, "/$HOME/a": false, "/'x": false} {
		if _, ok := ArchiveFlags(path, JDK{Major: 17}); ok != want {
			t.Errorf("%s: %v", path, ok)
		}
	}
	for major, want := range map[int]bool{17: false, 24: false, 25: true} {
		if flags, _ := ArchiveFlags("/a", JDK{Major: major}); slices.Contains(flags, "-Xlog:aot*=off") != want {
			t.Errorf("JDK %d: %q", major, flags)
		}
	}
}

func TestStamp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jar")
	write(t, file, "one", 0o644)
	s, err := NewStamp(file)
	if err != nil || !s.Holds() {
		t.Fatalf("%v, %+v", err, s)
	}
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour)); err != nil || s.Holds() {
		t.Errorf("another time is the same file: %v", err)
	}
	if err := os.Remove(file); err != nil || s.Holds() {
		t.Errorf("no file is the same file: %v", err)
	}
}

// TestRecordingTakesTheFirstJVM plays a Maven that starts another one, which
// inherits the flags.
func TestRecordingTakesTheFirstJVM(t *testing.T) {
	r, err := NewRecording()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	jars := t.TempDir()
	for _, name := range []string{"kept.jar", "target/own.jar"} {
		write(t, filepath.Join(jars, name), "", 0o644)
	}
	write(t, filepath.Join(r.dir, "9.log"), "[1763902345200ms] java.lang.Object source: x\n[1763902345201ms] "+launcherClass+"/other/launcher.jar\n", 0o644)
	write(t, filepath.Join(r.dir, "pid9.classes"), "java/lang/Other id: 0\n", 0o644)
	write(t, filepath.Join(r.dir, "19.log"), `[1763902345123ms] VM Arguments:
[1763902345123ms] jvm_args: --enable-native-access=ALL-UNNAMED -Xmx1g --add-opens=x --add-modules=java.se -Dx=1
[1763902345130ms] `+launcherClass+`/maven/boot/launcher.jar
`, 0o644)
	lines := []string{
		"java/lang/Object id: 0",
		"java/lang/Runnable id: 1",
		"@lambda-proxy java/lang/System$Logger run ()V",
		"org/x/Kept id: 2 super: 0 interfaces: 1 source: " + jars + "/kept.jar",
		"org/x/Own id: 3 super: 0 source: " + jars + "/target/own.jar",
		"org/x/NeedsOwn id: 4 super: 0 interfaces: 1 3 source: " + jars + "/kept.jar",
		"org/x/NeedsThat id: 5 super: 4 source: " + jars + "/kept.jar",
		"org/x/Gone id: 6 super: 0 source: " + jars + "/gone.jar",
		"org/x/Last id: 7 super: 2 source: " + jars + "/kept.jar",
		"",
	}
	write(t, filepath.Join(r.dir, "pid19.classes"), strings.Join(lines, "\n"), 0o644)
	c, err := r.Classes(filepath.Join(jars, "target"))
	if err != nil {
		t.Fatal(err)
	}
	if c.ClassPath != "/maven/boot/launcher.jar" || !slices.Equal(c.options, []string{"--enable-native-access=ALL-UNNAMED", "--add-modules=java.se"}) {
		t.Errorf("class path %s, options %q", c.ClassPath, c.options)
	}
	want := strings.Join(slices.Concat(lines[:4], lines[8:]), "\n")
	if string(c.list) != want {
		t.Errorf("the list is\n%s\nwant\n%s", c.list, want)
	}
}

func TestRecordingWithoutALauncherIsNone(t *testing.T) {
	for name, log := range map[string]string{
		"no launcher":   "[1ms] java.lang.Object source: x\n",
		"an odd place":  "[1ms] " + launcherClass + "/my maven/launcher.jar\n",
		"no class list": "[1ms] " + launcherClass + "/maven/launcher.jar\n",
	} {
		r, err := NewRecording()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Classes(); err == nil {
			t.Error("an empty folder is a recording")
		}
		write(t, filepath.Join(r.dir, "1.log"), log, 0o644)
		if _, err := r.Classes(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestClassesDirClearsWhatAKilledRunLeft(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	old, err := ClassesDir()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(old, "archive"), "x", 0o400)
	beside, err := ClassesDir()
	if err != nil {
		t.Fatal(err)
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	if _, err := ClassesDir(); err != nil {
		t.Fatal(err)
	}
	if exists(old) || !exists(beside) {
		t.Errorf("yesterday's is there: %v, today's: %v", exists(old), exists(beside))
	}
}
