package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// exits is the one table from a class of error to the exit code that scripts
// see; the help prints it.
var exits = []struct {
	class   fault.Class
	code    int
	meaning string
}{
	{fault.Internal, 1, "fastship itself failed"},
	{fault.BadInput, 2, "bad input, found before any work: flags, fastship.yaml, pom.xml"},
	{fault.Missing, 3, "something it needs is missing or refused, found before any work"},
	{fault.BuildFailed, 10, "the build failed"},
	{fault.TestsFailed, 11, "the build's tests failed"},
	{fault.ImageFailed, 20, "the image or its push failed"},
	{fault.RolloutFailed, 30, "the rollout failed"},
	{fault.RolledBack, 31, "the rollout failed and was rolled back"},
	{fault.Superseded, 32, "another deployment took over"},
	{fault.RolloutTimedOut, 33, "the rollout timed out"},
}

// exitCode turns how a command ended into the process's exit code.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if s, ok := errors.AsType[*signalled](err); ok {
		return 128 + int(s.signal)
	}
	class := fault.ClassOf(err)
	for _, e := range exits {
		if e.class == class {
			return e.code
		}
	}
	return 1
}

func exitTable() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n    0  done, or nothing to do\n")
	for _, e := range exits {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.meaning)
	}
	b.WriteString("  130  interrupted (SIGINT)\n  143  terminated (SIGTERM)")
	return b.String()
}
