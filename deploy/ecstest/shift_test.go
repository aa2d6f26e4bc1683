package ecstest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy/ecstest"
)

// watched is what a deployment that shifts traffic showed, once each.
type watched struct {
	stages  []string
	weights []float64 // of green's production traffic
	fewest  int       // running tasks of the service
}

// watch looks every second until the deployment has ended.
func (b *bench) watch(limit time.Duration, look func(types.ServiceDeployment)) (w watched) {
	b.Helper()
	w.fewest = 99
	b.within(limit, "over", func() bool {
		r := b.records()[0]
		if stage := string(r.LifecycleStage); stage != "" && !slices.Contains(w.stages, stage) {
			w.stages = append(w.stages, stage)
		}
		if v := *r.TargetServiceRevision.RequestedProductionTrafficWeight; len(w.weights) == 0 || w.weights[len(w.weights)-1] != v {
			w.weights = append(w.weights, v)
		}
		w.fewest = min(w.fewest, int(b.service().RunningCount))
		if look != nil {
			look(r)
		}
		return r.FinishedAt != nil
	})
	return w
}

func strategy(name, more string) string {
	return fmt.Sprintf(`{"deploymentConfiguration": {"strategy": %q%s}}`, name, more)
}

// TestShift: each strategy goes through its stages, with its traffic, and
// never with fewer tasks than before.
func TestShift(t *testing.T) {
	stages := []string{"PRE_SCALE_UP", "SCALE_UP", "POST_SCALE_UP", "TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP"}
	for _, c := range []struct {
		name    string
		config  string
		weights []float64
		least   time.Duration
	}{
		{"blue/green", strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 2`), []float64{0, 100}, 2 * time.Minute},
		{"linear", strategy("LINEAR", `, "bakeTimeInMinutes": 0, "linearConfiguration": {"stepPercent": 30, "stepBakeTimeInMinutes": 1}`), []float64{0, 30, 60, 90, 100}, 3 * time.Minute},
		{"canary", strategy("CANARY", `, "bakeTimeInMinutes": 1, "canaryConfiguration": {"canaryPercent": 12.5, "canaryBakeTimeInMinutes": 2}`), []float64{0, 12.5, 100}, 3 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, ecstest.Script{}, func(b *bench) {
				b.seed(3, c.config, healthCheck)
				start := time.Now()
				id := b.deploy("app:2", healthCheck)
				w := b.watch(time.Hour, nil)
				if !slices.Equal(w.stages, stages) {
					t.Errorf("stages %v", w.stages)
				}
				if !slices.Equal(w.weights, c.weights) {
					t.Errorf("weights %v, want %v", w.weights, c.weights)
				}
				if took := time.Since(start); took < c.least || w.fewest < 3 {
					t.Errorf("it took %s, with at least %d tasks", took, w.fewest)
				}
				if o := b.last(); o.Verdict != ecstest.Succeeded || o.Deployment != id {
					t.Errorf("%+v\n%s", o, b.story())
				}
				time.Sleep(time.Minute)
				if s := b.service(); len(s.Deployments) != 1 || s.RunningCount != 3 || *s.Deployments[0].Id != id {
					t.Errorf("in the end\n%s", b.story())
				}
			})
		})
	}
}

// TestShiftBack: whatever ends it before CLEAN_UP, blue serves on with the
// tasks that it had.
func TestShiftBack(t *testing.T) {
	const lambda = `, "lifecycleHooks": [{"hookTargetArn": "arn:aws:lambda:us-east-1:123456789012:function:check", "roleArn": "arn:aws:iam::123456789012:role/ecs", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]}]`
	const breaks = `, "deploymentCircuitBreaker": {"enable": true, "rollback": true}`
	for _, c := range []struct {
		name   string
		config string
		story  ecstest.Story
		stopAt string // stage
		want   ecstest.Verdict
		reason string
	}{
		{name: "a function fails", config: strategy("BLUE_GREEN", lambda), want: ecstest.RolledBack, reason: "function:check failed at POST_TEST_TRAFFIC_SHIFT"},
		{name: "somebody stops it in the bake time", config: strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 5`), stopAt: "BAKE_TIME", want: ecstest.RolledBack, reason: "a user requested it"},
		{name: "somebody stops it while its tasks come up", config: strategy("LINEAR", ""), stopAt: "SCALE_UP", want: ecstest.RolledBack},
		{name: "green crashes", config: strategy("CANARY", breaks), story: ecstest.Story{Crash: true, After: time.Second, Code: 1}, want: ecstest.RolledBack, reason: "circuit breaker"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := ecstest.Options{Runtime: ecstest.Script{"app:2": c.story}, Hook: func(stage, target string) ecstest.HookResult {
				return ecstest.HookResult{After: 5 * time.Second, Fail: strings.HasSuffix(target, ":check")}
			}}
			bubble(t, o, func(b *bench) {
				b.seed(2, c.config, healthCheck)
				blue := *b.service().Deployments[0].Id
				before := b.tasks(types.DesiredStatusRunning)
				b.deploy("app:2", healthCheck)
				w := b.watch(time.Hour, func(r types.ServiceDeployment) {
					if c.stopAt != "" && string(r.LifecycleStage) == c.stopAt && r.Status == types.ServiceDeploymentStatusInProgress {
						_, err := b.client.StopServiceDeployment(b.Context(), &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: r.ServiceDeploymentArn})
						b.must(err)
					}
				})
				r := b.records()[0]
				if b.last().Verdict != c.want || !strings.Contains(aws.ToString(r.StatusReason), c.reason) || w.fewest < 2 {
					t.Errorf("%s, reason %q, at least %d tasks", b.last().Verdict, aws.ToString(r.StatusReason), w.fewest)
				}
				time.Sleep(time.Minute)
				s := b.service()
				if len(s.Deployments) != 1 || *s.Deployments[0].Id != blue || *s.TaskDefinition != *s.Deployments[0].TaskDefinition || !strings.HasSuffix(*s.TaskDefinition, "web:1") {
					t.Errorf("in the end\n%s", b.story())
				}
				after := b.tasks(types.DesiredStatusRunning)
				for _, task := range before {
					if !slices.ContainsFunc(after, func(x types.Task) bool { return *x.TaskArn == *task.TaskArn }) {
						t.Errorf("task %s of blue is gone", *task.TaskArn)
					}
				}
			})
		})
	}
}

