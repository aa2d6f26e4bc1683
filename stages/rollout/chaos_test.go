package rollout

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
)

// TestChaos plays random rollouts under random faults: what the stage
// reports must be the double's truth, with at most one deployment accepted.
// FASTSHIP_SEEDS is how many (default 100), FASTSHIP_SEED replays one.
func TestChaos(t *testing.T) {
	first, count := uint64(1), uint64(100)
	if s := os.Getenv("FASTSHIP_SEEDS"); s != "" {
		count, _ = strconv.ParseUint(s, 10, 64)
	}
	if s := os.Getenv("FASTSHIP_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		count = 1
	}
	ends := map[string]int{}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newChaos(seed)
			virtual(t, ecstest.Script{image2: c.story}, c.seed, Deps{Jitter: rand.New(rand.NewPCG(seed, 2)).Float64}, func(w *world) {
				end := c.play(w)
				ends[end]++
				if t.Failed() {
					t.Logf("replay with FASTSHIP_SEED=%d\nstory %+v, config %s, faults %v, lag %s, policy %q, intruder %s\nsaid:\n%s", seed, c.story, c.seed.Config, c.faults, c.lag, c.policy, c.intruder, w.said())
				}
			})
		})
	}
	for _, end := range slices.Sorted(maps.Keys(ends)) {
		t.Logf("%4d %s", ends[end], end)
	}
	if count >= 100 && len(ends) < 5 {
		t.Errorf("only %d kinds of end: the chaos is too tame", len(ends))
	}
}

// chaos is one seed's story and faults.
type chaos struct {
	mu       sync.Mutex
	rand     *rand.Rand
	story    ecstest.Story
	seed     ecstest.ServiceSeed
	faults   float64       // the share of calls that go wrong
	lag      time.Duration // of reads
	policy   deploy.Policy // of rolling back
	intruder string        // what somebody else does, and when
	after    time.Duration
}

