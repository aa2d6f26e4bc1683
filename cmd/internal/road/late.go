package road

import (
	"context"

	"github.com/fastship/fastship/runner"
)

// late is a step that can only be made once the run has begun: a stage that
// works against the sandbox, which is not started before every check of the
// other stages has passed. It checks itself when it runs.
type late[In, Out any] struct {
	name  string
	plans []string // what a dry run says of it
	check func(context.Context) error
	make  func() runner.Step[In, Out]
}

func (l late[In, Out]) Name() string { return l.name }

func (l late[In, Out]) Check(ctx context.Context) error { return l.check(ctx) }

func (l late[In, Out]) Plan(context.Context, In) (runner.Plan[Out], error) {
	return runner.Plan[Out]{Lines: l.plans}, nil
}

func (l late[In, Out]) Run(ctx context.Context, env runner.Env, in In) (runner.Result[Out], error) {
	step := l.make()
	if err := step.Check(ctx); err != nil {
		return runner.Result[Out]{}, err
	}
	return step.Run(ctx, env, in)
}
