package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// recorder collects lines from both streams.
type recorder struct {
	mu    sync.Mutex
	lines []string
	first chan struct{} // closed at the first line
}

func newRecorder() *recorder { return &recorder{first: make(chan struct{})} }

func (r *recorder) tell(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines = append(r.lines, line); len(r.lines) == 1 {
		close(r.first)
	}
}

func sh(script string) Cmd { return Cmd{Path: "/bin/sh", Args: []string{"-c", script}} }

func TestRunGivesOutputAndExit(t *testing.T) {
	var stdout, stderr []string
	c := sh(`pwd; echo "$GREETING"; cat; printf 'no ending'; echo oops >&2; exit 7`)
	c.Dir, _ = filepath.EvalSymlinks(t.TempDir())
	c.Env = []string{"GREETING=hello", "PATH=" + os.Getenv("PATH")}
	c.Stdin = strings.NewReader("from stdin\n")
	c.Stdout = func(l string) { stdout = append(stdout, l) }
	c.Stderr = func(l string) { stderr = append(stderr, l) }
	exit, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if exit.Code != 7 || exit.Signal != 0 {
		t.Errorf("exit %+v, want code 7", exit)
	}
	if exit.MaxRSS < 64<<10 || exit.MaxRSS > 1<<30 {
		t.Errorf("MaxRSS %d bytes is not a shell's", exit.MaxRSS)
	}
	if want := []string{c.Dir, "hello", "from stdin", "no ending"}; !slices.Equal(stdout, want) {
		t.Errorf("stdout %q, want %q", stdout, want)
	}
	if want := []string{"oops"}; !slices.Equal(stderr, want) {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
}

func TestRunTellsSignal(t *testing.T) {
	exit, err := Run(t.Context(), sh("kill -9 $$"))
	if err != nil || exit.Signal != syscall.SIGKILL || exit.Code != -1 {
		t.Errorf("got %+v, %v; want SIGKILL", exit, err)
	}
}

func TestRunCountsCPU(t *testing.T) {
	exit, err := Run(t.Context(), sh("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"))
	if err != nil || exit.UserTime < 10*time.Millisecond {
		t.Errorf("user time %v, %v", exit.UserTime, err)
	}
}

func TestRunDeliversAllToSlowReader(t *testing.T) {
	// The child ends at once with its pipe full; the reader takes longer
	// than drain for it.
	n := 0
	c := sh("seq 1 3000")
	c.Stdout = func(string) { n++; time.Sleep(500 * time.Microsecond) }
	if _, err := Run(t.Context(), c); err != nil || n != 3000 {
		t.Errorf("%d lines of 3000, %v", n, err)
	}
}

func TestCancelTerminatesGroup(t *testing.T) {
	cause := errors.New("the user pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	rec := newRecorder()
	c := sh(`trap 'echo got TERM; exit 3' TERM; sleep 60 & sleep 0.3; echo $!; wait`)
	c.Stdout = rec.tell
	go func() { <-rec.first; cancel(cause) }()
	start := time.Now()
	exit, err := Run(ctx, c)
	if !errors.Is(err, cause) || exit.Code != 3 {
		t.Errorf("got %+v, %v; want code 3 and the cause", exit, err)
	}
	if d := time.Since(start); d > 8*time.Second {
		t.Errorf("took %v, although the child ends at SIGTERM", d)
	}
	if len(rec.lines) != 2 || rec.lines[1] != "got TERM" {
		t.Fatalf("lines %q", rec.lines)
	}
	wantGone(t, rec.lines[0])
}

func TestCancelKillsStubbornGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rec := newRecorder()
	// Child and grandchild both ignore SIGTERM; ignored signals are inherited.
	c := sh(`trap '' TERM; sleep 60 & sleep 0.1; echo $!; while :; do sleep 1; done`)
	c.Stdout, c.Grace = rec.tell, 300*time.Millisecond
	go func() { <-rec.first; cancel() }()
	start := time.Now()
	exit, err := Run(ctx, c)
	if !errors.Is(err, context.Canceled) || exit.Signal != syscall.SIGKILL {
		t.Errorf("got %+v, %v; want SIGKILL", exit, err)
	}
	if d := time.Since(start); d < 300*time.Millisecond || d > 8*time.Second {
		t.Errorf("took %v with a grace of 300 ms", d)
	}
	wantGone(t, rec.lines[0])
}

func TestCancelKillsWhatOutlivesTheChild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rec := newRecorder()
	// The grandchild ignores SIGTERM and holds the pipe; the child obeys.
	c := sh(`(trap '' TERM; exec sleep 60) & sleep 0.1; echo $!; wait`)
	c.Stdout, c.Grace = rec.tell, 300*time.Millisecond
	go func() { <-rec.first; cancel() }()
	if exit, err := Run(ctx, c); !errors.Is(err, context.Canceled) || exit.Signal != syscall.SIGTERM {
		t.Errorf("got %+v, %v", exit, err)
	}
	wantGone(t, rec.lines[0])
}

