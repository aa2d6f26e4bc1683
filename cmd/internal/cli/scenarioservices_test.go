package cli

import (
	"bytes"
	"context"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/rollout"
)

// seedWorker puts a second service there that is as the first.
func (w *stage) seedWorker() {
	seed := w.seed()
	seed.Service = "worker"
	seed.TaskDefinition = bytes.Replace(seed.TaskDefinition, []byte(`"family":"web"`), []byte(`"family":"worker"`), 1)
	if _, err := w.double.Seed(w.Context(), seed); err != nil {
		w.Fatal(err)
	}
}

// both rolls both services out.
func (w *stage) both(ctx context.Context, env runner.Env) (rollout.Out, error) {
	group := rollout.NewGroup(rollout.Config{
		Services: []rollout.Member{{Service: "web"}, {Service: "worker"}}, Repository: "registry.test/web", Rollback: w.Deploy.Rollback, Timeout: w.Deploy.Timeout,
	}, rollout.Deps{
		Connect: func(context.Context, string) (deploy.API, error) { return ecs.New(w.cfg), nil },
		Jitter:  func() float64 { return 0.5 },
	})
	if err := group.Check(ctx); err != nil {
		return rollout.Out{}, err
	}
	r, err := group.Run(ctx, env, rollout.In{Image: newImage})
	return r.Out, err
}
