package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/container"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run the real main as "fastship", and the sandbox
// re-execute it.
func TestMain(m *testing.M) {
	if code, ok := container.Init(os.Args[1:]); ok {
		os.Exit(code)
	}
	testscript.Main(cleaning{m}, map[string]func(){"fastship": main})
}

// cleaning removes what the tests share once all have run.
type cleaning struct{ *testing.M }

func (c cleaning) Run() int {
	code := c.M.Run()
	if dir, _ := shared(); dir != "" {
		os.RemoveAll(dir)
	}
	return code
}

// TestScripts runs testdata/script: the command line's specification.
func TestScripts(t *testing.T) {
	apps, err := filepath.Abs("../../testdata/apps")
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(sharedDir(t), "cache")
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("FASTSHIP_CACHE_DIR", kept)
			env.Setenv("JAVA_HOME", os.Getenv("JAVA_HOME"))
			env.Setenv("APPS", apps)
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"app":      copyApp,
			"exits":    exits,
			"lastline": lastLine,
			"registry": startRegistry,
			"ecs":      startECS,
			"image":    putImage,
			"jar":      writeJar,
			"javabase": writeJavaBase,
			"example":  writeExample,
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "integration":
				return os.Getenv("FASTSHIP_INTEGRATION") != "", nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, nil
		},
	})
}

// copyApp is "app NAME DIR": a fresh copy of testdata/apps/NAME, without what
// an earlier build left there.
func copyApp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: app NAME DIR")
	}
	ts.Check(copyProject(filepath.Join(ts.Getenv("APPS"), args[0]), ts.MkAbs(args[1])))
}

// copyProject copies a project without what builds have left in it.
func copyProject(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "target" || d.Name() == ".fastship") {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			return filepath.SkipDir
		}
		return err
	})
}

// exits is "exits CODE PROGRAM [ARG...]": the program ends with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// lastLine is "lastline PATTERN": the last line of stderr matches.
func lastLine(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: lastline PATTERN")
	}
	lines := strings.Split(strings.TrimRight(ts.ReadFile("stderr"), "\n"), "\n")
	last := lines[len(lines)-1]
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	if pattern.MatchString(last) == neg {
		ts.Fatalf("last line of stderr: %q; pattern %q; want match: %v", last, args[0], !neg)
	}
}

// integration skips what needs more than Go, git and a JDK.
func integration(t *testing.T) {
	t.Helper()
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("FASTSHIP_INTEGRATION is not set: .ci/test sets it")
	}
}

func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	return path
}