// TestPause: a hook that pauses waits for a person or its time-out.
func TestPause(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout string
		action  types.DeploymentLifecycleHookAction // of ContinueServiceDeployment; empty: nobody calls
		want    ecstest.Verdict
		least   time.Duration
	}{
		{"continued", "", "CONTINUE", ecstest.Succeeded, 2 * time.Minute},
		{"rolled back", "", "ROLLBACK", ecstest.RolledBack, 2 * time.Minute},
		{"times out", `, "timeoutConfiguration": {"timeoutInMinutes": 3}`, "", ecstest.RolledBack, 3 * time.Minute},
		{"times out and goes on", `, "timeoutConfiguration": {"timeoutInMinutes": 3, "action": "CONTINUE"}`, "", ecstest.Succeeded, 3 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, ecstest.Script{}, func(b *bench) {
				b.seed(1, strategy("BLUE_GREEN", `, "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]`+c.timeout+`}]`), healthCheck)
				start := time.Now()
				b.deploy("app:2", healthCheck)
				b.watch(2*time.Hour, func(r types.ServiceDeployment) {
					if c.action == "" || time.Since(start) < 2*time.Minute || len(r.LifecycleHookDetails) == 0 || r.LifecycleHookDetails[0].Status != types.DeploymentLifecycleHookStatusAwaitingAction {
						return
					}
					_, err := b.client.ContinueServiceDeployment(b.Context(), &ecs.ContinueServiceDeploymentInput{
						ServiceDeploymentArn: r.ServiceDeploymentArn, HookId: r.LifecycleHookDetails[0].HookId, Action: c.action})
					b.must(err)
				})
				if took := time.Since(start); b.last().Verdict != c.want || took < c.least {
					t.Errorf("%s after %s\n%s", b.last().Verdict, took, b.story())
				}
			})
		})
	}
}

// TestShiftSuperseded: another update while green comes up replaces green, not
// blue.
func TestShiftSuperseded(t *testing.T) {
	virtual(t, ecstest.Script{"app:2": {Pull: time.Hour}}, func(b *bench) {
		b.seed(2, strategy("BLUE_GREEN", ""), healthCheck)
		b.deploy("app:2", healthCheck)
		time.Sleep(time.Minute)
		b.deploy("app:3", healthCheck)
		w := b.watch(time.Hour, nil)
		all := b.double.Outcome("default", "web")
		if all[1].Verdict != ecstest.Superseded || all[2].Verdict != ecstest.Succeeded || w.stages[0] != "RECONCILE_SERVICE" || w.fewest < 2 {
			t.Errorf("%+v, stages %v, at least %d tasks", all, w.stages, w.fewest)
		}
	})
}
