package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSignals ends a run in the middle of its Maven child: the child's whole
// process group goes, the exit code says which signal it was, the last line
// too, and the result file is written.
func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		code   int
		last   string
	}{
		{"SIGINT", syscall.SIGINT, 130, "error: interrupted"},
		{"SIGTERM", syscall.SIGTERM, 143, "error: terminated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, marker := stuckProject(t, "trap 'echo bye; exit 1' TERM")
			cmd := program(t, dir, "run", "--result", "result.json")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, func() bool { return exists(filepath.Join(dir, "started")) })
			cmd.Process.Signal(c.signal)
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d, want %d\n%s", code, c.code, stderr.String())
			}
			if last := lastOf(stderr.String()); last != c.last {
				t.Errorf("last line %q, want %q", last, c.last)
			}
			if r := result(t, filepath.Join(dir, "result.json")); r.ExitCode != c.code {
				t.Errorf("the result file says exit code %d", r.ExitCode)
			}
			noneLeft(t, marker)
		})
	}
}

// TestSecondInterruptEndsAtOnce has a child that ignores SIGTERM: the second
// SIGINT does not wait for the grace period, and the child dies all the same.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	dir, marker := stuckProject(t, "trap '' TERM")
	cmd := program(t, dir, "run")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return exists(filepath.Join(dir, "started")) })
	cmd.Process.Signal(syscall.SIGINT)
	time.Sleep(300 * time.Millisecond)
	start := time.Now()
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if waited := time.Since(start); waited > 2*time.Second {
		t.Errorf("the second SIGINT took %v", waited)
	}
	noneLeft(t, marker)
}

// TestKillNineLeavesNoChild kills fastship itself: the parent-death signal
// takes the child along.
func TestKillNineLeavesNoChild(t *testing.T) {
	dir, marker := stuckProject(t, "trap '' TERM")
	cmd := program(t, dir, "run")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return exists(filepath.Join(dir, "started")) })
	cmd.Process.Kill()
	cmd.Wait()
	noneLeft(t, marker)
}

// stuckProject is hello with a Maven wrapper that never ends. The marker is in
// the command line of the wrapper's child, to find it by.
func stuckProject(t *testing.T, trap string) (dir, marker string) {
	t.Helper()
	dir = app(t, "hello")
	marker = filepath.Join(dir, "marker")
	script := "#!/bin/sh\n" + trap + "\ntouch started\nwhile :; do tail -f /dev/null " + marker + " & wait $!; done\n"
	if err := os.WriteFile(marker, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mvnw"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, marker
}

// noneLeft waits a moment for every process that names the marker, a file of
// this test, to be gone.
func noneLeft(t *testing.T, marker string) {
	t.Helper()
	gone(t, marker, func(string) bool { return true })
}

// noTaskLeft is noneLeft for the sandbox of a project: its tasks have the
// command lines of all others, but their own mounts.
func noTaskLeft(t *testing.T, dir string) {
	t.Helper()
	gone(t, "com.example.hello.Hello|/app/app.jar", func(pid string) bool {
		mounts, _ := os.ReadFile(filepath.Join("/proc", pid, "mountinfo")) // it may be gone by now
		return strings.Contains(string(mounts), dir)
	})
}

// gone ends what is left, and no process of anybody else.
func gone(t *testing.T, pattern string, mine func(pid string) bool) {
	t.Helper()
	var left []string
	for range 40 {
		out, _ := exec.Command("pgrep", "-f", pattern).Output()
		left = slices.DeleteFunc(strings.Fields(string(out)), func(pid string) bool { return !mine(pid) })
		if len(left) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, id := range left {
		command, _ := os.ReadFile(filepath.Join("/proc", id, "cmdline"))
		t.Errorf("still running: %s %q", id, command)
		if pid, err := strconv.Atoi(id); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by now
		}
	}
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ready() {
			return
		}
	}
	t.Fatal("waited 2 minutes in vain")
}

func lastOf(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return lines[len(lines)-1]
}
