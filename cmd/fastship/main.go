// Command fastship takes a Java service from a commit to a steady rollout on
// ECS Fargate.
package main

import (
	"os"

	"github.com/fastship/fastship/cmd/internal/cli"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/gcpace"
)

func main() {
	if code, ok := container.Init(os.Args); ok { // in the sandbox, this executable is also PID 1
		os.Exit(code)
	}
	gcpace.Relax()
	os.Exit(cli.Main(cli.Process()))
}
