// Package runner holds the words that stages speak to each other and to the
// console, and the scheduler that runs a graph of them.
package runner

import (
	"context"

	"github.com/fastship/fastship/cache"
)

// Descriptor is OCI's descriptor: name, media type, digest, size.
type Descriptor = cache.Descriptor

// Step is one stage of the road. In is what it consumes, owned by its own
// package; Out is plain data that survives JSON, since results are kept in
// files between runs (--from) and in the action cache.
type Step[In, Out any] interface {
	// Name is the stage's word on the command line and on the screen.
	Name() string
	// Check finds, by reading only, what would make Run fail for sure. All
	// Checks of a run pass before any Run starts. Errors are of class
	// fault.BadInput or fault.Missing.
	Check(ctx context.Context) error
	// Plan tells, by reading only, what Run would do with in. In a dry run
	// in comes from the Plans before it and its unknown parts are zero.
	Plan(ctx context.Context, in In) (Plan[Out], error)
	// Run does the work. The Result is recorded also when an error comes
	// with it, so that counts and causes reach the result file.
	Run(ctx context.Context, env Env, in In) (Result[Out], error)
}

// Plan is what a step would do.
type Plan[Out any] struct {
	// Lines say it to a person, one action a line, imperative, most
	// important first: "build 3 layers", "push to …", "register …".
	Lines []string
	// Out is what Run would return as far as it is known without running;
	// unknown parts are zero.
	Out Out
}

// Status is how a step ended.
type Status string

// The statuses of the result file. Cancelled is a step that another step's
// failure or a signal stopped, or that never began because of it.
const (
	Ran       Status = "ran"
	Cached    Status = "cached"
	Skipped   Status = "skipped"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Result is what a step has done.
type Result[Out any] struct {
	Out    Out
	Status Status // Ran, Cached or Skipped; empty means Ran
	Reason string // why it was skipped, or what was found done already
	Key    string // the cache key of the work, where it has one
}

// Env is what the scheduler lends a running step.
type Env struct {
	// Emit tells the world; it never blocks for long and is safe for
	// concurrent use. The step's name and the time are stamped on.
	Emit func(Body)
	// Background starts work that must not hold up the road: it is not
	// cancelled by another step's failure, and is joined within the run's
	// grace period after the last step. It begins when the steps that follow
	// have had the machine to themselves for some seconds, or none is left. Its
	// error is a warning.
	Background func(what string, work func(context.Context) error)

	waiting func()
}

// Waiting tells that the step from now on waits for something else, such as a
// child process, for longer than a moment: the steps to come prepare
// themselves meanwhile (Preparer). Calls after the first do nothing.
func (e Env) Waiting() {
	if e.waiting != nil {
		e.waiting()
	}
}
