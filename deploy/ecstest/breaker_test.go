package ecstest_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy/ecstest"
)

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
