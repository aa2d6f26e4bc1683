// Package proc runs a child process the way a build tool must: in a process
// group of its own, its output as lines, and with an end that is certain.
package proc

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Cmd is a child process to be.
type Cmd struct {
	// Path is the program: a path (relative ones are relative to Dir), or a
	// name without a slash, which is looked up in this process's PATH.
	Path string
	Args []string // without the program's own name
	Dir  string   // working directory; empty means this process's own
	Env  []string // "NAME=value"; nil means this process's own environment
	// Grace is the time between SIGTERM and SIGKILL after a cancel. 0 means
	// 10 s.
	Grace time.Duration
	// Stdin feeds the child; nil means an empty input. Run does not wait for
	// a Read of it that blocks beyond the child's end. The child is not in
	// the terminal's foreground group: it cannot read from a terminal.
	Stdin io.Reader
	// Stdout and Stderr are told each line, without its ending and as valid
	// UTF-8; nil drops the stream. Each gets one call at a time, but the two
	// are called side by side. See Lines for what a line is.
	Stdout, Stderr func(line string)
}

// Exit is how a child ended.
type Exit struct {
	Code   int            // 0–255; -1 when a signal ended it
	Signal syscall.Signal // the signal that ended it, else 0
	MaxRSS int64          // bytes; the largest resident set of the child or of one it waited for
	// CPU time of the child and of every descendant that was waited for.
	UserTime, SystemTime time.Duration
}

const (
	defaultGrace = 10 * time.Second
	// drain is how long a child's output is read on after the child itself
	// has ended: a grandchild that inherited the pipe may keep it open for
	// ever. What the child had written before its end is read in any case.
	drain = time.Second
)

// Run runs the child to its end. A child that ended by itself is no error,
// whatever its code: errors are a child that could not be started, and the
// context's cause once a cancel has reached the child.
//
// A cancel sends SIGTERM to the child's process group and SIGKILL when Grace
// is over; whatever of the group outlives the child and its output is killed
// too, so nothing of the group runs once Run has returned. Without a cancel,
// processes that the child left behind are left alone. On Linux the child is
// killed when this process dies, however it dies.
func Run(ctx context.Context, c Cmd) (Exit, error) {
	if ctx.Err() != nil {
		return Exit{}, context.Cause(ctx)
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.SysProcAttr = sysProcAttr()
	var out outputs
	defer out.close()
	if err := out.connect(cmd, c); err != nil {
		return Exit{}, err
	}
	started, ended := launch(cmd)
	if err := <-started; err != nil {
		return Exit{}, startError(c, err)
	}
	out.start()
	cancelled, err := supervise(ctx, cmd.Process.Pid, c.Grace, ended, &out)
	exit := exitOf(cmd.ProcessState)
	switch {
	case cancelled:
		return exit, context.Cause(ctx)
	case err != nil:
		return exit, err
	}
	return exit, nil
}

// launch starts the child and waits for it on one locked thread. The kernel
// sends the parent-death signal when the *thread* that forked ends, not the
// process (prctl(2), PR_SET_PDEATHSIG): were the goroutine free to move,
// another goroutine could lock that thread, return, and so kill our child.
func launch(cmd *exec.Cmd) (started, ended chan error) {
	started, ended = make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		if _, ok := errors.AsType[*exec.ExitError](err); ok {
			err = nil // the ProcessState says it all
		}
		ended <- err
	}()
	return started, ended
}

// supervise waits for the end of the child and of its output, and passes a
// cancel on to the process group. The group's id stays ours after the child
// is reaped for as long as the group has members; kill(2) says ESRCH after.
func supervise(ctx context.Context, group int, grace time.Duration, ended chan error, out *outputs) (cancelled bool, err error) {
	var deadline <-chan time.Time
	cancel := ctx.Done()
	for {
		select {
		case <-cancel:
			cancel, cancelled = nil, true
			deadline = time.After(grace)
			signalGroup(group, syscall.SIGTERM)
		case <-deadline:
			signalGroup(group, syscall.SIGKILL)
		case err = <-ended:
			if cancelled {
				out.wait(grace)
				signalGroup(group, syscall.SIGKILL)
			}
			out.wait(drain)
			out.abandon()
			return cancelled, err
		}
	}
}

func signalGroup(group int, s syscall.Signal) {
	_ = syscall.Kill(-group, s) // ESRCH: all of it has ended, which is what we want
}

func exitOf(s *os.ProcessState) Exit {
	exit := Exit{Code: s.ExitCode(), UserTime: s.UserTime(), SystemTime: s.SystemTime()}
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		exit.Signal = status.Signal()
	}
	if usage, ok := s.SysUsage().(*syscall.Rusage); ok {
		exit.MaxRSS = maxRSS(usage)
	}
	return exit
}
