package ecstest_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/fastship/fastship/deploy/ecstest"
)

// fate is what a random rollout must come to.
type fate struct {
	story   ecstest.Story
	extra   string // of the container definition
	good    bool   // the new tasks run and stay
	escapes bool   // they run first: the breaker counts nothing
}

func fates() map[string]fate {
	return map[string]fate{
		"good":       {good: true},
		"slow":       {story: ecstest.Story{Pull: 40 * time.Second, Start: 5 * time.Second, Ready: 33 * time.Second}, extra: healthCheck, good: true},
		"no image":   {story: ecstest.Story{Pull: time.Second, PullError: "CannotPullContainerError: not found"}},
		"no start":   {story: ecstest.Story{StartError: "CannotStartContainerError: exec format error"}},
		"crash":      {story: ecstest.Story{Crash: true, Code: 1}},
		"late crash": {story: ecstest.Story{Crash: true, After: 20 * time.Second, Code: 1}, escapes: true},
		"unhealthy":  {story: ecstest.Story{NeverReady: true}, extra: healthCheck},
		"slow end":   {story: ecstest.Story{IgnoreTERM: true}, good: true},
	}
}

// TestRandomRollouts holds what no rollout may break, whatever happens: the
// limits of minimumHealthyPercent and maximumPercent at every moment, an end
// for whatever can end, and a PRIMARY that fits the verdict.
func TestRandomRollouts(t *testing.T) {
	kinds := []string{"good", "slow", "no image", "no start", "crash", "late crash", "unhealthy", "slow end"}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		kind := kinds[r.IntN(len(kinds))]
		desired := 1 + r.IntN(9)
		limits := [][2]int{{100, 200}, {50, 100}, {50, 150}, {0, 100}, {75, 125}, {100, 150}}[r.IntN(6)]
		if desired < 4 && limits[0] != 0 {
			limits = [2]int{100, 200} // less leaves no whole task to move
		}
		breaker := r.IntN(3)
		name := fmt.Sprintf("%d/%s/%d tasks/%d-%d/breaker %d", seed, kind, desired, limits[0], limits[1], breaker)
		t.Run(name, func(t *testing.T) {
			randomRollout(t, fates()[kind], desired, limits, breaker)
		})
	}
}

func randomRollout(t *testing.T, f fate, desired int, limits [2]int, breaker int) {
	virtual(t, ecstest.Script{"app:2": f.story}, func(b *bench) {
		b.client = sdk(ecstest.Transport(b.double)) // other tests hold answers against the model
		first := b.seed(desired, fmt.Sprintf(`{"deploymentConfiguration": {"minimumHealthyPercent": %d, "maximumPercent": %d,
			"deploymentCircuitBreaker": {"enable": %v, "rollback": %v}}}`, limits[0], limits[1], breaker > 0, breaker > 1), "")
		id := b.deploy("app:2", f.extra)
		lower, upper := (desired*limits[0]+99)/100, desired*limits[1]/100
		for start := time.Now(); b.last().Verdict == ecstest.Ongoing && time.Since(start) < 20*time.Minute; time.Sleep(2 * time.Second) {
			s := b.service()
			if n := int(s.RunningCount + s.PendingCount); n > upper {
				t.Fatalf("%d tasks, more than %d\n%s", n, upper, b.story())
			}
			if n := int(s.RunningCount); n < lower {
				t.Fatalf("%d tasks run, less than %d\n%s", n, lower, b.story())
			}
		}
		want := ecstest.Ongoing
		switch {
		case f.good:
			want = ecstest.Succeeded
		case f.escapes || breaker == 0:
		case breaker == 1:
			want = ecstest.Failed
		default:
			want = ecstest.RolledBack
		}
		got := b.last()
		if got.Verdict != want || got.Deployment != id {
			t.Fatalf("%s, want %s\n%s", got.Verdict, want, b.story())
		}
		p := b.service().Deployments[0]
		if rolledBack := *p.TaskDefinition == first; rolledBack != (want == ecstest.RolledBack) {
			t.Errorf("%s, and PRIMARY runs %s", want, *p.TaskDefinition)
		}
		if done := p.RolloutState == types.DeploymentRolloutStateCompleted; done != (want == ecstest.Succeeded || want == ecstest.RolledBack) {
			t.Errorf("%s, and PRIMARY is %s", want, p.RolloutState)
		}
	})
}