func TestGrandchildWithThePipeDoesNotHang(t *testing.T) {
	rec := newRecorder()
	c := sh(`sleep 60 & echo $!`)
	c.Stdout = rec.tell
	start := time.Now()
	exit, err := Run(t.Context(), c)
	if err != nil || exit.Code != 0 || len(rec.lines) != 1 {
		t.Fatalf("got %+v, %v, %q", exit, err, rec.lines)
	}
	pid, _ := strconv.Atoi(rec.lines[0])
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the process left behind: %v; want it left alone", err)
	}
}

func TestChattyGrandchildDoesNotHang(t *testing.T) {
	rec := newRecorder()
	c := sh(`(while :; do echo x; done) & echo $!`)
	c.Stdout = func(l string) {
		if l != "x" {
			rec.tell(l)
		}
	}
	done := make(chan error, 1)
	go func() { _, err := Run(t.Context(), c); done <- err }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("Run hangs")
	}
	pid, _ := strconv.Atoi(rec.lines[0]) // dies of SIGPIPE by itself; make sure
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func TestBlockedStdinDoesNotHang(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	c := sh("exit 4")
	c.Stdin = bufio.NewReader(r) // not an *os.File: os/exec copies from it
	if exit, err := Run(t.Context(), c); err != nil || exit.Code != 4 {
		t.Errorf("got %+v, %v", exit, err)
	}
}

func TestCancelledBeforeStart(t *testing.T) {
	cause := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	marker := filepath.Join(t.TempDir(), "ran")
	if _, err := Run(ctx, sh("touch "+marker)); err != cause {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("the child ran")
	}
}

func TestStartErrorsNameTheReason(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string, mode fs.FileMode) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return "./" + name
	}
	for name, c := range map[string]struct {
		path, dir string
		is        error
		says      string
	}{
		"unknown name":     {"no-such-program-here", "", exec.ErrNotFound, "start no-such-program-here: executable file not found"},
		"unknown path":     {"./none", dir, fs.ErrNotExist, "start ./none: file does not exist"},
		"not executable":   {script("plain", "#!/bin/sh\n", 0o644), dir, fs.ErrPermission, "not executable"},
		"no #! line":       {script("noexec", "echo hi\n", 0o755), dir, syscall.ENOEXEC, "#! line"},
		"windows endings":  {script("crlf", "#!/bin/sh\r\necho\r\n", 0o755), dir, fs.ErrNotExist, "Windows line endings"},
		"no interpreter":   {script("interp", "#!/no/such/shell\n", 0o755), dir, fs.ErrNotExist, "#!/no/such/shell"},
		"no directory":     {"/bin/sh", filepath.Join(dir, "gone"), fs.ErrNotExist, "working directory"},
		"directory a file": {"/bin/sh", filepath.Join(dir, "plain"), syscall.ENOTDIR, "working directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Run(t.Context(), Cmd{Path: c.path, Dir: c.dir, Stdout: func(string) {}})
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want %q", err, c.says)
			}
		})
	}
}

// TestChildDiesWithUs has this test's binary start a child and be killed -9.
func TestChildDiesWithUs(t *testing.T) {
	if os.Getenv("PROC_TEST_PARENT") != "" {
		// Threads that end must not take the child along.
		c := sh("echo $$; exec sleep 60")
		c.Stdout = func(l string) {
			for range 50 {
				done := make(chan struct{})
				go func() { runtime.LockOSThread(); close(done) }() // ends its thread
				<-done
			}
			fmt.Println("pid " + l)
		}
		_, err := Run(context.Background(), c)
		t.Fatal("the child ended: ", err)
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a parent-death signal")
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestChildDiesWithUs$")
	parent.Env = append(os.Environ(), "PROC_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, ok := strings.CutPrefix(strings.TrimSpace(line), "pid ")
	if !ok {
		t.Fatalf("%q, %v", line, err)
	}
	time.Sleep(200 * time.Millisecond)
	if id, _ := strconv.Atoi(pid); syscall.Kill(id, 0) != nil {
		t.Error("the child died with a thread, its parent process still living")
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	wantGone(t, pid)
}

// wantGone waits for the end of a process; a zombie has ended.
func wantGone(t *testing.T, pid string) {
	t.Helper()
	for range 100 {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %s still runs", pid)
}
