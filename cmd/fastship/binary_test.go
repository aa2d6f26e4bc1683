package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// shared is what the tests of this process build once, in a folder that goes
// when they have run: the binary, and a cache, since linking a Java runtime
// takes seconds.
var shared = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fastship-test-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "fastship"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return dir, errors.Join(err, errors.New(string(out)))
	}
	return dir, nil
})

func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// program is a fastship process to be.
func program(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	kept := sharedDir(t)
	cmd := exec.Command(filepath.Join(kept, "fastship"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "FASTSHIP_CACHE_DIR="+filepath.Join(kept, "cache"), "AWS_EC2_METADATA_DISABLED=true")
	return cmd
}

// run runs fastship to its end, which must be exit code want, and returns
// stdout and stderr.
func run(t *testing.T, want int, dir string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := program(t, dir, args...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	runErr := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("fastship %v: exit code %d, want %d (%v)\n%s%s", args, got, want, runErr, out.String(), err.String())
	}
	return out.String(), err.String()
}

// app copies a sample service, without what an earlier build left in it.
func app(t *testing.T, name string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := copyProject(filepath.Join("..", "..", "testdata", "apps", name), to); err != nil {
		t.Fatal(err)
	}
	return to
}
