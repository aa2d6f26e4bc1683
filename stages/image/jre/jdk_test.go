package jre

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
)

// install makes what looks like a JDK: paths that end in a slash are folders,
// others are programs.
func install(t *testing.T, release string, paths ...string) string {
	t.Helper()
	home := t.TempDir()
	for _, p := range append(paths, "release") {
		path := filepath.Join(home, p)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(release), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

func TestFind(t *testing.T) {
	home := install(t, "IMPLEMENTOR=\"Eclipse Adoptium\"\nJAVA_VERSION=\"21.0.7\"\nMODULES=\"java.base java.xml java.sql\"\nOS_ARCH=\"aarch64\"\nOS_NAME=\"Linux\"\n")
	jdk, err := Find(home)
	if err != nil {
		t.Fatal(err)
	}
	if jdk.String() != "JDK 21.0.7 (Eclipse Adoptium)" || jdk.Major != 21 || jdk.OS != "Linux" || jdk.Arch != "aarch64" || strings.Join(jdk.Modules, " ") != "java.base java.sql java.xml" {
		t.Errorf("got %+v", jdk)
	}
	for name, home := range map[string]string{
		"nothing there": filepath.Join(t.TempDir(), "jdk"),
		"no version":    install(t, "OS_NAME=\"Linux\"\n"),
	} {
		if _, err := Find(home); fault.ClassOf(err) != fault.Missing || !strings.Contains(fault.HintOf(err), "image.base") {
			t.Errorf("%s: %v, hint %q", name, err, fault.HintOf(err))
		}
	}
}

func TestMajor(t *testing.T) {
	for version, want := range map[string]int{"1.8.0_412": 8, "9": 9, "11.0.2": 11, "17.0.15": 17, "26-ea": 26, "": 0, "x": 0} {
		if got := major(version); got != want {
			t.Errorf("%s: %d", version, got)
		}
	}
}

func TestCheckRefusesWhatCannotLink(t *testing.T) {
	for name, c := range map[string]struct {
		release string
		paths   []string
		want    string
	}{
		"JDK 8, none of it":        {`JAVA_VERSION="1.8.0_412"`, []string{"bin/javac", "jre/bin/java"}, "lib/rt.jar"},
		"JDK 8, no program":        {`JAVA_VERSION="1.8.0_412"`, []string{"bin/javac", "jre/bin/java", "jre/lib/rt.jar"}, "bad magic number"},
		"for macOS":                {"JAVA_VERSION=\"17.0.1\"\nOS_NAME=\"Darwin\"", []string{"bin/jlink"}, "this JDK is for Darwin"},
		"a JRE":                    {"JAVA_VERSION=\"17.0.1\"\nOS_NAME=\"Linux\"", []string{"bin/java"}, "it has no jlink: "},
		"no jmods":                 {"JAVA_VERSION=\"21.0.1\"\nOS_NAME=\"Linux\"", []string{"bin/jlink", "lib/modules"}, "it has no jmods directory, which jlink needs before JDK 24"},
		"25, no image":             {"JAVA_VERSION=\"25.0.1\"\nOS_NAME=\"Linux\"", []string{"bin/jlink"}, "lib/modules: no such file"},
		"25, cannot link from its": {"#!/bin/true\nJAVA_VERSION=\"25.0.1\"\nOS_NAME=\"Linux\"", []string{"bin/jlink", "lib/modules"}, "was built without linking from the run-time image"},
	} {
		t.Run(name, func(t *testing.T) {
			jdk, err := Find(install(t, c.release, c.paths...))
			if err != nil {
				t.Fatal(err)
			}
			err = Check(t.Context(), jdk, jdk)
			if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if !strings.Contains(fault.HintOf(err), "image.base") {
				t.Errorf("hint %q", fault.HintOf(err))
			}
		})
	}
}

func TestCheckAcceptsWhatCanLink(t *testing.T) {
	for name, paths := range map[string][]string{
		`JAVA_VERSION="17.0.1"`: {"bin/jlink", "jmods/java.base.jmod"},
		"#!/bin/echo Linking from run-time image enabled\nJAVA_VERSION=\"26\"": {"bin/jlink", "lib/modules"},
		"JAVA_VERSION=\"25\"\n\x00base_files\x00":                              {"bin/jlink", "lib/modules"},
	} {
		jdk, err := Find(install(t, name+"\nOS_NAME=\"Linux\"\n", paths...))
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(t.Context(), jdk, jdk); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSweepRemovesWhatAKilledRunLeft(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	old := time.Now().Add(-2 * workGrace)
	dead, err := os.MkdirTemp("", workPrefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead, "modules"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	live, release, err := workspace()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	young, err := os.MkdirTemp("", workPrefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dead, live} {
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("the dead run's folder: %v", err)
	}
	for _, dir := range []string{live, young} {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
}

func TestHomeHasOneLength(t *testing.T) {
	for _, dir := range []string{"/tmp/fastship-jre-1", "/var/folders/fastship-jre-123456789"} {
		if home, fixed := homeIn(dir); len(home) != homeLength || !fixed || !strings.HasPrefix(home, dir+"/") {
			t.Errorf("%s: %s", dir, home)
		}
	}
	if home, fixed := homeIn("/" + strings.Repeat("long/", 50)); fixed || !strings.HasSuffix(home, "/java") {
		t.Errorf("a long one: %s", home)
	}
}

// An identity is read once, however often the JDK is found, as long as its
// files stay as they are.
func TestAgain(t *testing.T) {
	home := install(t, "JAVA_VERSION=\"17.0.15\"\n", "jmods/java.base.jmod", "lib/modules")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	jvm := filepath.Join(home, "lib", "server", "libjvm.so")
	if err := os.MkdirAll(filepath.Dir(jvm), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, jvm); err != nil {
		t.Fatal(err)
	}
	find := func() JDK {
		t.Helper()
		jdk, err := Find(home)
		if err != nil {
			t.Fatal(err)
		}
		return jdk
	}
	first := find()
	id, err := first.Identity()
	if err != nil {
		t.Fatal(err)
	}
	reads := 0
	counted := first
	counted.identity = func() (cache.Digest, error) { reads++; return id, nil }
	if got, err := find().Again(counted).Identity(); got != id || err != nil || reads != 1 {
		t.Errorf("%s, %v, the earlier one asked %d times", got, err, reads)
	}
	if got, err := find().Again(JDK{Home: home}).Identity(); got != id || err != nil {
		t.Errorf("%s, %v of one that was never found", got, err)
	}
	for name, change := range map[string]func() error{
		"modules written": func() error { return os.WriteFile(filepath.Join(home, "lib", "modules"), []byte("other"), 0o644) },
		"a jmod added": func() error {
			return os.WriteFile(filepath.Join(home, "jmods", "java.sql.jmod"), []byte("x"), 0o644)
		},
		"another release": func() error {
			return os.WriteFile(filepath.Join(home, "release"), []byte("JAVA_VERSION=\"17.0.16\"\n"), 0o644)
		},
	} {
		before := find()
		if _, err := before.Identity(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // the kernel's clock ticks every few
		if err := change(); err != nil {
			t.Fatal(err)
		}
		got, err := find().Again(before).Identity()
		if now, _ := find().Identity(); err != nil || got != now || got == id {
			t.Errorf("%s: %s, %v, want %s", name, got, err, now)
		}
		id = got
	}
}
