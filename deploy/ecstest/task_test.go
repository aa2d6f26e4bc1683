package ecstest_test

import (
	"context"
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
