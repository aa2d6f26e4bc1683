// Package cli is the command line: one file a verb, flags and environment in,
// one call out.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/spf13/cobra"
)

// Env is the process as the command line sees it, read once.
type Env struct {
	Args    []string // without the program's name
	Stdin   *os.File // nil: nobody can be asked
	Stdout  io.Writer
	Stderr  io.Writer
	Environ []string // KEY=value
	Exit    func(int)
}

// Process is the Env of this process.
func Process() Env {
	return Env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Exit: os.Exit}
}

// Getenv looks a variable up; the last one of a name wins, as in a shell.
func (e Env) Getenv(name string) (string, bool) {
	for i := len(e.Environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(e.Environ[i], name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// ended is the error of a command that has told its own end already.
type ended struct{ code int }

func (e ended) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// Main runs the command line and returns the process's exit code.
func Main(env Env) int {
	ctx, stop := withSignals(context.Background(), env.Exit)
	defer stop()
	root := newRoot(env)
	root.SetArgs(env.Args)
	err := root.ExecuteContext(ctx)
	if e, ok := errors.AsType[ended](err); ok {
		return e.code
	}
	if err != nil {
		err = usageFault(err)
		if hint := fault.HintOf(err); hint != "" {
			fmt.Fprintf(env.Stderr, "hint: %s\n", hint)
		}
		fmt.Fprintf(env.Stderr, "error: %v\n", err)
	}
	return exitCode(err)
}

// verbError marks an error that a verb returned, as against cobra's own.
type verbError struct{ err error }

func (e *verbError) Error() string { return e.err.Error() }
func (e *verbError) Unwrap() error { return e.err }

// verb adapts a function to cobra and marks its errors.
func verb(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := f(cmd.Context(), args)
		if err == nil {
			return nil
		}
		return &verbError{err}
	}
}

func newRoot(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "fastship",
		Short:         "From a commit to a steady rollout on ECS Fargate",
		Long:          "fastship takes a Java service from a commit to a steady rollout on ECS Fargate:\nMaven, an image without a Docker daemon, a push, a rollout followed to its end.\n\n" + exitTable(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(flagFault)
	group(root, newRun(env), newImageVerbs(env), newDeploy(env), newCache(env), newSchema(env), newVersion(env))
	root.InitDefaultCompletionCmd()
	return root
}
