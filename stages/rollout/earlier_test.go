package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
)

// TestEarlier: what another try cannot cure ends at least 1.4 times earlier
// than by the breaker at its smallest (three tasks), and five times earlier
// than by the deadline of a service without one.
func TestEarlier(t *testing.T) {
	ended := func(config string, policy deploy.Policy) (took time.Duration) {
		story := ecstest.Story{Pull: 20 * time.Second, PullError: notFound}
		virtual(t, ecstest.Script{image2: story}, ecstest.ServiceSeed{Desired: 1, Config: []byte(config)}, Deps{Jitter: func() float64 { return 0.5 }}, func(w *world) {
			w.step.cfg.Rollback = policy
			start := time.Now()
			if _, err := w.step.Run(w.Context(), w.env(), In{Image: image2}); err == nil {
				t.Fatal("it succeeded")
			}
			for _, c := range w.double.Calls() {
				if c.Op == "StopServiceDeployment" {
					took = c.At.Sub(start)
				}
			}
			for _, e := range w.service().Events {
				if strings.Contains(*e.Message, "deployment failed: tasks failed to start") {
					took = e.CreatedAt.Sub(start)
				}
			}
		})
		return took
	}
	ours, breakers, alone := ended(breaker, deploy.Auto), ended(breaker, deploy.Never), ended("{}", deploy.Auto)
	t.Logf("given up after %s; by the breaker after %s; without one after %s instead of %s", ours, breakers, alone, defaultTimeout)
	if ours == 0 || breakers.Seconds() < 1.4*ours.Seconds() || defaultTimeout.Seconds() < 5*alone.Seconds() {
		t.Errorf("given up after %s; by the breaker after %s; without one after %s", ours, breakers, alone)
	}
}
