package ecstest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy/ecstest"
)

const balanced = `{"loadBalancers": [{"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef", "containerName": "app", "containerPort": 8080}]`

func TestHalfAtATime(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		b.seed(4, `{"deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 100}}`, healthCheck)
		id := b.deploy("app:2", healthCheck)
		most, least := int32(0), int32(99)
		b.within(10*time.Minute, "completed", func() bool {
			s := b.service()
			most, least = max(most, s.RunningCount+s.PendingCount), min(least, s.RunningCount)
			return b.last().Verdict == ecstest.Succeeded
		})
		if most != 4 || least != 2 {
			t.Errorf("at most %d and at least %d tasks, want 4 and 2\n%s", most, least, b.story())
		}
		if b.said("has started 2 tasks") != 2 || *b.service().Deployments[0].Id != id {
			t.Errorf("not two by two:\n%s", b.story())
		}
	})
}

func TestDraining(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		b.seed(2, balanced+"}", "")
		b.deploy("app:2", "")
		var drainFrom time.Time
		b.within(20*time.Minute, "completed", func() bool {
			for _, old := range b.tasks(types.DesiredStatusStopped) {
				if *old.LastStatus == "DEACTIVATING" && drainFrom.IsZero() {
					drainFrom = time.Now()
				}
			}
			return b.last().Verdict == ecstest.Succeeded
		})
		if drained := time.Since(drainFrom); drainFrom.IsZero() || drained < 5*time.Minute || drained > 6*time.Minute {
			t.Errorf("completed %v after draining began, want the 300 s of a deregistration delay", drained)
		}
		if b.said("has begun draining connections on") == 0 || b.said("registered 1 targets in") < 4 {
			t.Errorf("events:\n%s", b.story())
		}
	})
}

func TestSuperseded(t *testing.T) {
	virtual(t, ecstest.Script{"app:2": {Pull: time.Minute}}, func(b *bench) {
		b.seed(2, "", "")
		second := b.deploy("app:2", "")
		time.Sleep(30 * time.Second)
		third := b.deploy("app:3", "")
		if n := len(b.service().Deployments); n != 3 {
			t.Errorf("%d deployments side by side, want 3", n)
		}
		if r := b.records(); r[0].Status != "PENDING" || r[1].Status != "STOP_REQUESTED" || len(r[0].SourceServiceRevisions) != 2 {
			t.Errorf("%s after %s from %d revisions", r[0].Status, r[1].Status, len(r[0].SourceServiceRevisions))
		}
		b.within(10*time.Minute, "completed", func() bool { return b.last().Verdict == ecstest.Succeeded })
		all := b.double.Outcome("default", "web")
		if len(all) != 3 || all[1].Deployment != second || all[1].Verdict != ecstest.Superseded || all[2].Deployment != third {
			t.Errorf("outcomes %+v", all)
		}
		if r := b.records(); r[1].Status != "STOPPED" || r[1].StoppedAt == nil {
			t.Errorf("superseded %+v", r[1])
		}
		for _, dead := range b.stopped(second) {
			if dead.StopCode != types.TaskStopCodeServiceSchedulerInitiated || dead.StartedAt != nil {
				t.Errorf("task of the superseded deployment: %+v", dead)
			}
		}
	})
}

func TestDesiredCountZero(t *testing.T) {
	virtual(t, ecstest.Script{"app:2": {Crash: true}}, func(b *bench) {
		b.seed(0, breakerOn, "")
		b.deploy("app:2", "")
		b.within(time.Minute, "completed", func() bool { return b.last().Verdict == ecstest.Succeeded })
		if s := b.service(); s.RunningCount+s.PendingCount != 0 || b.said("has started") != 0 {
			t.Errorf("tasks for nothing:\n%s", b.story())
		}
	})
}

func TestScale(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		b.seed(2, "", "")
		scale := func(n int32) {
			before := *b.service().Deployments[0].Id
			out, err := b.client.UpdateService(b.Context(), &ecs.UpdateServiceInput{Service: aws.String("web"), DesiredCount: &n})
			b.must(err)
			if *out.Service.Deployments[0].Id != before {
				t.Error("a new deployment for a new desired count")
			}
			b.within(3*time.Minute, "scaled", func() bool { s := b.service(); return s.RunningCount == n && s.PendingCount == 0 })
		}
		scale(5)
		scale(1)
		if len(b.tasks(types.DesiredStatusStopped)) != 4 || len(b.records()) != 1 {
			t.Errorf("events:\n%s", b.story())
		}
		b.within(time.Minute, "steady", func() bool {
			return strings.HasSuffix(*b.service().Events[0].Message, "has reached a steady state.")
		})
	})
}

