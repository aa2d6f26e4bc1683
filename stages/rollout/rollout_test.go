package rollout

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/runner"
)

const (
	repository = "registry.test/web"
	image1     = repository + "@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	image2     = repository + "@sha256:2222222222222222222222222222222222222222222222222222222222222222"
	image3     = repository + "@sha256:3333333333333333333333333333333333333333333333333333333333333333"
)

const (
	healthCheck = `, "healthCheck": {"command": ["CMD", "true"], "interval": 5, "retries": 2, "startPeriod": 10}`
	breaker     = `{"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}}`
	breakerOnly = `{"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": false}}}`
)

// world is a double with service web on it, steady on image1, in a bubble of
// virtual time.
type world struct {
	*testing.T
	double *ecstest.Double
	step   *Step
	mu     sync.Mutex
	events []runner.Body
	hear   func(runner.Body) // what is told, as it is
}

// virtual runs f against a double whose tasks live by script.
func virtual(t *testing.T, script ecstest.TaskRuntime, seed ecstest.ServiceSeed, deps Deps, f func(w *world)) {
	t.Helper()
	hooked(t, ecstest.Options{Runtime: script, MaxLag: time.Minute}, seed, deps, f)
}

func hooked(t *testing.T, opt ecstest.Options, seed ecstest.ServiceSeed, deps Deps, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := ecstest.New(opt)
		defer d.Close()
		seed.Service = "web"
		if seed.TaskDefinition == nil {
			seed.TaskDefinition = definition("")
		}
		if _, err := d.Seed(t.Context(), seed); err != nil {
			t.Fatal(err)
		}
		deps.Connect = func(context.Context, string) (deploy.API, error) {
			cfg := awsconf.Local("http://ecs.test", "us-east-1")
			cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(d)}
			cfg.Retryer = func() aws.Retryer { // the SDK's policy without its dice
				return retry.NewStandard(func(o *retry.StandardOptions) {
					o.MaxAttempts = 4
					o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) { return time.Duration(attempt) * time.Second, nil })
				})
			}
			return ecs.New(cfg), nil
		}
		f(&world{T: t, double: d, step: New(Config{Service: "web", Repository: repository}, deps)})
	})
}

// definition is a task definition with one container that runs image1.
func definition(extra string) []byte {
	return fmt.Appendf(nil, `{
		"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
		"containerDefinitions": [{"name": "app", "image": %q, "portMappings": [{"containerPort": 8080}]%s}]}`, image1, extra)
}

// run checks and runs the step as the scheduler would.
func (w *world) run(ctx context.Context, image string) (runner.Result[Out], error) {
	w.Helper()
	if err := w.step.Check(ctx); err != nil {
		return runner.Result[Out]{}, err
	}
	return w.step.Run(ctx, w.env(), In{Image: image})
}

// env keeps what the step tells.
func (w *world) env() runner.Env {
	return runner.Env{Emit: func(b runner.Body) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, b)
		if w.hear != nil {
			w.hear(b)
		}
	}}
}

// said is what a person would have read.
func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []string
	for _, e := range w.events {
		switch e := e.(type) {
		case runner.Note:
			lines = append(lines, "note: "+e.Text)
		case runner.Warning:
			lines = append(lines, "warning: "+e.Text)
		case runner.Log:
			lines = append(lines, "log: "+e.Line)
		}
	}
	return strings.Join(lines, "\n")
}

// last is the double's own truth about the newest deployment.
func (w *world) last() ecstest.Outcome {
	w.Helper()
	all := w.double.Outcome("default", "web")
	if len(all) == 0 {
		w.Fatal("no deployment")
	}
	return all[len(all)-1]
}

// service is what ECS shows of it.
func (w *world) service() types.Service {
	w.Helper()
	out, err := w.someone().DescribeServices(context.Background(), &sdk.DescribeServicesInput{Services: []string{"web"}})
	if err != nil || len(out.Services) != 1 {
		w.Fatal(out, err)
	}
	return out.Services[0]
}
