package rollout

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/fault"
)

// TestUndo: what cannot become well is rolled back, as the policy says, and
// only to what was steady.
func TestUndo(t *testing.T) {
	unpullable := ecstest.Story{Pull: 5 * time.Second, PullError: notFound}
	escaping := ecstest.Story{Crash: true, After: 15 * time.Second, Code: 1} // it runs long enough to reset ECS's count
	yes := func(context.Context, string) bool { return true }
	for _, c := range []struct {
		name   string
		config string
		policy deploy.Policy
		story  ecstest.Story
		seed   ecstest.ServiceSeed
		extra  string
		ask    func(context.Context, string) bool
		do     func(w *world)
		fault  func(op string, n int) ecstest.Fault
		want   deploy.Outcome
		class  fault.Class
		truth  ecstest.Verdict // of ours
		runs   string          // the service's definition in the end
		says   []string
		within time.Duration
	}{
		{name: "by default, without a breaker", config: "{}", story: unpullable, want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, runs: "web:1",
			says: []string{"given up: the image cannot be pulled", "going back to web:1 by ECS's own rollback", "(task ", "runs 2 of 2 tasks of web:1"}, within: 90 * time.Second},
		{name: "by default, with ECS's rollback: earlier than the breaker", config: breaker, story: unpullable, want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, runs: "web:1",
			says: []string{"given up"}, within: 90 * time.Second},
		{name: "by default, the breaker's owner wants no rollback", config: breakerOnly, story: unpullable, want: deploy.Failed, class: fault.RolloutFailed, truth: ecstest.Failed, runs: "web:2"},
		{name: "auto, after the breaker stopped it", config: breakerOnly, policy: deploy.Auto, story: ecstest.Story{Crash: true, Code: 1}, extra: healthCheck,
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.Failed, runs: "web:1", says: []string{"by an update of the service", "the service runs web:1 again"}},
		{name: "never", config: "{}", policy: deploy.Never, story: unpullable, want: deploy.Failed, class: fault.RolloutFailed, truth: ecstest.Ongoing, runs: "web:2",
			says: []string{"ECS goes on starting tasks of web:2", "not rolled back: that is left to ECS"}},
		{name: "ask, and nobody is there", config: "{}", policy: deploy.AskFirst, story: unpullable, want: deploy.Failed, class: fault.RolloutFailed, truth: ecstest.Ongoing, runs: "web:2",
			says: []string{"not rolled back: nobody said so"}},
		{name: "ask, yes", config: "{}", policy: deploy.AskFirst, ask: yes, story: unpullable, want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, runs: "web:1"},
		{name: "crashes after start escape the breaker", config: breaker, story: escaping, want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, runs: "web:1",
			says: []string{"given up: container app exited with code 1"}},
		{name: "the first deployment", config: "{}", seed: ecstest.ServiceSeed{Idle: true}, story: unpullable, want: deploy.Failed, class: fault.RolloutFailed, truth: ecstest.Ongoing, runs: "web:2",
			says: []string{"not rolled back: no revision of this service was steady before"}},
		{name: "the one before was not steady either", config: "{}", story: unpullable, do: brokenBefore,
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.Superseded, runs: "web:1", says: []string{"going back to web:1 by an update of the service"}},
		{name: "the steady one was deregistered", config: "{}", story: unpullable, do: func(w *world) {
			brokenBefore(w)
			if _, err := w.someone().DeregisterTaskDefinition(w.Context(), &sdk.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("web:1")}); err != nil {
				w.Error(err)
			}
		}, want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.Superseded, runs: "web:4", says: []string{"going back to web:1", "registered web:4"}},
		{name: "no permission to stop", config: "{}", story: unpullable, fault: faultOf("StopServiceDeployment", 1e6, ecstest.Deny("StopServiceDeployment")),
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.Superseded, runs: "web:1", says: []string{"the service is updated back instead"}},
		{name: "no permission for service deployments", config: "{}", story: unpullable, fault: func(op string, _ int) ecstest.Fault {
			if strings.HasSuffix(op, "ServiceDeployments") {
				return ecstest.Deny(op)
			}
			return ecstest.Fault{}
		}, want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.Superseded, runs: "web:1", says: []string{"by an update of the service"}},
		{name: "the answer to the order is lost", config: "{}", story: unpullable, fault: faultOf("StopServiceDeployment", 5, ecstest.Fault{Cut: ecstest.CutAfter}),
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, runs: "web:1"},
		{name: "throttled for long", config: "{}", story: unpullable, fault: faultOf("StopServiceDeployment", 20, ecstest.Throttle()),
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, runs: "web:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := c.seed
			seed.Desired, seed.Config, seed.TaskDefinition = 2, []byte(c.config), definition(c.extra)
			virtual(t, ecstest.Script{image2: c.story, image3: {Pull: time.Hour}}, seed, Deps{Ask: c.ask}, func(w *world) {
				w.step.cfg.Rollback = c.policy
				if c.do != nil {
					c.do(w)
				}
				w.double.Fault(c.fault)
				start := time.Now()
				r, err := w.run(w.Context(), image2)
				took := time.Since(start)
				if r.Out.Outcome != string(c.want) || fault.ClassOf(err) != c.class || strings.Contains(fmt.Sprint(err), "\n") {
					t.Errorf("outcome %q, error %v (class %d)\n%s", r.Out.Outcome, err, fault.ClassOf(err), w.said())
				}
				if c.within > 0 && took > c.within {
					t.Errorf("it took %s, more than %s", took, c.within)
				}
				time.Sleep(time.Minute) // ECS winds ours up after the update that replaced it
				for _, o := range w.double.Outcome("default", "web") {
					if o.Deployment == r.Out.Deployment && o.Verdict != c.truth {
						t.Errorf("the double says %s: %s", o.Verdict, o.Status)
					}
				}
				if got := w.service().TaskDefinition; !strings.HasSuffix(*got, c.runs) {
					t.Errorf("the service runs %s, want %s", *got, c.runs)
				}
				for _, s := range c.says {
					if !strings.Contains(w.said()+fmt.Sprint(err), s) {
						t.Errorf("said, without %q:\n%s", s, w.said())
					}
				}
			})
		})
	}
}

// brokenBefore leaves the service in the middle of another rollout that never
// comes to an end.
func brokenBefore(w *world) {
	w.to(image3)
	time.Sleep(20 * time.Second)
}
