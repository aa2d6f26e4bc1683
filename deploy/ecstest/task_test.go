package ecstest_test

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy/ecstest"
)

func TestStoppedTasksVanish(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		b.seed(1, "", "")
		task := b.tasks(types.DesiredStatusRunning)[0].TaskArn
		_, err := b.client.StopTask(b.Context(), &ecs.StopTaskInput{Task: task, Reason: aws.String("by hand")})
		b.must(err)
		time.Sleep(50 * time.Minute)
		dead := b.tasks(types.DesiredStatusStopped)
		if len(dead) != 1 || *dead[0].StoppedReason != "by hand" || dead[0].StopCode != types.TaskStopCodeUserInitiated || *dead[0].LastStatus != "STOPPED" {
			t.Errorf("stopped tasks %+v", dead)
		}
		if b.service().RunningCount != 1 {
			t.Errorf("not replaced:\n%s", b.story())
		}
		time.Sleep(20 * time.Minute)
		out, err := b.client.DescribeTasks(b.Context(), &ecs.DescribeTasksInput{Tasks: []string{*task}})
		b.must(err)
		if len(out.Tasks) != 0 || len(out.Failures) != 1 || *out.Failures[0].Reason != "MISSING" || *out.Failures[0].Arn != *task {
			t.Errorf("after an hour: %+v %+v", out.Tasks, out.Failures)
		}
	})
}

func TestSidecarAndStopTimeouts(t *testing.T) {
	story := ecstest.Script{"app:1": {IgnoreTERM: true}}
	const sidecar = `, "stopTimeout": 7}, {"name": "proxy", "image": "proxy:1", "essential": false`
	virtual(t, story, func(b *bench) {
		b.seed(1, "", sidecar)
		_, err := b.client.UpdateService(b.Context(), &ecs.UpdateServiceInput{Service: aws.String("web"), DesiredCount: aws.Int32(0)})
		b.must(err)
		time.Sleep(2 * time.Minute)
		dead := b.tasks(types.DesiredStatusStopped)[0]
		codes := map[string]int32{}
		for _, c := range dead.Containers {
			codes[*c.Name] = *c.ExitCode
		}
		if codes["app"] != 137 || codes["proxy"] != 137 || dead.ExecutionStoppedAt.Sub(*dead.StoppingAt).Round(time.Second) != 30*time.Second {
			t.Errorf("exit codes %v, %v from SIGTERM to the end", codes, dead.ExecutionStoppedAt.Sub(*dead.StoppingAt))
		}
	})
}

// TestOneOfTwoCannotStart: the reason is the start that failed, not the end
// of the container beside it.
func TestOneOfTwoCannotStart(t *testing.T) {
	virtual(t, halfStart{}, func(b *bench) {
		_, err := b.double.Seed(b.Context(), ecstest.ServiceSeed{Service: "web", TaskDefinition: definition("app:1", ""), Desired: 1, Idle: true})
		b.must(err)
		id := b.deploy("app:2", `}, {"name": "side", "image": "side:1"`)
		b.within(5*time.Minute, "failed", func() bool { return len(b.stopped(id)) > 0 })
		time.Sleep(time.Minute)
		dead := b.stopped(id)[0]
		if dead.StopCode != types.TaskStopCodeTaskFailedToStart || *dead.StoppedReason != "CannotStartContainerError: no such file" || *dead.LastStatus != "STOPPED" {
			t.Errorf("%s %s %s", dead.StopCode, *dead.StoppedReason, *dead.LastStatus)
		}
	})
}

// halfStart is a runtime whose tasks' second container does not start.
type halfStart struct{}

func (halfStart) Start(_ context.Context, spec ecstest.TaskSpec, report func(ecstest.TaskEvent)) (ecstest.Task, error) {
	t := ended(make(chan struct{}))
	go func() {
		defer close(t)
		report(ecstest.PullStarted{})
		report(ecstest.PullStopped{})
		report(ecstest.Started{Container: spec.Containers[0].Name})
		report(ecstest.Exited{Container: spec.Containers[0].Name, Code: 143})
		report(ecstest.FailedToStart{Container: spec.Containers[1].Name, Reason: "CannotStartContainerError: no such file"})
	}()
	return t, nil
}

