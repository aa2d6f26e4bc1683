package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/runner"
)

// script is a rollout that every contender goes through. Its times vary by a
// fifth from seed to seed.
type script struct {
	name    string
	config  string
	extra   string // of the container definition
	desired int    // default 2
	story   ecstest.Story
	old     ecstest.Story // of the tasks before
	want    deploy.Outcome
	cause   string // part of what is told of it; empty where nothing fails
}

var speedScripts = []script{
	{name: "quick", config: breaker, extra: healthCheck, story: ecstest.Story{Pull: 25 * time.Second, Start: 2 * time.Second, Ready: 12 * time.Second}, want: deploy.Succeeded},
	{name: "slow to start", config: breaker, extra: healthCheck, story: ecstest.Story{Pull: 160 * time.Second, Start: 10 * time.Second, Ready: 90 * time.Second}, old: ecstest.Story{Shutdown: 25 * time.Second}, want: deploy.Succeeded},
	{name: "drains for five minutes", config: `{` + balanced + `}`, story: ecstest.Story{Pull: 20 * time.Second, Ready: 8 * time.Second}, want: deploy.Succeeded},
	{name: "blue/green, bakes for 3 min", config: strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 3`), extra: healthCheck, story: ecstest.Story{Pull: 20 * time.Second}, want: deploy.Succeeded},
	{name: "canary", config: strategy("CANARY", `, "canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 3}`), extra: healthCheck, story: ecstest.Story{Pull: 20 * time.Second}, want: deploy.Succeeded},
	{name: "linear, in thirds", config: strategy("LINEAR", `, "linearConfiguration": {"stepPercent": 34.0, "stepBakeTimeInMinutes": 2}`), extra: healthCheck, story: ecstest.Story{Pull: 20 * time.Second}, want: deploy.Succeeded},
	{name: "a hook pauses, and times out", config: strategy("BLUE_GREEN", `, "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"], "timeoutConfiguration": {"timeoutInMinutes": 5}}]`), extra: healthCheck, want: deploy.RolledBack},
	{name: "crash at the start", config: breaker, extra: healthCheck, story: ecstest.Story{Pull: 10 * time.Second, Crash: true, After: 2 * time.Second, Code: 1}, want: deploy.RolledBack, cause: "exited with code 1"},
	{name: "crash after a long pull", config: breaker, extra: healthCheck, story: ecstest.Story{Pull: 2 * time.Minute, Crash: true, After: 2 * time.Second, Code: 1}, want: deploy.RolledBack, cause: "exited with code 1"},
	{name: "crash that escapes the breaker", config: breaker, story: ecstest.Story{Crash: true, After: 15 * time.Second, Code: 1}, want: deploy.RolledBack, cause: "exited with code 1"},
	{name: "never healthy, container", config: breaker, extra: healthCheck, story: ecstest.Story{NeverReady: true}, want: deploy.RolledBack, cause: "health check"},
	{name: "never healthy, target", config: `{` + balanced + `, "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}}`, story: ecstest.Story{NeverReady: true}, want: deploy.RolledBack, cause: "health check"},
	{name: "the canary crashes", config: strategy("CANARY", `, "canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 20}`), extra: healthCheck, story: ecstest.Story{Crash: true, After: 55 * time.Second, Code: 1}, want: deploy.RolledBack, cause: "exited with code 1"},
	{name: "image not found", config: "{}", story: ecstest.Story{Pull: 3 * time.Second, PullError: notFound}, want: deploy.RolledBack, cause: "cannot be pulled"},
}

// unhealable are failures that another try meets again. They are measured on
// services of one and two tasks: where three or more start at once, all fail at
// once, which the breaker sees as soon as anybody.
var unhealable = []script{
	{name: "image not found", story: ecstest.Story{Pull: 3 * time.Second, PullError: notFound}},
	{name: "secret missing", story: ecstest.Story{PullError: "ResourceInitializationError: unable to pull secrets or registry auth: failed to fetch secret arn:aws:secretsmanager:us-east-1:123456789012:secret:db from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret."}},
	{name: "wrong platform", story: ecstest.Story{Pull: 10 * time.Second, StartError: "CannotStartContainerError: exec /usr/bin/java: exec format error"}},
	{name: "no permission", story: ecstest.Story{PullError: "ResourceInitializationError: unable to retrieve secret from asm: AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/exec/0123 is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:us-east-1:123456789012:secret:db"}},
}

// measurement is one contender's way through one script. Times are in seconds.
type measurement struct {
	Script, Who string
	Took, Late  float64 // from the update to the exit, and from the true end to it
	Calls       int
	Told        float64 // from the cause's being known to ECS until it was told; -1: never
	Right       bool    // the outcome reported is the true one
	Ended       float64 // of unhealable failures: until the deployment was ended
}

// varied is the script with times of its own.
func (s script) varied(seed uint64) (script, func() float64) {
	dice := rand.New(rand.NewPCG(seed, 5))
	for _, d := range []*time.Duration{&s.story.Pull, &s.story.Start, &s.story.Ready, &s.story.After} {
		*d = time.Duration(float64(*d) * (0.8 + 0.4*dice.Float64()))
	}
	if s.desired == 0 {
		s.desired = 2
	}
	return s, dice.Float64
}

// play lets one contender go through it.
func (s script) play(t *testing.T, who string, seed uint64, contend func(w *world) (deploy.Outcome, error)) (m measurement) {
	s, jitter := s.varied(seed)
	service := ecstest.ServiceSeed{Desired: s.desired, Config: []byte(s.config), TaskDefinition: definition(s.extra)}
	hooked(t, ecstest.Options{Runtime: ecstest.Script{image1: s.old, image2: s.story}}, service, Deps{Jitter: jitter}, func(w *world) {
		time.Sleep(time.Minute + time.Duration(jitter()*float64(15*time.Second)))
		w.double.Fault(latency)
		start, before := time.Now(), calls(w.double)
		told := w.listen(s.cause)
		outcome, err := contend(w)
		m = measurement{Script: s.name, Who: who, Took: time.Since(start).Seconds(), Calls: calls(w.double) - before, Told: -1}
		end := w.last()
		m.Late, m.Right = time.Since(end.Finished).Seconds(), string(outcome) == string(end.Verdict)
		if end.Finished.IsZero() {
			m.Late = 0 // it goes on
		}
		if s.cause != "" && !told.IsZero() {
			m.Told = told.Sub(firstEnd(w)).Seconds()
		}
		if who == "fastship" && (outcome != s.want || !m.Right) {
			t.Errorf("%s, seed %d: %s (%v), the truth is %s", s.name, seed, outcome, err, end.Verdict)
		}
	})
	return m
}

// latency is what each call takes. (Where calls take no time, the SDK's waiter
// never comes to its own time limit.)
func latency(string, int) ecstest.Fault { return ecstest.Fault{Delay: 30 * time.Millisecond} }

// listen notes when a cause is first told.
func (w *world) listen(cause string) *time.Time {
	told := new(time.Time)
	w.hear = func(b runner.Body) {
		if warning, ok := b.(runner.Warning); ok && told.IsZero() && strings.Contains(warning.Text, cause) {
			*told = time.Now()
		}
	}
	return told
}

// ship is fastship.
func ship(w *world) (deploy.Outcome, error) {
	r, err := w.step.Run(w.Context(), w.env(), In{Image: image2})
	return deploy.Outcome(r.Out.Outcome), err
}

// update is how the peers begin: a revision with the new image, one update.
func (w *world) update(ctx context.Context, client *sdk.Client) {
	w.Helper()
	next := &sdk.RegisterTaskDefinitionInput{}
	out, err := client.DescribeTaskDefinition(ctx, &sdk.DescribeTaskDefinitionInput{TaskDefinition: aws.String("web")})
	if err != nil {
		w.Fatal(err)
	}
	d := out.TaskDefinition
	next.Family, next.ContainerDefinitions, next.Cpu, next.Memory = d.Family, d.ContainerDefinitions, d.Cpu, d.Memory
	next.NetworkMode, next.RequiresCompatibilities, next.ExecutionRoleArn = d.NetworkMode, d.RequiresCompatibilities, d.ExecutionRoleArn
	next.ContainerDefinitions[0].Image = aws.String(image2)
	if _, err := client.RegisterTaskDefinition(ctx, next); err != nil {
		w.Fatal(err)
	}
	if _, err := client.UpdateService(ctx, &sdk.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: aws.String("web:2")}); err != nil {
		w.Fatal(err)
	}
}

