package ecstest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/fastship/fastship/deploy/ecstest"
)

func TestRolloutSucceeds(t *testing.T) {
	script := ecstest.Script{"app:2": {Pull: 20 * time.Second, Ready: 10 * time.Second}}
	virtual(t, script, func(b *bench) {
		b.seed(4, "", healthCheck)
		id := b.deploy("app:2", healthCheck)
		most, least := int32(0), int32(99)
		b.within(10*time.Minute, "completed", func() bool {
			s := b.service()
			most, least = max(most, s.RunningCount+s.PendingCount), min(least, s.RunningCount)
			return s.Deployments[0].RolloutState == types.DeploymentRolloutStateCompleted && len(s.Deployments) == 1
		})
		s := b.service()
		if *s.Deployments[0].Id != id || s.RunningCount != 4 || most != 8 || least < 4 {
			t.Errorf("%s running %d, at most %d at once, at least %d\n%s", *s.Deployments[0].Id, s.RunningCount, most, least, b.story())
		}
		if o := b.last(); o.Verdict != ecstest.Succeeded || o.Deployment != id || o.Status != "SUCCESSFUL" {
			t.Errorf("outcome %+v", o)
		}
		if r := b.records()[0]; r.Status != types.ServiceDeploymentStatusSuccessful || r.TargetServiceRevision.RunningTaskCount != 4 ||
			len(r.SourceServiceRevisions) != 1 || r.FinishedAt == nil || r.Rollback != nil {
			t.Errorf("service deployment %+v", r)
		}
		if e := b.service().Events; *e[0].Message != "(service web) has reached a steady state." ||
			*e[1].Message != "(service web) (deployment "+id+") deployment completed." {
			t.Errorf("events end with\n%s", b.story())
		}
	})
}

func TestCrashLoopWithoutBreakerNeverEnds(t *testing.T) {
	script := ecstest.Script{"app:2": {Crash: true, Code: 1}}
	virtual(t, script, func(b *bench) {
		b.seed(2, "", "")
		id := b.deploy("app:2", "")
		time.Sleep(30 * time.Minute)
		s := b.service()
		p := s.Deployments[0]
		if *p.Id != id || p.RolloutState != types.DeploymentRolloutStateInProgress || p.FailedTasks < 5 || s.Deployments[1].RunningCount != 2 {
			t.Errorf("after half an hour:\n%s", b.story())
		}
		if b.said("is unable to consistently start tasks successfully") != 1 {
			t.Errorf("no word of the back-off:\n%s", b.story())
		}
		if n := len(b.stopped(id)); n < 8 || n > 14 {
			t.Errorf("%d tasks in half an hour: the back-off does not hold", n)
		}
		dead := b.stopped(id)[0]
		if *dead.StoppedReason != "Essential container in task exited" || dead.StopCode != types.TaskStopCodeEssentialContainerExited ||
			*dead.Containers[0].ExitCode != 1 || *dead.LastStatus != "STOPPED" {
			t.Errorf("first stopped task: %+v", dead)
		}
		if o := b.last(); o.Verdict != ecstest.Ongoing {
			t.Errorf("outcome %+v", o)
		}
	})
}

func TestBreakerRollsBack(t *testing.T) {
	script := ecstest.Script{"app:2": {Crash: true, Code: 1}}
	virtual(t, script, func(b *bench) {
		first := b.seed(2, breakerOn, "")
		id := b.deploy("app:2", "")
		seen := map[types.ServiceDeploymentStatus]bool{}
		b.within(30*time.Minute, "rolled back", func() bool {
			r := b.records()[0]
			seen[r.Status] = true
			if s := b.service(); s.RunningCount < 2 {
				t.Fatalf("only %d tasks left:\n%s", s.RunningCount, b.story())
			}
			return r.Status == types.ServiceDeploymentStatusRollbackSuccessful
		})
		for _, s := range []types.ServiceDeploymentStatus{"IN_PROGRESS", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"} {
			if !seen[s] {
				t.Errorf("never saw %s", s)
			}
		}
		s, r := b.service(), b.records()[0]
		back := s.Deployments[0]
		if *back.TaskDefinition != first || *s.TaskDefinition != first || *back.Id == id || back.RolloutState != "COMPLETED" || len(s.Deployments) != 1 {
			t.Errorf("after the roll-back:\n%s", b.story())
		}
		if *r.StatusReason != "Service deployment rolled back because the circuit breaker threshold was exceeded." ||
			*r.Rollback.ServiceRevisionArn != *r.SourceServiceRevisions[0].Arn || r.DeploymentCircuitBreaker.Status != "TRIGGERED" ||
			r.DeploymentCircuitBreaker.FailureCount < 3 || r.DeploymentCircuitBreaker.Threshold != 3 {
			t.Errorf("service deployment %+v", r)
		}
		if b.said("(deployment "+id+") deployment failed: tasks failed to start.") != 1 || b.said("rolling back to deployment "+*back.Id) != 1 {
			t.Errorf("events:\n%s", b.story())
		}
		if o := b.last(); o.Verdict != ecstest.RolledBack || o.Deployment != id {
			t.Errorf("outcome %+v", o)
		}
		if n := len(b.records()); n != 2 {
			t.Errorf("%d service deployments: the roll-back has none of its own", n)
		}
	})
}

func TestImageNotFound(t *testing.T) {
	const why = "CannotPullContainerError: pull image manifest has been retried 7 time(s): failed to resolve ref app:2: not found"
	script := ecstest.Script{"app:2": {Pull: 5 * time.Second, PullError: why}}
	virtual(t, script, func(b *bench) {
		b.seed(1, `{"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": false}}}`, "")
		id := b.deploy("app:2", "")
		b.within(30*time.Minute, "failed", func() bool { return b.service().Deployments[0].RolloutState == types.DeploymentRolloutStateFailed })
		p := b.service().Deployments[0]
		if *p.Id != id || p.FailedTasks != 3 || *p.RolloutStateReason != "ECS deployment circuit breaker: tasks failed to start." {
			t.Errorf("deployment:\n%s", b.story())
		}
		for _, dead := range b.stopped(id) {
			if dead.StopCode != types.TaskStopCodeTaskFailedToStart || *dead.StoppedReason != why || *dead.Containers[0].Reason != why ||
				dead.StartedAt != nil || dead.PullStartedAt == nil || dead.PullStoppedAt != nil {
				t.Errorf("task %+v", dead)
			}
		}
		r := b.records()[0]
		if r.Status != types.ServiceDeploymentStatusStopped || r.StoppedAt == nil || !strings.Contains(*r.StatusReason, "circuit breaker") {
			t.Errorf("service deployment %+v", r)
		}
		time.Sleep(time.Hour)
		if s := b.service(); s.Deployments[1].RunningCount != 1 || s.Deployments[0].PendingCount != 0 || b.said("has started 1 tasks") != 4 {
			t.Errorf("a failed deployment went on, or took the old tasks with it:\n%s", b.story())
		}
		if o := b.last(); o.Verdict != ecstest.Failed {
			t.Errorf("outcome %+v", o)
		}
	})
}
