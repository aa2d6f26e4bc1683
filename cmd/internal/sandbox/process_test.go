package sandbox_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fastship/fastship/cmd/internal/sandbox"
	"github.com/fastship/fastship/internal/fault"
)

// served starts another process that serves in the project.
func served(t *testing.T, project string) (cmd *exec.Cmd, stop func()) {
	t.Helper()
	if err := sandbox.Check(t.Context()); err != nil {
		t.Skip(err)
	}
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), servedDir+"="+project)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "serving\n" {
		t.Fatalf("%q %v", line, err)
	}
	return cmd, func() { in.Close() }
}

func TestSecondProcessUsesTheFirstOnes(t *testing.T) {
	project := t.TempDir()
	if r, err := sandbox.Find(config(project).Dir); r != nil || err != nil {
		t.Fatal(r, err)
	}
	cmd, stop := served(t, project)
	r, err := sandbox.Find(config(project).Dir)
	if err != nil || r == nil || r.PID() != cmd.Process.Pid {
		t.Fatal(r, err)
	}
	rollOut(t, r, pushGreeter(t, r, "VERSION=1"))
	if a := firstAnswer(t, r); !strings.HasPrefix(a.Body, "version 1") {
		t.Errorf("%+v", a)
	}
	if _, err := sandbox.Start(t.Context(), config(project)); fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), fmt.Sprintf("process %d", cmd.Process.Pid)) {
		t.Error(err)
	}
	stop()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(config(project).Dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestKilledSandboxIsClearedByTheNext(t *testing.T) {
	project := t.TempDir()
	cmd, _ := served(t, project)
	r, err := sandbox.Find(config(project).Dir)
	if err != nil || r == nil {
		t.Fatal(r, err)
	}
	rollOut(t, r, pushGreeter(t, r, "VERSION=1"))
	firstAnswer(t, r)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if left, err := filepath.Glob(filepath.Join(config(project).Dir, "tasks/*")); err != nil || len(left) == 0 {
		t.Fatal("a killed sandbox is expected to leave a task's directory", left, err)
	}
	if r, err := sandbox.Find(config(project).Dir); r != nil || err != nil {
		t.Fatal("a dead sandbox is found", r, err)
	}
	for deadline := time.Now().Add(5 * time.Second); running(t, "/greeter"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the application outlives its sandbox")
		}
	}
	s := start(t, project)
	if left, err := filepath.Glob(filepath.Join(config(project).Dir, "tasks/*")); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
	closed(t, s, project)
}

// running tells whether some process of this user runs a program of that
// name for the project's tests.
func running(t *testing.T, program string) bool {
	t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(commands, func(file string) bool {
		raw, _ := os.ReadFile(file)
		return strings.HasPrefix(string(raw), program+"\x00") || string(raw) == program
	})
}

// TestUnprivileged runs the other tests as a user without any rights.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("already unprivileged")
	}
	greeter, err := program()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "unprivileged")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, content := range map[string][]byte{"sandbox.test": self, "greeter": greeter} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "sandbox.test"), "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + dir, "HOME=" + dir, "PATH=" + os.Getenv("PATH"), builtGreeter + "=" + filepath.Join(dir, "greeter")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: TestFromOneRevisionToTheNextWithoutAGap") && !strings.Contains(string(out), "namespaces are not allowed here") {
		t.Errorf("the tests ran neither well nor not at all:\n%s", out)
	}
}