// waiter is the SDK's ServicesStable, as most deploy tools use it.
func waiter(limit time.Duration) func(w *world) (deploy.Outcome, error) {
	return func(w *world) (deploy.Outcome, error) {
		client := w.someone()
		w.update(w.Context(), client)
		err := sdk.NewServicesStableWaiter(client).Wait(w.Context(), &sdk.DescribeServicesInput{Services: []string{"web"}}, limit)
		if err != nil {
			return deploy.TimedOut, err
		}
		return deploy.Succeeded, nil
	}
}

// poller looks every 10 s until the primary deployment is complete and alone,
// as hand-made scripts do.
func poller(w *world) (deploy.Outcome, error) {
	client := w.someone()
	w.update(w.Context(), client)
	for start := time.Now(); time.Since(start) < 15*time.Minute; time.Sleep(10 * time.Second) {
		out, err := client.DescribeServices(w.Context(), &sdk.DescribeServicesInput{Services: []string{"web"}})
		if err != nil || len(out.Services) == 0 {
			continue
		}
		switch primary := out.Services[0].Deployments[0]; {
		case primary.RolloutState == types.DeploymentRolloutStateFailed:
			return deploy.Failed, nil
		case primary.RolloutState == types.DeploymentRolloutStateCompleted && len(out.Services[0].Deployments) == 1:
			return deploy.Succeeded, nil
		}
	}
	return deploy.TimedOut, nil
}

