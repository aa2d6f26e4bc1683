package rollout

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/fault"
)

func strategy(name, more string) string {
	return fmt.Sprintf(`{"deploymentConfiguration": {"strategy": %q%s}}`, name, more)
}

const pause = `, "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]}]`

// TestShifts: rollouts that shift traffic are followed through their stages to
// their true end.
func TestShifts(t *testing.T) {
	for _, c := range []struct {
		name    string
		config  string
		story   ecstest.Story
		timeout time.Duration
		hook    ecstest.HookResult
		do      func(w *world)
		want    deploy.Outcome
		class   fault.Class
		truth   ecstest.Verdict
		says    []string
		least   time.Duration
		most    time.Duration
	}{
		{name: "blue/green", config: strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 5`), want: deploy.Succeeded, truth: ecstest.Succeeded,
			says: []string{"stage scale up", "stage bake time", "traffic to the new revision: 100 %", "deployment successful"}, least: 5 * time.Minute, most: 7 * time.Minute},
		{name: "the default deadline leaves room for the bake time", config: strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 60`), want: deploy.Succeeded, truth: ecstest.Succeeded, least: time.Hour, most: 62 * time.Minute},
		{name: "linear, by default", config: strategy("LINEAR", ""), want: deploy.Succeeded, truth: ecstest.Succeeded,
			says: []string{"traffic to the new revision: 10 %", "traffic to the new revision: 90 %", "traffic to the new revision: 100 %"}, least: 54 * time.Minute, most: 60 * time.Minute},
		{name: "canary", config: strategy("CANARY", `, "canaryConfiguration": {"canaryPercent": 12.5, "canaryBakeTimeInMinutes": 3}`), want: deploy.Succeeded, truth: ecstest.Succeeded,
			says: []string{"traffic to the new revision: 12.5 %"}, least: 3 * time.Minute, most: 6 * time.Minute},
		{name: "green cannot be pulled", config: strategy("BLUE_GREEN", ""), story: ecstest.Story{PullError: notFound}, want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack,
			says: []string{"going back to web:1 by ECS's own rollback", "runs 2 of 2 tasks of web:1"}, most: time.Minute},
		{name: "green crashes, the breaker sees it", config: strategy("CANARY", breaks), story: ecstest.Story{Crash: true, Code: 1}, want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack,
			says: []string{"exited with code 1"}, most: 5 * time.Minute},
		{name: "green crashes while it bakes", config: strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 30`), story: ecstest.Story{Crash: true, After: 50 * time.Second, Code: 139}, want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack,
			says: []string{"given up: container app exited with code 139"}, most: 15 * time.Minute},
		{name: "a hook's function fails", config: strategy("BLUE_GREEN", lambda), hook: ecstest.HookResult{After: 10 * time.Second, Fail: true}, want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack,
			says: []string{"function:check failed at POST_SCALE_UP"}, most: 3 * time.Minute},
		{name: "paused, and somebody continues", config: strategy("BLUE_GREEN", pause), do: onPause(types.DeploymentLifecycleHookActionContinue), want: deploy.Succeeded, truth: ecstest.Succeeded,
			says: []string{"paused by a lifecycle hook until", "aws ecs continue-service-deployment", "traffic to the new revision: 0 %, test traffic 100 %"}, least: 5 * time.Minute, most: 8 * time.Minute},
		{name: "paused, and somebody rolls back", config: strategy("BLUE_GREEN", pause), do: onPause(types.DeploymentLifecycleHookActionRollback), want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, most: 8 * time.Minute},
		{name: "paused over the deadline", config: strategy("BLUE_GREEN", pause), timeout: 10 * time.Minute, want: deploy.TimedOut, class: fault.RolloutTimedOut, truth: ecstest.Ongoing,
			says: []string{"it is in POST_TEST_TRAFFIC_SHIFT with 0 % of the traffic, paused by hook", "then ECS does ROLLBACK"}, most: 11 * time.Minute},
		{name: "superseded while it bakes", config: strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 30`), do: func(w *world) {
			w.later(5*time.Minute, func(ctx context.Context, c *sdk.Client) error {
				_, err := c.UpdateService(ctx, &sdk.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: aws.String("web:1")})
				return err
			})
		}, want: deploy.Superseded, class: fault.Superseded, truth: ecstest.Superseded, most: 6 * time.Minute},
		{name: "no permission for service deployments", config: strategy("BLUE_GREEN", ""), do: deny("ServiceDeployments"), want: deploy.Succeeded, truth: ecstest.Succeeded},
		{name: "no permission for service deployments, it fails", config: strategy("BLUE_GREEN", breaks), story: ecstest.Story{Crash: true, Code: 1}, do: deny("ServiceDeployments"),
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := ecstest.Options{Runtime: ecstest.Script{image2: c.story}, Hook: func(string, string) ecstest.HookResult { return c.hook }}
			hooked(t, opt, ecstest.ServiceSeed{Desired: 2, Config: []byte(c.config), TaskDefinition: definition(healthCheck)}, Deps{}, func(w *world) {
				w.step.cfg.Timeout = c.timeout
				if c.do != nil {
					c.do(w)
				}
				start := time.Now()
				r, err := w.run(w.Context(), image2)
				took := time.Since(start)
				if r.Out.Outcome != string(c.want) || fault.ClassOf(err) != c.class {
					t.Errorf("outcome %q, error %v (class %d)\n%s", r.Out.Outcome, err, fault.ClassOf(err), w.said())
				}
				if took < c.least || c.most > 0 && took > c.most {
					t.Errorf("it took %s, want %s to %s", took, c.least, c.most)
				}
				for _, s := range c.says {
					if !strings.Contains(w.said()+fmt.Sprint(err), s) {
						t.Errorf("said, without %q:\n%s", s, w.said())
					}
				}
				time.Sleep(5 * time.Minute)
				for _, o := range w.double.Outcome("default", "web") {
					if o.Deployment == r.Out.Deployment && o.Verdict != c.truth {
						t.Errorf("the double says %s: %s", o.Verdict, o.Status)
					}
				}
			})
		})
	}
}

// onPause acts on the paused deployment after five minutes.
func onPause(action types.DeploymentLifecycleHookAction) func(w *world) {
	return func(w *world) {
		w.later(5*time.Minute, func(ctx context.Context, c *sdk.Client) error {
			all, err := c.ListServiceDeployments(ctx, &sdk.ListServiceDeploymentsInput{Service: aws.String("web")})
			if err != nil {
				return err
			}
			arn := all.ServiceDeployments[0].ServiceDeploymentArn
			full, err := c.DescribeServiceDeployments(ctx, &sdk.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{*arn}})
			if err != nil {
				return err
			}
			_, err = c.ContinueServiceDeployment(ctx, &sdk.ContinueServiceDeploymentInput{
				ServiceDeploymentArn: arn, HookId: full.ServiceDeployments[0].LifecycleHookDetails[0].HookId, Action: action})
			return err
		})
	}
}
