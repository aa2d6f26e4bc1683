package ecstest_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy/ecstest"
)

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
