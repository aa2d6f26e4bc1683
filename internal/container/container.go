// Package container runs a root file system as a container in Linux
// namespaces, without a daemon and without set-up: as root, or unprivileged in
// a user namespace. It is made for trying images out on one's own machine. It
// keeps an honest program inside; it has no seccomp filter and no resource
// limits, and is no wall against a hostile one.
//
// What a container sees: its root (an overlay over read-only trees, or a copy
// where overlays are not allowed), its own processes, host name, /proc, a
// small /dev, a read-only /sys where the kernel allows one, and a network of
// its own with nothing but a loopback device. The program is a child of an
// init (this executable again, see Init) that reaps orphans and dies with the
// process that called Run, and everything inside with it.
//
// The program runs as Spec.User with no capabilities (root keeps those of a
// container engine that concern files, users and low ports) and cannot gain
// any. Unprivileged, there is one user to map: a user other than root gets a
// nested user namespace in which it is that very user and alone. Files that
// the image gives to other users then belong to it, so that it may write what
// it could not write elsewhere.
package container

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Spec is a container to run.
type Spec struct {
	// Layers are the directories that make the root, the lowest first; they
	// are read only. A file in a higher one hides those below it.
	Layers []string
	// Scratch is an existing, empty directory for whatever the container
	// writes into its root, on the same machine's disk. Whoever made it
	// removes it after Wait, by RemoveAll of this package.
	Scratch string
	// Args is the program and its arguments; a name without a slash is
	// looked up in PATH inside the root.
	Args []string
	// Env is the whole environment, KEY=VALUE; PATH, HOME and HOSTNAME are
	// added where they are absent.
	Env []string
	// Dir is the working directory, made when absent; empty means /.
	Dir string
	// User is "", "name", "uid", "name:group" or "uid:gid", looked up in the
	// root's /etc/passwd and /etc/group; empty means root.
	User string
	// Hostname is the host's name inside; empty means "container".
	Hostname string
	// ReadonlyRoot makes the root read-only, /tmp included.
	ReadonlyRoot bool
	// Steady takes chance out of the program as far as this machine allows:
	// addresses that are not randomised, one processor, batch scheduling.
	Steady bool
	// Stdout and Stderr receive the program's output line by line, without
	// line endings, one call at a time each; nil drops it. Lines longer than
	// 64 KiB come in pieces.
	Stdout, Stderr func(line string) `json:"-"`
}

// Written names the file, on this machine, that a container with this Scratch
// has written at path inside; it is there once the container has ended.
func Written(scratch, path string) string {
	upper := filepath.Join(scratch, "upper", path)
	if _, err := os.Lstat(upper); err == nil {
		return upper
	}
	return filepath.Join(scratch, "root", path) // a copy, where overlays are not allowed
}

// Exit is how a container's program ended.
type Exit struct {
	Code   int    // the exit code, or 128 + the signal that ended it
	Signal string // the signal's name (SIGKILL), empty after a plain exit
}

func (e Exit) String() string {
	if e.Signal != "" {
		return fmt.Sprintf("killed by %s (exit code %d)", e.Signal, e.Code)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Listener is a TCP socket that a program in the container listens on.
type Listener struct {
	Port int
	// Loopback says that it is bound to the loopback address only: outside
	// this machine nobody could reach it.
	Loopback bool
}

// StartError says that the container was made but its program could not be
// started: not found, not executable, for another machine.
type StartError struct {
	Arg0 string
	Text string // in the words of container engines: "exec format error"
}

func (e *StartError) Error() string { return fmt.Sprintf("exec %s: %s", e.Arg0, e.Text) }

// startTimeout bounds the making of a container, copies of big roots included.
const startTimeout = 2 * time.Minute
