// Command fastship takes a Java service from a commit to a steady rollout on
// ECS Fargate.
package main

import (
	"os"

	"github.com/fastship/fastship/cmd/internal/cli"
	"github.com/fastship/fastship/internal/container"
)

func main() {
	if code, ok := container.Init(os.Args); ok { // in the sandbox, this executable is also PID 1
		os.Exit(code)
	}
	os.Exit(cli.Main(cli.Process()))
}