type ended chan struct{}

func (t ended) Stop(time.Duration) {}

func (t ended) Done() <-chan struct{} { return t }

// TestWhatARuntimeGets holds the spec of a task against its definition.
func TestWhatARuntimeGets(t *testing.T) {
	const container = `, "command": ["serve"], "environment": [{"name": "MODE", "value": "blue"}], "user": "65532:65532", "stopTimeout": 7,
		"workingDirectory": "/app", "readonlyRootFilesystem": true, "memory": 300, "healthCheck": {"command": ["CMD", "check"]}}, {"name": "side", "image": "side:1", "essential": false`
	var mu sync.Mutex
	var specs []ecstest.TaskSpec
	script := ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
		mu.Lock()
		defer mu.Unlock()
		specs = append(specs, spec)
		return ecstest.Story{}
	})
	virtual(t, script, func(b *bench) {
		b.seed(1, balanced+`}`, container)
		_, err := b.client.RunTask(b.Context(), &ecs.RunTaskInput{
			TaskDefinition:       aws.String("web"),
			NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}},
			Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String("app"), Command: []string{"migrate"},
				Environment: []types.KeyValuePair{{Name: aws.String("MODE"), Value: aws.String("once")}}}}},
		})
		b.must(err)
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		want := ecstest.ContainerSpec{
			Name: "app", Image: "app:1", Essential: true, Command: []string{"serve"}, Environment: map[string]string{"MODE": "blue"},
			User: "65532:65532", WorkingDirectory: "/app", StopTimeout: 7 * time.Second, ReadonlyRoot: true, MemoryMiB: 300,
			HealthCheck:  &ecstest.HealthCheck{Command: []string{"CMD", "check"}, Interval: 30 * time.Second, Timeout: 5 * time.Second, Retries: 3},
			PortMappings: []ecstest.PortMapping{{ContainerPort: 8080, HostPort: 8080, Protocol: "tcp"}},
		}
		first := specs[0]
		if !reflect.DeepEqual(first.Containers[0], want) {
			t.Errorf("container\n%+v, want\n%+v", first.Containers[0], want)
		}
		if *first.Target != (ecstest.Target{Container: "app", Port: 8080, Interval: 30 * time.Second, Unhealthy: 2}) || first.Service != "web" || first.Family != "web" || first.Revision != 1 ||
			first.MemoryMiB != 512 || first.CPUUnits != 256 || first.Containers[1].Essential || len(first.ID) != 32 {
			t.Errorf("task %+v", first)
		}
		if once := specs[1]; once.Service != "" || once.Target != nil || once.Containers[0].Command[0] != "migrate" || once.Containers[0].Environment["MODE"] != "once" {
			t.Errorf("overridden %+v", once)
		}
	})
}

// TestStoppedBeforeItsStart: no runtime hears of a task that is stopped while
// it is provisioned.
func TestStoppedBeforeItsStart(t *testing.T) {
	virtual(t, ecstest.ScriptFunc(func(ecstest.TaskSpec) ecstest.Story { panic("started") }), func(b *bench) {
		b.register("app:1", "")
		ran, err := b.client.RunTask(b.Context(), &ecs.RunTaskInput{
			TaskDefinition:       aws.String("web"),
			NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}},
		})
		b.must(err)
		_, err = b.client.StopTask(b.Context(), &ecs.StopTaskInput{Task: ran.Tasks[0].TaskArn})
		b.must(err)
		time.Sleep(time.Minute)
		out, err := b.client.DescribeTasks(b.Context(), &ecs.DescribeTasksInput{Tasks: []string{*ran.Tasks[0].TaskArn}})
		b.must(err)
		if s := out.Tasks[0]; *s.LastStatus != "STOPPED" || s.StopCode != types.TaskStopCodeUserInitiated || s.PullStartedAt != nil {
			t.Errorf("task %+v", s)
		}
	})
}