// byBreaker measures when the circuit breaker ends a deployment that nobody
// follows.
func (s script) byBreaker(t *testing.T, seed uint64) (ended time.Duration) {
	s.config = breaker
	s, jitter := s.varied(seed)
	service := ecstest.ServiceSeed{Desired: s.desired, Config: []byte(s.config), TaskDefinition: definition(s.extra)}
	hooked(t, ecstest.Options{Runtime: ecstest.Script{image2: s.story}}, service, Deps{Jitter: jitter}, func(w *world) {
		w.update(w.Context(), w.someone())
		start := time.Now()
		for status := ""; status == "" || status == "PENDING" || status == "IN_PROGRESS"; status = w.last().Status {
			time.Sleep(100 * time.Millisecond)
		}
		ended = time.Since(start)
	})
	return ended
}

// byShip measures when fastship does.
func (s script) byShip(t *testing.T, seed uint64) (ended time.Duration) {
	s, jitter := s.varied(seed)
	service := ecstest.ServiceSeed{Desired: s.desired, Config: []byte(s.config), TaskDefinition: definition(s.extra)}
	hooked(t, ecstest.Options{Runtime: ecstest.Script{image2: s.story}}, service, Deps{Jitter: jitter}, func(w *world) {
		if outcome, err := ship(w); outcome != deploy.RolledBack {
			t.Errorf("%s, seed %d: %s, %v", s.name, seed, outcome, err)
		}
		var updated, stopped time.Time
		for _, c := range w.double.Calls() {
			switch c.Op {
			case "UpdateService":
				updated = c.At
			case "StopServiceDeployment":
				stopped = c.At
			}
		}
		ended = stopped.Sub(updated)
	})
	return ended
}

// TestSpeed holds how soon an end and a cause are known, what following
// costs, and how early it gives up. With FASTSHIP_BENCH=FILE it measures more,
// its peers as well, and writes all of it there, a JSON object a line: that is
// what `go run ./internal/bench rollout` does.
func TestSpeed(t *testing.T) {
	file, seeds := os.Getenv("FASTSHIP_BENCH"), uint64(3)
	if file != "" {
		seeds = 7
	}
	var all []measurement
	for _, s := range speedScripts {
		for seed := range seeds {
			all = append(all, s.play(t, "fastship", seed, ship))
			if file != "" {
				all = append(all, s.play(t, "SDK waiter", seed, waiter(15*time.Minute)), s.play(t, "10 s poller", seed, poller))
			}
		}
	}
	ours := slices.Clone(all)
	for _, s := range unhealable {
		for _, s.desired = range []int{1, 2} {
			for seed := range max(1, seeds/3) {
				name := fmt.Sprintf("%s, %d wanted", s.name, s.desired)
				s.config = "{}"
				m := measurement{Script: name, Who: "fastship", Ended: s.byShip(t, seed).Seconds()}
				by := measurement{Script: name, Who: "breaker", Ended: s.byBreaker(t, seed).Seconds()}
				all = append(all, m, by)
				if ratio := by.Ended / m.Ended; ratio < 1.4 {
					t.Errorf("%s: ended after %.1f s, by the breaker after %.1f s: %.2f ×", name, m.Ended, by.Ended, ratio)
				}
				if ratio := (10 * time.Minute).Seconds() / m.Ended; ratio < 5 {
					t.Errorf("%s: ended after %.1f s", name, m.Ended)
				}
			}
		}
	}
	hold(t, ours)
	if file != "" {
		write(t, file, all)
	}
}

// hold checks fastship's own measurements against the bounds.
func hold(t *testing.T, all []measurement) {
	t.Helper()
	var late, told []float64
	for _, m := range all {
		if m.Who != "fastship" {
			continue
		}
		late = append(late, m.Late)
		if m.Late > 5 {
			t.Errorf("%s: %.1f s after the end", m.Script, m.Late)
		}
		if m.Told >= 0 {
			told = append(told, m.Told)
		}
		if m.Told > 5 {
			t.Errorf("%s: the cause was told %.1f s after ECS knew it", m.Script, m.Told)
		}
		if n := float64(m.Calls) * min(1, 300/m.Took); n > 100 {
			t.Errorf("%s: %.0f calls in five minutes", m.Script, n)
		}
	}
	for what, each := range map[string][]float64{"end": late, "cause": told} {
		slices.Sort(each)
		if median := each[len(each)/2]; median > 3 {
			t.Errorf("the %s is told after %.1f s in the median", what, median)
		}
	}
}

func write[T any](t *testing.T, file string, all []T) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, m := range all {
		if err := json.NewEncoder(f).Encode(m); err != nil {
			t.Fatal(err)
		}
	}
}
