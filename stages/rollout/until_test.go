package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/fault"
)

// TestWaitFor: the wait ends when the counts say so, and not before.
func TestWaitFor(t *testing.T) {
	slow := ecstest.Story{Pull: 20 * time.Second, Ready: 42 * time.Second, Shutdown: 20 * time.Second}
	for _, c := range []struct {
		name   string
		config string
		extra  string
		story  ecstest.Story
		until  deploy.Until
		from   time.Duration // it must not end earlier,
		to     time.Duration // nor later
		want   deploy.Outcome
		says   string
	}{
		{name: "deployed", config: `{` + balanced + `}`, until: deploy.Deployed, story: slow, from: 33 * time.Second, to: 40 * time.Second, want: deploy.Succeeded, says: "a failure from here on is not followed"},
		{name: "healthy, by the load balancer", config: `{` + balanced + `}`, until: deploy.Healthy, story: slow, from: 90 * time.Second, to: 102 * time.Second, want: deploy.Succeeded, says: "ECS goes on replacing the old tasks"},
		{name: "healthy, by the containers", config: `{}`, extra: healthCheck, until: deploy.Healthy, story: slow, from: 75 * time.Second, to: 90 * time.Second, want: deploy.Succeeded},
		{name: "steady", config: `{` + balanced + `}`, until: deploy.Steady, story: slow, from: 390 * time.Second, to: 420 * time.Second, want: deploy.Succeeded},
		{name: "healthy, blue/green", config: strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 20`), extra: healthCheck, until: deploy.Healthy, from: 40 * time.Second, to: 90 * time.Second, want: deploy.Succeeded},
		{name: "healthy, canary", config: strategy("CANARY", `, "canaryConfiguration": {"canaryBakeTimeInMinutes": 5}`), extra: healthCheck, until: deploy.Healthy, from: 5 * time.Minute, to: 7 * time.Minute, want: deploy.Succeeded},
		{name: "never healthy", config: breaker, extra: healthCheck, until: deploy.Healthy, story: ecstest.Story{NeverReady: true}, to: 5 * time.Minute, want: deploy.RolledBack},
		{name: "it crashes before it is deployed", config: "{}", extra: healthCheck, until: deploy.Deployed, story: ecstest.Story{PullError: notFound}, to: 3 * time.Minute, want: deploy.RolledBack},
		{name: "desired count 0", config: "{}", until: deploy.Healthy, to: 5 * time.Second, want: deploy.Succeeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := ecstest.ServiceSeed{Desired: 2, Config: []byte(c.config), TaskDefinition: definition(c.extra)}
			if c.name == "desired count 0" {
				seed.Desired = 0
			}
			virtual(t, ecstest.Script{image2: c.story}, seed, Deps{}, func(w *world) {
				w.step.cfg.WaitFor = c.until
				start := time.Now()
				r, err := w.run(w.Context(), image2)
				took := time.Since(start)
				if r.Out.Outcome != string(c.want) || (err == nil) != (c.want == deploy.Succeeded) || took < c.from || took > c.to || !strings.Contains(w.said(), c.says) {
					t.Errorf("%+v after %s, %v (class %d)\n%s", r.Out, took, err, fault.ClassOf(err), w.said())
				}
			})
		})
	}
}