func TestForceNewDeployment(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		arn := b.seed(1, "", "")
		same, err := b.client.UpdateService(b.Context(), &ecs.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: &arn})
		b.must(err)
		if len(same.Service.Deployments) != 1 {
			t.Error("a new deployment without a change")
		}
		forced, err := b.client.UpdateService(b.Context(), &ecs.UpdateServiceInput{Service: aws.String("web"), ForceNewDeployment: true})
		b.must(err)
		if len(forced.Service.Deployments) != 2 || *forced.Service.Deployments[0].TaskDefinition != arn {
			t.Errorf("deployments %+v", forced.Service.Deployments)
		}
		b.within(10*time.Minute, "completed", func() bool { return b.last().Verdict == ecstest.Succeeded })
	})
}

func TestIdleSeed(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		_, err := b.double.Seed(b.Context(), ecstest.ServiceSeed{
			Service: "web", TaskDefinition: definition("placeholder", ""), Desired: 1, Idle: true, Config: []byte(breakerOn)})
		b.must(err)
		time.Sleep(10 * time.Minute)
		s := b.service()
		if s.Deployments[0].RolloutState != "COMPLETED" || s.RunningCount+s.PendingCount != 0 || len(b.double.Outcome("default", "web")) != 0 {
			t.Errorf("idle service:\n%s", b.story())
		}
		b.deploy("app:2", "")
		b.within(10*time.Minute, "completed", func() bool { return b.last().Verdict == ecstest.Succeeded })
		if s := b.service(); len(s.Deployments) != 1 || s.RunningCount != 1 {
			t.Errorf("after the first real deployment:\n%s", b.story())
		}
	})
}

func TestEventsAreCapped(t *testing.T) {
	virtual(t, ecstest.Script{"app:2": {Crash: true, After: 5 * time.Second}}, func(b *bench) {
		b.seed(1, "", "")
		b.deploy("app:2", "")
		time.Sleep(90 * time.Minute)
		events := b.service().Events
		if len(events) != 100 {
			t.Errorf("%d events", len(events))
		}
		if !slices.IsSortedFunc(events, func(x, y types.ServiceEvent) int { return y.CreatedAt.Compare(*x.CreatedAt) }) {
			t.Error("not newest first")
		}
	})
}

func TestEarlySuccess(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		b.seed(2, balanced+`, "deploymentConfiguration": {"earlySuccessCriteria": {"enable": true, "healthyPercent": 100, "sourceServiceRevisionCleanup": "DEFERRED"}}}`, "")
		b.deploy("app:2", "")
		b.within(20*time.Minute, "completed", func() bool { return b.last().Verdict == ecstest.Succeeded })
		if s := b.service(); len(s.Deployments) != 2 {
			t.Errorf("nothing was left to clean up:\n%s", b.story())
		}
		b.within(10*time.Minute, "steady", func() bool { return len(b.service().Deployments) == 1 })
	})
}

func TestBakeTime(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		b.seed(1, `{"deploymentConfiguration": {"bakeTimeInMinutes": 10}}`, "")
		b.deploy("app:2", "")
		start := time.Now()
		b.within(20*time.Minute, "completed", func() bool { return b.last().Verdict == ecstest.Succeeded })
		if d := time.Since(start); d < 10*time.Minute || d > 15*time.Minute {
			t.Errorf("completed after %v, with 10 minutes to bake", d)
		}
	})
}

// TestOtherControllers: what CodeDeploy or a third party deploys can be
// described, and UpdateService refuses a task definition for it.
func TestOtherControllers(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		b.seed(2, `{"deploymentController": {"type": "CODE_DEPLOY"}}`, "")
		if s := b.service(); len(s.Deployments) != 0 || s.DeploymentController.Type != types.DeploymentControllerTypeCodeDeploy {
			t.Errorf("service %+v", s)
		}
		_, err := b.client.UpdateService(b.Context(), &ecs.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: aws.String(b.register("app:2", ""))})
		if e, ok := errors.AsType[*types.InvalidParameterException](err); !ok || !strings.Contains(*e.Message, "CODE_DEPLOY deployment controller") {
			t.Errorf("update of a CODE_DEPLOY service: %v", err)
		}
	})
}
