package ecstest_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
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

func TestCrashAfterStartEscapesTheBreaker(t *testing.T) {
	script := ecstest.Script{"app:2": {Crash: true, After: 15 * time.Second, Code: 1}}
	virtual(t, script, func(b *bench) {
		b.seed(1, breakerOn, "")
		id := b.deploy("app:2", "")
		time.Sleep(20 * time.Minute)
		p := b.service().Deployments[0]
		if *p.Id != id || p.RolloutState != "IN_PROGRESS" || p.FailedTasks != 0 {
			t.Errorf("deployment:\n%s", b.story())
		}
		if n := len(b.stopped(id)); n < 20 {
			t.Errorf("%d stopped tasks: what ran is replaced without a wait", n)
		}
	})
}

func TestCrashBeforeHealthyTripsTheBreaker(t *testing.T) {
	script := ecstest.Script{"app:2": {Crash: true, After: 15 * time.Second, Code: 137, Reason: "OutOfMemoryError: Container killed due to memory usage", Ready: time.Minute}}
	virtual(t, script, func(b *bench) {
		b.seed(1, breakerOn, healthCheck)
		id := b.deploy("app:2", healthCheck)
		b.within(10*time.Minute, "rolled back", func() bool { return b.last().Verdict == ecstest.RolledBack })
		dead := b.stopped(id)
		if len(dead) < 3 || *dead[0].Containers[0].Reason != "OutOfMemoryError: Container killed due to memory usage" || dead[0].StartedAt == nil {
			t.Errorf("stopped tasks %+v", dead)
		}
	})
}

func TestNeverHealthy(t *testing.T) {
	virtual(t, ecstest.Script{"app:2": {NeverReady: true}}, func(b *bench) {
		b.seed(1, breakerOn, healthCheck)
		id := b.deploy("app:2", healthCheck)
		b.within(20*time.Minute, "rolled back", func() bool { return b.last().Verdict == ecstest.RolledBack })
		dead := b.stopped(id)[0]
		if *dead.StoppedReason != "Task failed container health checks" || dead.StopCode != types.TaskStopCodeServiceSchedulerInitiated ||
			dead.HealthStatus != types.HealthStatusUnhealthy || *dead.Containers[0].ExitCode != 143 {
			t.Errorf("task %+v", dead)
		}
		if b.said("(task "+afterSlash(*dead.TaskArn)+") failed container health checks.") != 1 {
			t.Errorf("events:\n%s", b.story())
		}
	})
}