// configs are the ways of deploying that the chaos plays.
var configs = []string{"{}", breaker, breakerOnly, "{}", breaker, breakerOnly,
	strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 1`), strategy("BLUE_GREEN", `, "deploymentCircuitBreaker": {"enable": true, "rollback": true}`),
	strategy("CANARY", `, "canaryConfiguration": {"canaryBakeTimeInMinutes": 1}`), strategy("LINEAR", `, "linearConfiguration": {"stepPercent": 40, "stepBakeTimeInMinutes": 1}`),
}

func newChaos(seed uint64) *chaos {
	r := rand.New(rand.NewPCG(seed, 7))
	upTo := func(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }
	c := &chaos{rand: r, faults: []float64{0, 0.05, 0.3}[r.IntN(3)], after: upTo(3 * time.Minute)}
	c.story = ecstest.Story{Pull: upTo(time.Minute), Start: upTo(10 * time.Second), Ready: upTo(time.Minute), Shutdown: upTo(20 * time.Second)}
	switch r.IntN(6) {
	case 0:
		c.story.Crash, c.story.After, c.story.Code = true, upTo(20*time.Second), 1+r.IntN(200)
	case 1:
		c.story.PullError = notFound
	case 2:
		c.story.NeverReady = true
	case 3:
		c.story.Pull = time.Hour
	}
	extra := []string{"", healthCheck}[r.IntN(2)]
	c.seed = ecstest.ServiceSeed{
		Desired: r.IntN(5), TaskDefinition: definition(extra),
		Config: []byte(configs[r.IntN(len(configs))]),
	}
	if r.IntN(2) == 0 {
		c.lag = upTo(6 * time.Second)
	}
	c.policy = []deploy.Policy{deploy.Unset, deploy.Auto, deploy.Never}[r.IntN(3)]
	c.intruder = []string{"", "", "update", "rollback", "scale"}[r.IntN(5)]
	return c
}

// fault decides on one call.
func (c *chaos) fault(op string, _ int) ecstest.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	var f ecstest.Fault
	if c.rand.Float64() < c.faults {
		f = []ecstest.Fault{ecstest.Throttle(), ecstest.ServerError(500), ecstest.ServerError(503),
			{Cut: ecstest.CutBefore}, {Cut: ecstest.CutAfter}, {Delay: 10 * time.Second}}[c.rand.IntN(6)]
	}
	if c.lag > 0 && (strings.HasPrefix(op, "Describe") || strings.HasPrefix(op, "List")) {
		f.Lag = time.Duration(c.rand.Int64N(int64(c.lag)))
	}
	return f
}

// play runs the rollout, compares, and says how it ended.
func (c *chaos) play(w *world) string {
	time.Sleep(time.Minute) // for reads that lag: the service was there a while
	w.double.Fault(c.fault)
	w.step.cfg.Rollback = c.policy
	ctx, cancel := context.WithCancel(w.Context())
	var intruder sync.WaitGroup
	intruder.Go(func() { c.intrude(ctx, w) })
	r, err := w.step.Run(ctx, w.env(), In{Image: image2})
	cancel()
	intruder.Wait()
	w.double.Fault(nil)
	if r.Out.Outcome == string(deploy.Superseded) {
		time.Sleep(15 * time.Minute) // the stage knows as soon as another is asked for, ECS winds ours up first
	}

	var ours []ecstest.Outcome
	others := 0
	for _, o := range w.double.Outcome("default", "web")[1:] {
		if strings.HasSuffix(o.TaskDefinition, "web:1") {
			others++
			continue
		}
		ours = append(ours, o)
	}
	if len(ours) > 1 {
		w.Errorf("%d deployments were accepted: %+v", len(ours), ours)
	}
	if len(ours) == 0 {
		w.Errorf("no deployment was accepted: %v", err)
		return "nothing"
	}
	if r.Out.Deployment != ours[0].Deployment {
		w.Errorf("followed %s, started %s", r.Out.Deployment, ours[0].Deployment)
	}
	if limit := map[bool]int{false: 1, true: 2}[c.intruder == "update"]; others > limit {
		w.Errorf("%d updates back to web:1", others)
	}
	truth := ours[0].Verdict
	if last := w.last(); r.Out.Outcome == string(deploy.RolledBack) && (truth == ecstest.Failed || truth == ecstest.Superseded) &&
		strings.HasSuffix(last.TaskDefinition, "web:1") && last.Verdict == ecstest.Succeeded {
		return r.Out.Outcome + " by an update where it is " + string(truth)
	}
	if !c.agrees(deploy.Outcome(r.Out.Outcome), truth, others > 0) {
		w.Errorf("reported %q (%v), the truth is %s (%s)", r.Out.Outcome, err, truth, ours[0].Status)
	}
	if (err == nil) != (r.Out.Outcome == "succeeded") {
		w.Errorf("outcome %q with error %v", r.Out.Outcome, err)
	}
	return r.Out.Outcome + " where it is " + string(truth)
}

// agrees compares a report with the truth. What the stage gives up, or leaves
// at its deadline, goes on in ECS; and what was scaled up before the stage saw
// its end, or crashes after it, is not steady, though its deployment was
// successful.
func (c *chaos) agrees(reported deploy.Outcome, truth ecstest.Verdict, others bool) bool {
	switch truth {
	case ecstest.Ongoing:
		return reported == deploy.Failed || reported == deploy.TimedOut
	case ecstest.Succeeded:
		return reported == deploy.Succeeded || reported == deploy.Superseded && others ||
			(c.intruder == "scale" || c.story.Crash) && (reported == deploy.Failed || reported == deploy.TimedOut)
	}
	if truth == ecstest.Failed && c.intruder == "rollback" && reported == deploy.RollbackFailed {
		return true // it was the way back that somebody stopped
	}
	if reported == deploy.Failed && c.policy == deploy.Never && c.lag > 0 && c.intruder == "rollback" {
		return true // it was given up and left to ECS, on a read older than what somebody did
	}
	if truth == ecstest.Failed && others && reported == deploy.Superseded {
		return true // it had failed when another came
	}
	return string(reported) == string(truth)
}

// intrude does what somebody else would do to the service.
func (c *chaos) intrude(ctx context.Context, w *world) {
	select {
	case <-time.After(c.after):
	case <-ctx.Done():
		return
	}
	someone := w.someone() // whose calls may fail too: then nothing happened
	switch c.intruder {
	case "update":
		someone.UpdateService(ctx, &sdk.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: aws.String("web:1")})
	case "scale":
		someone.UpdateService(ctx, &sdk.UpdateServiceInput{Service: aws.String("web"), DesiredCount: aws.Int32(3)})
	case "rollback":
		all, err := someone.ListServiceDeployments(ctx, &sdk.ListServiceDeploymentsInput{Service: aws.String("web")})
		if err == nil {
			someone.StopServiceDeployment(ctx, &sdk.StopServiceDeploymentInput{ServiceDeploymentArn: all.ServiceDeployments[0].ServiceDeploymentArn})
		}
	}
}
