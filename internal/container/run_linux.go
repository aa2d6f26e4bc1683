package container

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// initName is argv[0] of this executable when it is a container's init; Init
// knows it by that. No command line of a person's gives it by accident.
const initName = "fastship-container-init"

// Container is a running, or ended, container.
type Container struct {
	process *os.Process // the init, PID 1 inside
	control packets
	program string     // argv[0], for messages
	first   chan reply // the answer to the orders
	ended   chan struct{}
	exit    Exit // valid once ended is closed

	mu      sync.Mutex
	lastID  uint64
	waiting map[uint64]chan reply
	gone    error // why the control socket ended
}

// Run starts a container and returns once its program has been started. The
// container ends with its program, with Kill, with the end of ctx, or with
// this process, however that ends. Errors: *StartError when only the program
// could not be started; one of class fault.Missing when this machine does not
// allow namespaces.
func Run(ctx context.Context, spec Spec) (*Container, error) {
	if len(spec.Args) == 0 {
		return nil, errors.New("run a container: no program given")
	}
	c, err := start(orders{Spec: spec}, spec.Stdout, spec.Stderr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, c.Kill)
	if err := c.begun(ctx); err != nil {
		stop()
		c.Kill()
		<-c.ended
		return nil, err
	}
	go func() {
		<-c.ended
		stop()
	}()
	return c, nil
}

// begun waits for the program to be started.
func (c *Container) begun(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	r, err := c.await(ctx, 0, c.first)
	switch {
	case err != nil:
		return fmt.Errorf("run a container: %w", err)
	case r.Error == "":
		return nil
	case r.Start:
		return &StartError{Arg0: c.program, Text: r.Error}
	}
	err = r.err()
	if errors.Is(err, unix.EPERM) {
		err = refusal(err)
	}
	return fmt.Errorf("run a container: %w", err)
}

// start starts an init in its namespaces and hands it its orders; the answer
// to them goes to c.first.
func start(o orders, stdout, stderr func(string)) (*Container, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("run a container: %w", err)
	}
	control, err := newPackets(ours)
	if err != nil {
		theirs.Close()
		return nil, fmt.Errorf("run a container: %w", err)
	}
	first := make(chan reply, 1)
	c := &Container{
		control: control, ended: make(chan struct{}), first: first,
		waiting: map[uint64]chan reply{0: first},
	}
	if len(o.Args) > 0 {
		c.program = o.Args[0]
	}
	err = c.spawn(theirs, stdout, stderr)
	theirs.Close()
	if err != nil {
		control.conn.Close()
		return nil, fmt.Errorf("run a container: %w", refusal(err))
	}
	go c.listen()
	if err := control.send(o, nil); err != nil {
		c.Kill()
		<-c.ended
		return nil, fmt.Errorf("run a container: hand over its orders: %w", err)
	}
	return c, nil
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

// spawn starts the init and a goroutine that stays on its thread until the
// init has ended: the parent-death signal comes when the *thread* ends.
func (c *Container) spawn(control *os.File, stdout, stderr func(string)) error {
	var output sync.WaitGroup
	outWrite, err := lines(&output, stdout)
	if err != nil {
		return err
	}
	defer outWrite.Close()
	errWrite, err := lines(&output, stderr)
	if err != nil {
		return err
	}
	defer errWrite.Close()
	cmd := initCommand()
	cmd.Stdout, cmd.Stderr = outWrite, errWrite
	cmd.ExtraFiles = []*os.File{control}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		c.process = cmd.Process
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // the state says how it ended
		output.Wait()
		c.exit = exitOf(cmd.ProcessState.Sys().(syscall.WaitStatus))
		close(c.ended)
	}()
	return <-started
}

// initCommand is this executable as an init in new namespaces, with nothing of
// this process's environment and out of reach of its terminal's signals.
func initCommand() *exec.Cmd {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true,
	}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return &exec.Cmd{Path: "/proc/self/exe", Args: []string{initName}, Env: []string{}, Dir: "/", SysProcAttr: attr}
}

// exitOf reads how the init ended; it hands on its program's end, a signal as
// 128 + n, as its own exit code.
func exitOf(status syscall.WaitStatus) Exit {
	if status.Signaled() {
		return Exit{Code: 128 + int(status.Signal()), Signal: unix.SignalName(status.Signal())}
	}
	code := status.ExitStatus()
	if name := unix.SignalName(syscall.Signal(code - 128)); code > 128 && name != "" {
		return Exit{Code: code, Signal: name}
	}
	return Exit{Code: code}
}

// lines makes a pipe whose other end is read line by line into f.
func lines(output *sync.WaitGroup, f func(string)) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	output.Go(func() {
		defer r.Close()
		if f == nil {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		readLines(r, f)
	})
	return w, nil
}

func readLines(r io.Reader, f func(string)) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	for {
		line, _, err := buffered.ReadLine() // a too long line comes in pieces
		if err != nil {
			return
		}
		f(string(line))
	}
}

// PID is the process id of the container's init on this machine.
func (c *Container) PID() int { return c.process.Pid }

// Dial connects to a TCP port inside, on its loopback device.
func (c *Container) Dial(ctx context.Context, port int) (net.Conn, error) {
	r, err := c.ask(ctx, request{Op: opDial, Port: port})
	if err != nil {
		return nil, fmt.Errorf("dial port %d in the container: %w", port, err)
	}
	defer r.file.Close()
	return net.FileConn(r.file)
}

// Listening lists the TCP sockets that programs inside listen on, by port.
func (c *Container) Listening(ctx context.Context) ([]Listener, error) {
	r, err := c.ask(ctx, request{Op: opSockets})
	if err != nil {
		return nil, fmt.Errorf("list the container's ports: %w", err)
	}
	return r.Listeners, nil
}

// Exec runs one more program inside, as the container's user, and returns its
// exit code (128 + n for a signal) and the first 16 KiB of its output. The
// end of ctx kills it.
func (c *Container) Exec(ctx context.Context, args []string) (code int, output string, err error) {
	r, err := c.ask(ctx, request{Op: opExec, Args: args})
	if err != nil {
		return 0, "", fmt.Errorf("exec %s in the container: %w", args[0], err)
	}
	return r.Code, r.Output, nil
}

// Signal sends a signal to the container's program.
func (c *Container) Signal(ctx context.Context, signal syscall.Signal) error {
	if _, err := c.ask(ctx, request{Op: opSignal, Signal: signal}); err != nil {
		return fmt.Errorf("signal the container: %w", err)
	}
	return nil
}

// Stop sends SIGTERM to the program, kills the container if it still runs
// after timeout, and waits for its end.
func (c *Container) Stop(timeout time.Duration) Exit {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_ = c.Signal(ctx, syscall.SIGTERM) // a container that has ended needs none
	select {
	case <-c.ended:
	case <-ctx.Done():
		c.Kill()
	}
	return c.Wait()
}

// Kill ends the container at once. It does not wait.
func (c *Container) Kill() { _ = c.process.Kill() }

// Done is closed when the container has ended and its output has been handed
// on.
func (c *Container) Done() <-chan struct{} { return c.ended }

// Wait waits for the container's end.
func (c *Container) Wait() Exit {
	<-c.ended
	return c.exit
}
