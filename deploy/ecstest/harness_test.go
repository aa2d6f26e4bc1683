package ecstest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/fastship/fastship/deploy/ecstest"
)

// bench is a double with a client on it, inside a bubble of virtual time.
type bench struct {
	*testing.T
	double *ecstest.Double
	client *ecs.Client
	wire   *checked
}

// virtual runs f in virtual time, on a double with the given runtime. Every
// answer is held against the service model.
func virtual(t *testing.T, runtime ecstest.TaskRuntime, f func(b *bench)) {
	t.Helper()
	bubble(t, ecstest.Options{Runtime: runtime}, f)
}

func bubble(t *testing.T, o ecstest.Options, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := ecstest.New(o)
		defer d.Close()
		wire := &checked{next: ecstest.Transport(d)}
		defer func() {
			for _, w := range wire.wrong {
				t.Error(w)
			}
		}()
		f(&bench{T: t, double: d, client: sdk(wire), wire: wire})
	})
}

// sdk is the real client on an in-memory transport, retries off.
func sdk(transport http.RoundTripper) *ecs.Client {
	return ecs.New(ecs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://ecs.test"),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""),
		HTTPClient:  &http.Client{Transport: transport},
		Retryer:     aws.NopRetryer{},
	})
}

// logs is CloudWatch Logs' client on the same double.
func (b *bench) logs() *cloudwatchlogs.Client {
	return cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://logs.test"),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""),
		HTTPClient:  &http.Client{Transport: b.wire},
		Retryer:     aws.NopRetryer{},
	})
}

// definition is RegisterTaskDefinition's input for a one-container service.
func definition(image string, extra string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{
		"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
		"containerDefinitions": [{"name": "app", "image": %q, "portMappings": [{"containerPort": 8080}]%s}]}`, image, extra))
}

const healthCheck = `, "healthCheck": {"command": ["CMD", "true"], "interval": 5, "retries": 2, "startPeriod": 10}`

const breakerOn = `{"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}}`

// seed puts service web there, steady, and returns its task definition.
func (b *bench) seed(desired int, config string, extra string) string {
	b.Helper()
	arn, err := b.double.Seed(b.Context(), ecstest.ServiceSeed{
		Service: "web", TaskDefinition: definition("app:1", extra), Desired: desired, Config: []byte(orNone(config)),
	})
	b.must(err)
	return arn
}

func orNone(s string) string {
	if s == "" {
		return "{}"
	}
	return s
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// register adds a revision of family web.
func (b *bench) register(image, extra string) string {
	b.Helper()
	return b.registerRaw(definition(image, extra))
}

func (b *bench) registerRaw(body []byte) string {
	b.Helper()
	in := &ecs.RegisterTaskDefinitionInput{}
	b.must(json.Unmarshal(body, in))
	out, err := b.client.RegisterTaskDefinition(b.Context(), in)
	b.must(err)
	return *out.TaskDefinition.TaskDefinitionArn
}

// deploy updates the service to a new revision with the image and returns
// the id of the deployment.
func (b *bench) deploy(image, extra string) string {
	b.Helper()
	return b.deployRaw(definition(image, extra))
}

func (b *bench) deployRaw(body []byte) string {
	b.Helper()
	out, err := b.client.UpdateService(b.Context(), &ecs.UpdateServiceInput{
		Service: aws.String("web"), TaskDefinition: aws.String(b.registerRaw(body)),
	})
	b.must(err)
	return *out.Service.Deployments[0].Id
}

func (b *bench) service() types.Service {
	b.Helper()
	out, err := b.client.DescribeServices(b.Context(), &ecs.DescribeServicesInput{Services: []string{"web"}})
	b.must(err)
	if len(out.Services) != 1 {
		b.Fatalf("describe services: %d services, failures %v", len(out.Services), out.Failures)
	}
	return out.Services[0]
}

// records are the service's deployments, newest first, in full.
func (b *bench) records() []types.ServiceDeployment {
	b.Helper()
	list, err := b.client.ListServiceDeployments(b.Context(), &ecs.ListServiceDeploymentsInput{Service: aws.String("web")})
	b.must(err)
	var arns []string
	for _, r := range list.ServiceDeployments {
		arns = append(arns, *r.ServiceDeploymentArn)
	}
	out, err := b.client.DescribeServiceDeployments(b.Context(), &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: arns})
	b.must(err)
	return out.ServiceDeployments
}

// tasks are the service's tasks with a desired status.
func (b *bench) tasks(wanted types.DesiredStatus) []types.Task {
	b.Helper()
	list, err := b.client.ListTasks(b.Context(), &ecs.ListTasksInput{ServiceName: aws.String("web"), DesiredStatus: wanted})
	b.must(err)
	if len(list.TaskArns) == 0 {
		return nil
	}
	out, err := b.client.DescribeTasks(b.Context(), &ecs.DescribeTasksInput{Tasks: list.TaskArns})
	b.must(err)
	return out.Tasks
}

// stopped are the stopping and stopped tasks of a deployment, earliest first.
func (b *bench) stopped(deployment string) []types.Task {
	b.Helper()
	tasks := slices.DeleteFunc(b.tasks(types.DesiredStatusStopped), func(t types.Task) bool { return *t.StartedBy != deployment })
	slices.SortFunc(tasks, func(x, y types.Task) int { return x.CreatedAt.Compare(*y.CreatedAt) })
	return tasks
}

// last returns the truth about the newest deployment.
func (b *bench) last() ecstest.Outcome {
	b.Helper()
	all := b.double.Outcome("default", "web")
	if len(all) == 0 {
		b.Fatal("no deployment")
	}
	return all[len(all)-1]
}

// within looks every second until ok, for at most limit.
func (b *bench) within(limit time.Duration, what string, ok func() bool) {
	b.Helper()
	for start := time.Now(); !ok(); time.Sleep(time.Second) {
		if time.Since(start) > limit {
			b.Fatalf("not %s after %v\n%s", what, limit, b.story())
		}
	}
}

// story is the service as one would look at it after a surprise.
func (b *bench) story() string {
	s := b.service()
	var w strings.Builder
	for _, p := range s.Deployments {
		fmt.Fprintf(&w, "%s %s %s %s desired %d running %d pending %d failed %d\n", *p.Id, *p.Status, p.RolloutState,
			*p.RolloutStateReason, p.DesiredCount, p.RunningCount, p.PendingCount, p.FailedTasks)
	}
	for _, e := range s.Events {
		fmt.Fprintf(&w, "%s %s\n", e.CreatedAt.Format("15:04:05.000"), *e.Message)
	}
	return w.String()
}

// said counts events that contain text.
func (b *bench) said(text string) int {
	n := 0
	for _, e := range b.service().Events {
		if strings.Contains(*e.Message, text) {
			n++
		}
	}
	return n
}
