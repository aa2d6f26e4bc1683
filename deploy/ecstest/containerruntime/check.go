package containerruntime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/pause"
)

// check runs a container's own health check as ECS's agent does: HEALTHY at
// the first success, UNHEALTHY when it has failed for all its retries, those
// within the start period not counted. Until the first success it is tried
// more often than its interval says: nobody waits for 30 s on his own machine.
func check(ctx context.Context, c *container.Container, h ecstest.HealthCheck, first time.Duration, tell func(healthy bool, reason string)) {
	args := h.Command[1:]
	shell := h.Command[0] == "CMD-SHELL"
	if shell {
		args = append([]string{"/bin/sh", "-c"}, args...)
	}
	if len(args) == 0 {
		tell(false, "Health check has no command")
		return
	}
	patience := h.Interval * time.Duration(h.Retries)
	bad := time.Now().Add(h.StartPeriod) // since when failures count
	healthy, told := false, false
	for wait := first; pause.For(ctx, wait) == nil; {
		reason, hopeless := tryCheck(ctx, c, args, h.Timeout, shell)
		if ctx.Err() != nil {
			return
		}
		switch {
		case reason == "":
			if !healthy || !told {
				healthy, told = true, true
				tell(true, "")
			}
			bad, wait = time.Time{}, h.Interval
			continue
		case bad.IsZero():
			bad = time.Now().Add(-h.Interval) // this failure is the first of the retries
		}
		if (healthy || !told) && (hopeless || time.Since(bad) >= patience) {
			healthy, told = false, true
			tell(false, reason)
		}
		if wait = first; told {
			wait = h.Interval
		}
	}
}

// tryCheck runs the check once; hopeless says that it can never succeed.
func tryCheck(ctx context.Context, c *container.Container, args []string, timeout time.Duration, shell bool) (reason string, hopeless bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	code, output, err := c.Exec(ctx, args)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("Health check timed out after %v", timeout), false
	case errors.Is(err, fs.ErrNotExist) && shell:
		return "Health check cannot run: CMD-SHELL needs /bin/sh, which the image does not have; use CMD and a program that it has", true
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("Health check cannot run: the image has no %s", args[0]), true
	case err != nil:
		return "Health check cannot run: " + err.Error(), false
	case code != 0:
		return fmt.Sprintf("Health check exited with code %d: %.200s", code, output), false
	}
	return "", false
}