func TestTargetNeverHealthy(t *testing.T) {
	virtual(t, ecstest.Script{"app:2": {NeverReady: true, Why: "Health checks failed with these codes: [503]"}}, func(b *bench) {
		b.seed(1, balanced+`, "healthCheckGracePeriodSeconds": 120, "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}}`, "")
		id := b.deploy("app:2", "")
		b.within(60*time.Minute, "rolled back", func() bool { return b.last().Verdict == ecstest.RolledBack })
		dead := b.stopped(id)[0]
		if !strings.HasPrefix(*dead.StoppedReason, "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:") {
			t.Errorf("task %+v", dead)
		}
		if lived := dead.StoppingAt.Sub(*dead.StartedAt); lived < 2*time.Minute {
			t.Errorf("stopped %v after its start, within the grace period", lived)
		}
		if b.said("is unhealthy in (target-group") < 3 || b.said("due to (reason Health checks failed with these codes: [503])") < 3 {
			t.Errorf("events:\n%s", b.story())
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

func TestFirstDeploymentHasNothingToRollBackTo(t *testing.T) {
	virtual(t, ecstest.Script{"app:1": {Crash: true, Code: 1}}, func(b *bench) {
		b.register("app:1", "")
		_, err := b.client.CreateService(b.Context(), &ecs.CreateServiceInput{
			ServiceName: aws.String("web"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(1),
			NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}},
			DeploymentConfiguration: &types.DeploymentConfiguration{
				DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true}},
		})
		b.must(err)
		b.within(10*time.Minute, "failed", func() bool { return b.last().Verdict == ecstest.RollbackFailed })
		r, s := b.records()[0], b.service()
		if r.Status != "ROLLBACK_FAILED" || *r.StatusReason != "No rollback candidate was found to run the rollback." ||
			r.Rollback.ServiceRevisionArn != nil || s.Deployments[0].RolloutState != "FAILED" || len(s.Deployments) != 1 {
			t.Errorf("%+v\n%s", r, b.story())
		}
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

func TestUserRollsBack(t *testing.T) {
	virtual(t, ecstest.Script{"app:2": {Pull: time.Hour}}, func(b *bench) {
		first := b.seed(1, "", "")
		b.deploy("app:2", "")
		time.Sleep(time.Minute)
		arn := b.records()[0].ServiceDeploymentArn
		_, err := b.client.StopServiceDeployment(b.Context(), &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: arn, StopType: types.StopServiceDeploymentStopTypeRollback})
		b.must(err)
		if s := b.records()[0].Status; s != "ROLLBACK_REQUESTED" {
			t.Errorf("status %s", s)
		}
		b.within(10*time.Minute, "rolled back", func() bool { return b.last().Verdict == ecstest.RolledBack })
		if s := b.service(); *s.TaskDefinition != first || s.RunningCount != 1 {
			t.Errorf("after the roll-back:\n%s", b.story())
		}
		_, err = b.client.StopServiceDeployment(b.Context(), &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: arn})
		if _, ok := errors.AsType[*types.ConflictException](err); !ok {
			t.Errorf("stopping what has ended: %v", err)
		}
	})
}

func TestRollbackFailsToo(t *testing.T) {
	broken := false
	script := ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
		return ecstest.Story{Crash: broken, Code: 1}
	})
	virtual(t, script, func(b *bench) {
		b.seed(1, breakerOn, "")
		broken = true
		b.deploy("app:2", "")
		b.within(time.Hour, "given up", func() bool { return b.last().Verdict == ecstest.RollbackFailed })
		if s := b.service(); s.RunningCount != 1 || s.Deployments[0].RolloutState != "FAILED" || len(s.Deployments) != 2 {
			t.Errorf("after the failed roll-back:\n%s", b.story())
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

func TestBecomesUnhealthy(t *testing.T) {
	var lives atomic.Int32
	script := ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
		if lives.Add(1) == 1 {
			return ecstest.Story{Unready: 5 * time.Minute}
		}
		return ecstest.Story{}
	})
	virtual(t, script, func(b *bench) {
		b.seed(1, "", healthCheck)
		b.within(10*time.Minute, "replaced", func() bool { return lives.Load() == 2 && b.service().RunningCount == 1 })
		if p := b.service().Deployments[0]; p.RolloutState != "COMPLETED" || p.FailedTasks != 0 {
			t.Errorf("a completed deployment counts failures:\n%s", b.story())
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

func TestInactiveDefinition(t *testing.T) {
	virtual(t, ecstest.Script{"app:2": {Crash: true, Code: 1}}, func(b *bench) {
		first := b.seed(1, breakerOn, "")
		_, err := b.client.DeregisterTaskDefinition(b.Context(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &first})
		b.must(err)
		b.deploy("app:2", "")
		b.within(20*time.Minute, "rolled back", func() bool { return b.last().Verdict == ecstest.RolledBack })
		_, err = b.client.UpdateService(b.Context(), &ecs.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: &first})
		if e, ok := errors.AsType[*types.ClientException](err); !ok || *e.Message != "TaskDefinition is inactive" {
			t.Errorf("an inactive definition: %v", err)
		}
	})
}

func TestFaults(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		b.seed(1, "", "")
		update := func() error {
			_, err := b.client.UpdateService(b.Context(), &ecs.UpdateServiceInput{Service: aws.String("web"), ForceNewDeployment: true})
			return err
		}
		faults := []ecstest.Fault{
			ecstest.Throttle(), ecstest.ServerError(503), ecstest.Deny("UpdateService"),
			{Cut: ecstest.CutBefore}, {Cut: ecstest.CutAfter}, {Delay: time.Minute},
		}
		b.double.Fault(func(op string, n int) ecstest.Fault {
			if op == "UpdateService" && n <= len(faults) {
				return faults[n-1]
			}
			return ecstest.Fault{}
		})
		accepted := func() int { return len(b.double.Outcome("default", "web")) - 1 }
		for i, want := range []string{"ThrottlingException", "ServerException", "AccessDeniedException"} {
			if err := update(); err == nil || !strings.Contains(err.Error(), want) || accepted() != 0 {
				t.Errorf("fault %d: %v, %d accepted", i, err, accepted())
			}
		}
		if err := update(); !errors.Is(err, io.ErrUnexpectedEOF) || accepted() != 0 {
			t.Errorf("cut before: %v, %d accepted", err, accepted())
		}
		if err := update(); !errors.Is(err, io.ErrUnexpectedEOF) || accepted() != 1 {
			t.Errorf("cut after: %v, %d accepted", err, accepted())
		}
		start := time.Now()
		if err := update(); err != nil || time.Since(start) != time.Minute || accepted() != 2 {
			t.Errorf("slow: %v after %v, %d accepted", err, time.Since(start), accepted())
		}
		if n := b.double.Counts()["UpdateService"]; n != 6 {
			t.Errorf("%d calls counted", n)
		}
		calls := b.double.Calls()
		if c := calls[0]; c.Op != "UpdateService" || c.Status != 400 || c.Error != "ThrottlingException" || calls[3].Status != 0 {
			t.Errorf("calls %+v", calls)
		}
	})
}

// TestFailureCount: failures in a row are counted, a healthy task resets the
// count, unless resetOnHealthyTask is off.
func TestFailureCount(t *testing.T) {
	for reset, want := range map[string]ecstest.Verdict{"true": ecstest.Succeeded, "false": ecstest.RolledBack} {
		t.Run(reset, func(t *testing.T) {
			var lives atomic.Int32
			script := ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
				n := int32(0)
				if spec.Revision == 2 {
					n = lives.Add(1)
				}
				return ecstest.Story{Crash: n == 1 || n == 2 || n == 4 || n == 5, Code: 1}
			})
			virtual(t, script, func(b *bench) {
				b.seed(2, `{"deploymentConfiguration": {"maximumPercent": 150, "deploymentCircuitBreaker": {"enable": true, "rollback": true,
					"resetOnHealthyTask": `+reset+`, "thresholdConfiguration": {"type": "COUNT", "value": 3}}}}`, healthCheck)
				b.deploy("app:2", healthCheck)
				b.within(30*time.Minute, "ended", func() bool { return b.last().Verdict != ecstest.Ongoing })
				if v := b.last().Verdict; v != want {
					t.Errorf("%s, want %s\n%s", v, want, b.story())
				}
			})
		})
	}
}

// TestUnhealthyIsNotThrottled: only tasks that never ran are held back.
func TestUnhealthyIsNotThrottled(t *testing.T) {
	virtual(t, ecstest.Script{"app:2": {NeverReady: true}}, func(b *bench) {
		b.seed(5, "", healthCheck)
		id := b.deploy("app:2", healthCheck)
		time.Sleep(20 * time.Minute)
		if n := len(b.stopped(id)); b.said("unable to consistently start") != 0 || n < 50 {
			t.Errorf("%d tasks\n%s", n, b.story())
		}
	})
}

// TestRollBackRestoresTheService: a roll-back undoes what came with the
// deployment, the way of deploying aside.
func TestRollBackRestoresTheService(t *testing.T) {
	virtual(t, ecstest.Script{"app:2": {Crash: true}}, func(b *bench) {
		b.seed(1, breakerOn, "")
		before := b.service().NetworkConfiguration.AwsvpcConfiguration.Subnets[0]
		_, err := b.client.UpdateService(b.Context(), &ecs.UpdateServiceInput{
			Service: aws.String("web"), TaskDefinition: aws.String(b.register("app:2", "")),
			NetworkConfiguration:    &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-new"}}},
			DeploymentConfiguration: &types.DeploymentConfiguration{MaximumPercent: aws.Int32(250)},
		})
		b.must(err)
		if now := b.service().NetworkConfiguration.AwsvpcConfiguration.Subnets[0]; now != "subnet-new" {
			t.Errorf("subnet %s", now)
		}
		b.within(30*time.Minute, "rolled back", func() bool { return b.last().Verdict == ecstest.RolledBack })
		s := b.service()
		if now := s.NetworkConfiguration.AwsvpcConfiguration.Subnets[0]; now != before || *s.DeploymentConfiguration.MaximumPercent != 250 ||
			!s.DeploymentConfiguration.DeploymentCircuitBreaker.Rollback {
			t.Errorf("subnet %s, maximum %d", now, *s.DeploymentConfiguration.MaximumPercent)
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

func (t ended) Stop(time.Duration)    {}
func (t ended) Done() <-chan struct{} { return t }

func TestLimits(t *testing.T) {
	bubble(t, ecstest.Options{Runtime: ecstest.Script{}, Limits: ecstest.ECSLimits()}, func(b *bench) {
		throttled := func(calls int) (n int) {
			for range calls {
				_, err := b.client.DescribeTaskDefinition(b.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("x")})
				if strings.Contains(err.Error(), "ThrottlingException: Rate exceeded") {
					n++
				}
			}
			return n
		}
		if n := throttled(110); n != 10 {
			t.Errorf("%d of a burst of 110 throttled, want 10", n)
		}
		time.Sleep(2 * time.Second)
		if n := throttled(50); n != 10 {
			t.Errorf("%d of 50 throttled after 2 s of refill, want 10", n)
		}
	})
}

func TestReadsThatLag(t *testing.T) {
	bubble(t, ecstest.Options{Runtime: ecstest.Script{}, MaxLag: time.Minute}, func(b *bench) {
		b.seed(1, "", "")
		time.Sleep(time.Minute)
		b.double.Fault(func(op string, n int) ecstest.Fault {
			if strings.HasPrefix(op, "Describe") {
				return ecstest.Fault{Lag: 5 * time.Second}
			}
			return ecstest.Fault{}
		})
		id := b.deploy("app:2", "")
		if *b.service().Deployments[0].Id == id {
			t.Error("the read does not lag")
		}
		time.Sleep(4 * time.Second)
		if *b.service().Deployments[0].Id == id {
			t.Error("the read does not lag for 5 s")
		}
		time.Sleep(time.Second)
		if *b.service().Deployments[0].Id != id {
			t.Error("the read lags for more than 5 s")
		}
	})
}

func TestRoutes(t *testing.T) {
	script := ecstest.Script{"app:1": {Address: "127.0.0.1:1001"}, "app:2": {Address: "127.0.0.1:1002", Ready: 12 * time.Second}}
	virtual(t, script, func(b *bench) {
		b.seed(1, "", healthCheck)
		var seen []string
		now, changed := b.double.Routes("default", "web")
		seen = append(seen, strings.Join(now, " "))
		b.deploy("app:2", healthCheck)
		for len(seen) < 3 {
			select {
			case <-changed:
				now, changed = b.double.Routes("default", "web")
				seen = append(seen, strings.Join(now, " "))
			case <-time.After(10 * time.Minute):
				t.Fatalf("no change after %q\n%s", seen, b.story())
			}
		}
		if want := []string{"127.0.0.1:1001", "127.0.0.1:1001 127.0.0.1:1002", "127.0.0.1:1002"}; !slices.Equal(seen, want) {
			t.Errorf("routes %q, want %q: a rolling deployment never leaves none", seen, want)
		}
	})
}

func afterSlash(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
