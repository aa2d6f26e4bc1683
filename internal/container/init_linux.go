package container

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// orders are what the parent sends first.
type orders struct {
	Spec
	Probe bool // only try out what a container needs
}

// Init is the life of a container's init. Main calls it with os.Args before
// anything else, and so does TestMain of every package whose tests run
// containers; ok is false in a process that is none, else code is what it must
// exit with.
func Init(args []string) (code int, ok bool) {
	if len(args) != 1 || args[0] != initName {
		return 0, false
	}
	runtime.LockOSThread() // capabilities and no_new_privs belong to the thread that forks
	control, err := newPackets(os.NewFile(3, "control"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "a container's init is started by fastship only:", err)
		return 1, true
	}
	// Descriptors that this process's ancestors leaked are not the program's.
	_ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	var o orders
	if _, err := control.receive(&o); err != nil {
		return 1, true
	}
	if o.Probe {
		_ = control.send(failure(0, probe()), nil)
		return 0, true
	}
	return live(control, o.Spec), true
}

// live makes the container, runs its program and serves the parent until one
// of the two ends.
func live(control packets, spec Spec) int {
	if err := enter(spec); err != nil {
		_ = control.send(failure(0, err), nil)
		return 1
	}
	p := &initProcess{control: control, children: map[int]chan syscall.WaitStatus{}, execs: map[uint64]int{}, forks: make(chan func())}
	if err := p.prepare(spec); err != nil {
		_ = control.send(failure(0, err), nil)
		return 1
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	if spec.Steady {
		steady()
	}
	pid, ended, err := p.fork(p.args, os.Stdout, os.Stderr)
	if err != nil {
		a := failure(0, err)
		a.Start = true
		_ = control.send(a, nil)
		return 1
	}
	p.program = pid
	_ = control.send(answer{}, nil)
	orphaned := make(chan struct{})
	go p.serve(orphaned)
	go p.handle(signals)
	for {
		select {
		case f := <-p.forks: // on this thread, see Init
			f()
		case status := <-ended:
			return exitCode(status)
		case <-orphaned:
			return 128 + int(syscall.SIGKILL)
		}
	}
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// initProcess is PID 1 of a container.
type initProcess struct {
	control packets
	args    []string
	env     []string
	dir     string
	attr    *syscall.SysProcAttr // who the program is
	program int
	forks   chan func()

	mu       sync.Mutex // held while forking, so that no child is reaped before it is known
	children map[int]chan syscall.WaitStatus
	execs    map[uint64]int
}

// fork starts a program as the container's user. It must run on the main
// thread. ended receives its status once.
func (p *initProcess) fork(args []string, stdout, stderr *os.File) (pid int, ended chan syscall.WaitStatus, err error) {
	path, err := lookPath(args[0], p.env)
	if err != nil {
		return 0, nil, err
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	pid, err = syscall.ForkExec(path, args, &syscall.ProcAttr{
		Dir: p.dir, Env: p.env, Sys: p.attr,
		Files: []uintptr{null.Fd(), stdout.Fd(), stderr.Fd()},
	})
	if err != nil {
		return 0, nil, startFailure(path, err)
	}
	ended = make(chan syscall.WaitStatus, 1)
	p.children[pid] = ended
	return pid, ended, nil
}

// handle reaps every child and orphan, and hands other signals on.
func (p *initProcess) handle(signals chan os.Signal) {
	p.reap() // what ended before the signals were listened to
	for s := range signals {
		if s == syscall.SIGCHLD {
			p.reap()
		} else {
			_ = syscall.Kill(p.program, s.(syscall.Signal))
		}
	}
}

func (p *initProcess) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ended := p.children[pid]; ended != nil {
			ended <- status
			delete(p.children, pid)
		}
	}
}

// serve answers the parent until it is gone.
func (p *initProcess) serve(orphaned chan struct{}) {
	defer close(orphaned)
	for {
		var q request
		if _, err := p.control.receive(&q); err != nil {
			return
		}
		switch q.Op {
		case opSignal:
			_ = p.control.send(failure(q.ID, p.signal(p.program, q.Signal)), nil)
		case opKill:
			p.killExec(q.Target)
		case opDial:
			go p.dial(q)
		case opSockets:
			listeners, err := listening()
			a := failure(q.ID, err)
			a.Listeners = listeners
			_ = p.control.send(a, nil)
		case opExec:
			go p.exec(q)
		}
	}
}

// signal sends a signal to a child that has not been reaped.
func (p *initProcess) signal(pid int, s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.children[pid] == nil {
		return nil
	}
	return syscall.Kill(pid, s)
}

func (p *initProcess) killExec(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pid := p.execs[id]; p.children[pid] != nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL) // it leads a session of its own
	}
}

// dial connects inside and hands the connected socket out: a socket stays in
// the network it was made in, so nothing needs to be copied in between.
func (p *initProcess) dial(q request) {
	conn, err := net.DialTimeout("tcp4", "127.0.0.1:"+strconv.Itoa(q.Port), 5*time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) {
		if six, err6 := net.DialTimeout("tcp6", "[::1]:"+strconv.Itoa(q.Port), 5*time.Second); err6 == nil {
			conn, err = six, nil
		}
	}
	if err != nil {
		_ = p.control.send(failure(q.ID, err), nil)
		return
	}
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		_ = p.control.send(failure(q.ID, err), nil)
		return
	}
	defer file.Close()
	_ = p.control.send(answer{ID: q.ID}, file)
}

// maxExecOutput bounds what an exec's answer carries; the rest is dropped.
const maxExecOutput = 16 << 10

func (p *initProcess) exec(q request) {
	r, w, err := os.Pipe()
	if err != nil {
		_ = p.control.send(failure(q.ID, err), nil)
		return
	}
	defer r.Close()
	var ended chan syscall.WaitStatus
	forked := make(chan struct{})
	p.forks <- func() {
		defer close(forked)
		var pid int
		pid, ended, err = p.fork(q.Args, w, w)
		p.mu.Lock()
		p.execs[q.ID] = pid
		p.mu.Unlock()
	}
	<-forked
	w.Close()
	if err != nil {
		_ = p.control.send(failure(q.ID, err), nil)
		return
	}
	output := make(chan []byte, 1)
	go func() {
		head, _ := io.ReadAll(io.LimitReader(r, maxExecOutput))
		output <- head
		_, _ = io.Copy(io.Discard, r)
	}()
	status := <-ended
	// What it left running may hold its output open: that is not waited for.
	_ = r.SetReadDeadline(time.Now().Add(time.Second))
	a := answer{ID: q.ID, Code: exitCode(status), Output: string(<-output)}
	p.mu.Lock()
	delete(p.execs, q.ID)
	p.mu.Unlock()
	_ = p.control.send(a, nil)
}
