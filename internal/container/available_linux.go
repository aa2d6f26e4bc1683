package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"golang.org/x/sys/unix"
)

// Available tells whether this machine lets this user run containers, by
// making the namespaces and mounts of one; nothing is written to disk. The
// error is of class fault.Missing and says what would allow them.
func Available(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := start(orders{Probe: true}, nil, nil)
	if err != nil {
		return err
	}
	defer func() {
		c.Kill()
		<-c.ended
	}()
	r, err := c.await(ctx, 0, c.first)
	if err != nil {
		return fmt.Errorf("try out namespaces: %w", err)
	}
	return refusal(r.err())
}

// refused are the kernel's answers to what it does not let this process do, or
// was built without.
var refused = []error{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EUSERS, unix.ENOSYS, unix.EINVAL, unix.ENODEV}

// refusal classifies an error of making namespaces or mounts and says what
// would allow them; other errors come back as they are.
func refusal(err error) error {
	if !slices.ContainsFunc(refused, func(r error) bool { return errors.Is(err, r) }) {
		return err
	}
	hint := "run as root, or allow unprivileged user namespaces: sysctl -w user.max_user_namespaces=15000, and where they exist kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0"
	if os.Geteuid() == 0 {
		hint = "run outside of a container, or in one that may make namespaces (docker run --privileged, or --security-opt seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN)"
	}
	return fault.New(fault.Missing, hint, "namespaces are not allowed here: %w", err)
}
