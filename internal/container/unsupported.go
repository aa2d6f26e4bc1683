//go:build !linux

package container

import (
	"context"
	"errors"
	"net"
	"runtime"
	"syscall"
	"time"

	"github.com/fastship/fastship/internal/fault"
)

// Container is a running, or ended, container: on Linux only.
type Container struct{}

var errUnsupported = fault.New(fault.Missing, "run it on a Linux machine or in a virtual one", "containers run on Linux only, not on %s", runtime.GOOS)

var errNone = errors.New("no container runs here")

// Init tells that no process is a container's init here.
func Init([]string) (int, bool) { return 0, false }

// Available returns an error of class fault.Missing.
func Available(context.Context) error { return errUnsupported }

// Run returns an error of class fault.Missing.
func Run(context.Context, Spec) (*Container, error) { return nil, errUnsupported }

// PID is 0.
func (*Container) PID() int { return 0 }

// Dial fails.
func (*Container) Dial(context.Context, int) (net.Conn, error) { return nil, errNone }

// Listening fails.
func (*Container) Listening(context.Context) ([]Listener, error) { return nil, errNone }

// Exec fails.
func (*Container) Exec(context.Context, []string) (int, string, error) { return 0, "", errNone }

// Signal fails.
func (*Container) Signal(context.Context, syscall.Signal) error { return errNone }

// Stop does nothing.
func (*Container) Stop(time.Duration) Exit { return Exit{} }

// Kill does nothing.
func (*Container) Kill() {}

// Done is never closed.
func (*Container) Done() <-chan struct{} { return nil }

// Wait returns at once.
func (*Container) Wait() Exit { return Exit{} }
