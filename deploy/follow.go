package deploy

import (
	"context"
	"time"
)

// oneLook bounds the calls of one look, so that a connection that hangs costs
// a look and not the wait.
const oneLook = 20 * time.Second

// Follow looks at a deployment as its follower asks until the outcome is
// certain. Only the follower's deadline and the end of ctx, which is the
// error, end the wait.
func Follow(ctx context.Context, api Reader, target Target, f *Follower, emit func(Event)) (Result, error) {
	for next := f.Begin(); ; {
		if err := pause(ctx, next.After); err != nil {
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
		if next.Result != nil {
			return *next.Result, nil
		}
	}
}

func look(ctx context.Context, api Reader, target Target, ask Ask) (o Observation) {
	ctx, cancel := context.WithTimeout(ctx, oneLook)
	defer cancel()
	if o.Service, o.Err = api.Service(ctx, target); o.Err != nil {
		return o
	}
	if ask.Deployments {
		o.Deployments, o.DeploymentsErr = api.ServiceDeployments(ctx, target, ask.DeploymentARN, ask.Since)
	}
	if ask.Tasks != "" {
		o.Tasks, o.TasksErr = api.Tasks(ctx, target, ask.Tasks)
	}
	return o
}
