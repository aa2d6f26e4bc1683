package deploy

import (
	"context"
	"time"

	"github.com/fastship/fastship/internal/pause"
)

// oneCall bounds a call with its retries, so that a connection that hangs
// costs a look and not the wait.
const oneCall = 20 * time.Second

// Follow looks at a deployment as its follower asks until the outcome is
// certain. What cannot become well is rolled back as the follower's policy
// says, and that is followed, too. Only the follower's deadline and the end of
// ctx, which is the error, end the wait.
func Follow(ctx context.Context, api API, target Target, f *Follower, emit func(Event)) (Result, error) {
	for next := f.Begin(); ; {
		if err := pause.For(ctx, next.After); err != nil {
			return Result{}, err
		}
		seen := look(ctx, api, target, next.Ask)
		if ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		next = f.Observe(time.Now(), seen)
		for _, e := range next.Events {
			emit(e)
		}
		if next.Result != nil && !f.recoverable(*next.Result) {
			return *next.Result, nil
		}
		if next.Result != nil {
			next.GivenUp = next.Result
		}
		if next.GivenUp != nil {
			if r, done, err := undo(ctx, api, target, f, *next.GivenUp, emit); done {
				return r, err
			}
		}
	}
}

func look(ctx context.Context, api Reader, target Target, ask Ask) (o Observation) {
	if o.Unasked = !ask.Service; ask.Service {
		bounded(ctx, func(ctx context.Context) { o.Service, o.Err = api.Service(ctx, target) })
	}
	if o.Err != nil {
		return o
	}
	if ask.Deployments {
		bounded(ctx, func(ctx context.Context) {
			o.Deployments, o.DeploymentsErr = api.ServiceDeployments(ctx, target, ask.DeploymentARN, ask.Since)
		})
	}
	if ask.Tasks.StartedBy != "" {
		bounded(ctx, func(ctx context.Context) { o.Tasks, o.TasksErr = api.Tasks(ctx, target, ask.Tasks) })
	}
	return o
}

func bounded(ctx context.Context, call func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, oneCall)
	defer cancel()
	call(ctx)
}
