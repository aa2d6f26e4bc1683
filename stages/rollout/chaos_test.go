package rollout

import (
	"context"
	"errors"
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
	"github.com/fastship/fastship/runner"
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
			opt := ecstest.Options{
				Runtime: ecstest.Script{image2: c.story}, MaxLag: 10 * time.Second,
				Hook: func(string, string) ecstest.HookResult { return c.hook },
			}
			if c.limited {
				opt.Limits = ecstest.ECSLimits()
			}
			deps := Deps{Jitter: rand.New(rand.NewPCG(seed, 2)).Float64, State: t.TempDir()}
			hooked(t, opt, c.seed, deps, func(w *world) {
				end := c.play(w)
				ends[end]++
				if t.Failed() {
					t.Logf("replay with FASTSHIP_SEED=%d\nstory %+v, config %s, faults %v, lag %s, policy %q, intruder %s, killed at %d, hook %+v\nsaid:\n%s", seed, c.story, c.seed.Config, c.faults, c.lag, c.policy, c.intruder, c.killed, c.hook, w.said())
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
	limited  bool               // by the account's limits
	hook     ecstest.HookResult // of the function
	killed   int                // the call at which the first run is killed; 0: it is not
}

// configs are the ways of deploying that the chaos plays.
var configs = []string{"{}", breaker, breakerOnly, "{}", breaker, breakerOnly,
	strategy("ROLLING", alarms), strategy("ROLLING", alarmsOnly+`, "bakeTimeInMinutes": 2`), strategy("ROLLING", `, "earlySuccessCriteria": {"enable": true, "healthyPercent": 100, "sourceServiceRevisionCleanup": "DEFERRED"}`),
	`{` + balanced + `, "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}}`,
	strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 1`), strategy("BLUE_GREEN", breaks), strategy("BLUE_GREEN", alarms+`, "bakeTimeInMinutes": 2`), strategy("BLUE_GREEN", alarmsOnly+breaks),
	strategy("BLUE_GREEN", pausing("POST_SCALE_UP", "CONTINUE")), strategy("BLUE_GREEN", pausing("POST_TEST_TRAFFIC_SHIFT", "ROLLBACK")), strategy("BLUE_GREEN", lambda),
	strategy("CANARY", `, "canaryConfiguration": {"canaryBakeTimeInMinutes": 1}`), strategy("CANARY", `, "canaryConfiguration": {"canaryBakeTimeInMinutes": 2}`+breaks+alarms),
	strategy("LINEAR", `, "linearConfiguration": {"stepPercent": 40, "stepBakeTimeInMinutes": 1}`), strategy("LINEAR", `, "linearConfiguration": {"stepPercent": 60, "stepBakeTimeInMinutes": 1}`+breaks),
}

const (
	alarms     = `, "alarms": {"alarmNames": ["web-5xx"], "enable": true, "rollback": true}`
	alarmsOnly = `, "alarms": {"alarmNames": ["web-5xx"], "enable": true, "rollback": false}`
	breaks     = `, "deploymentCircuitBreaker": {"enable": true, "rollback": true}`
	lambda     = `, "lifecycleHooks": [{"hookTargetArn": "arn:aws:lambda:us-east-1:123456789012:function:check", "roleArn": "arn:aws:iam::123456789012:role/ecs", "lifecycleStages": ["POST_SCALE_UP"]}]`
)

// pausing is a hook that pauses for a minute at a stage.
func pausing(stage, then string) string {
	return fmt.Sprintf(`, "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": [%q], "timeoutConfiguration": {"timeoutInMinutes": 1, "action": %q}}]`, stage, then)
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
	c.intruder = []string{"", "", "update", "rollback", "scale", "alarm", "continue", "delete", "stop-task"}[r.IntN(9)]
	c.limited = r.IntN(4) == 0
	c.hook = ecstest.HookResult{After: upTo(90 * time.Second), Fail: r.IntN(3) == 0}
	if r.IntN(5) == 0 {
		c.killed = 1 + r.IntN(60)
	}
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
	w.step.cfg.Rollback = c.policy
	ctx, cancel := context.WithCancel(w.Context())
	var intruder sync.WaitGroup
	intruder.Go(func() { c.intrude(ctx, w) })
	r, err := c.run(ctx, w)
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
	if len(ours) == 0 && c.intruder == "delete" && err != nil && strings.Contains(err.Error(), "not ACTIVE") {
		return "deleted before it began"
	}
	if len(ours) == 0 {
		w.Errorf("no deployment was accepted: %v", err)
		return "nothing"
	}
	if c.intruder == "delete" && c.killed > 0 && r.Out.Outcome == "" && err != nil && strings.Contains(err.Error(), "not ACTIVE") {
		return "deleted between two runs"
	}
	if r.Out.Deployment != ours[0].Deployment && !(c.killed > 0 && r.Out.Deployment == "") { // ended before the first run knew its name
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
	if last := w.last(); r.Out.Outcome == string(deploy.RollbackFailed) && truth == ecstest.Failed && strings.HasSuffix(last.TaskDefinition, "web:1") && last.Verdict != ecstest.Succeeded {
		return "rollback-failed where both are failed"
	}
	if !c.agrees(deploy.Outcome(r.Out.Outcome), truth, others > 0) {
		w.Errorf("reported %q (%v), the truth is %s (%s)", r.Out.Outcome, err, truth, ours[0].Status)
	}
	if (err == nil) != (r.Out.Outcome == "succeeded") {
		w.Errorf("outcome %q with error %v", r.Out.Outcome, err)
	}
	return r.Out.Outcome + " where it is " + string(truth)
}

// run runs the stage to its end: where it is killed at one of its calls, the
// same again takes it up.
func (c *chaos) run(ctx context.Context, w *world) (runner.Result[Out], error) {
	w.double.Fault(c.fault)
	if c.killed > 0 {
		died := errors.New("killed")
		first, kill := context.WithCancelCause(ctx)
		defer kill(nil)
		calls := 0
		w.double.Fault(func(op string, n int) ecstest.Fault {
			c.mu.Lock()
			calls++
			now := calls == c.killed
			c.mu.Unlock()
			if now {
				time.AfterFunc(0, func() { kill(died) })
				return ecstest.Fault{Cut: ecstest.CutAfter}
			}
			return c.fault(op, n)
		})
		r, err := w.step.Run(first, w.env(), In{Image: image2})
		if !errors.Is(err, died) {
			return r, err // it had come to its end
		}
		w.double.Fault(c.fault)
		time.Sleep(c.after / 4)
	}
	return w.step.Run(ctx, w.env(), In{Image: image2})
}

// agrees compares a report with the truth. What the stage gives up, or leaves
// at its deadline, goes on in ECS; and what was scaled up before the stage saw
// its end, was deleted then, or crashes after it, is not steady, though its
// deployment was successful.
func (c *chaos) agrees(reported deploy.Outcome, truth ecstest.Verdict, others bool) bool {
	switch truth {
	case ecstest.Ongoing:
		return reported == deploy.Failed || reported == deploy.TimedOut
	case ecstest.RolledBack:
		return reported == deploy.RolledBack || c.intruder == "delete" && reported == deploy.Failed // deleted before that was seen
	case ecstest.Succeeded:
		return reported == deploy.Succeeded || reported == deploy.Superseded && others ||
			(c.intruder == "scale" || c.intruder == "delete" || c.story.Crash) && (reported == deploy.Failed || reported == deploy.TimedOut)
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
	case "alarm":
		w.double.Alarm("web-5xx", true)
		time.Sleep(time.Minute)
		w.double.Alarm("web-5xx", false)
	case "delete":
		someone.DeleteService(ctx, &sdk.DeleteServiceInput{Service: aws.String("web"), Force: aws.Bool(true)})
	case "stop-task":
		all, err := someone.ListTasks(ctx, &sdk.ListTasksInput{ServiceName: aws.String("web")})
		if err == nil && len(all.TaskArns) > 0 {
			someone.StopTask(ctx, &sdk.StopTaskInput{Task: &all.TaskArns[0]})
		}
	case "continue":
		all, err := someone.ListServiceDeployments(ctx, &sdk.ListServiceDeploymentsInput{Service: aws.String("web")})
		if err != nil {
			return
		}
		out, err := someone.DescribeServiceDeployments(ctx, &sdk.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{*all.ServiceDeployments[0].ServiceDeploymentArn}})
		if err == nil && len(out.ServiceDeployments) > 0 {
			for _, h := range out.ServiceDeployments[0].LifecycleHookDetails {
				someone.ContinueServiceDeployment(ctx, &sdk.ContinueServiceDeploymentInput{ServiceDeploymentArn: out.ServiceDeployments[0].ServiceDeploymentArn, HookId: h.HookId})
			}
		}
	case "scale":
		someone.UpdateService(ctx, &sdk.UpdateServiceInput{Service: aws.String("web"), DesiredCount: aws.Int32(3)})
	case "rollback":
		all, err := someone.ListServiceDeployments(ctx, &sdk.ListServiceDeploymentsInput{Service: aws.String("web")})
		if err == nil {
			someone.StopServiceDeployment(ctx, &sdk.StopServiceDeploymentInput{ServiceDeploymentArn: all.ServiceDeployments[0].ServiceDeploymentArn})
		}
	}
}
