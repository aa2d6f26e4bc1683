package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// rolled is one contender's way through one scripted rollout, as TestSpeed of
// stages/rollout writes it. Times are in seconds.
type rolled struct {
	Script, Who string
	Took, Late  float64
	Calls       int
	Told        float64
	Right       bool
	Ended       float64
}

// fleet is what TestFleet writes.
type fleet struct {
	Services  int
	Took      float64
	Throttled int
	Calls     int
	Share     map[string]float64
	Late      []float64
}

// waiterGivesUp is when the AWS CLI's `ecs wait services-stable` does: 40 looks
// of 15 s. Without a circuit breaker ECS itself never ends a rollout.
const waiterGivesUp = 600

// rollout plays the scripted rollouts in virtual time, which takes a test's
// machinery: it runs the tests of stages/rollout that measure, and prints what
// they wrote.
func rollout(ctx context.Context, h *host) error {
	file := filepath.Join(h.dir, "rollout.json")
	test := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=1h", "-run=^(TestSpeed|TestFleet)$", "./stages/rollout")
	test.Env = append(os.Environ(), "FASTSHIP_BENCH="+file)
	if out, err := test.CombinedOutput(); err != nil {
		fmt.Printf("%s\n", out) // which bounds the test itself holds; the tables say the rest
	}
	all, err := read[rolled](file)
	fleets, fleetErr := read[fleet](file + ".fleet")
	if err := errors.Join(err, fleetErr); err != nil {
		return err
	}
	scripts(all)
	bounds := speeds(all)
	for _, f := range fleets {
		bounds = append(bounds, f.bounds()...)
	}
	return report(bounds)
}

// read reads a file of JSON objects, one a line.
func read[T any](file string) (all []T, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var v T
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		all = append(all, v)
	}
}

// scripts prints what became of each rollout by each contender.
func scripts(all []rolled) {
	fmt.Printf("| rollout | by | s | end → exit, s | calls in 5 min | cause known → told, s | outcome |\n|---|---|---|---|---|---|---|\n")
	type key struct{ script, who string }
	var order []key
	by, fails := map[key][]rolled{}, map[string]bool{}
	for _, r := range all {
		fails[r.Script] = fails[r.Script] || r.Told >= 0
		if r.Ended > 0 {
			continue
		}
		k := key{r.Script, r.Who}
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], r)
	}
	for _, k := range order {
		var took, late, calls, told sample
		right := 0
		for _, r := range by[k] {
			took, late, calls = append(took, r.Took), append(late, r.Late), append(calls, r.perFiveMinutes())
			if r.Told >= 0 {
				told = append(told, r.Told)
			}
			if r.Right {
				right++
			}
		}
		cause, outcome := "–", fmt.Sprintf("true %d of %d", right, len(by[k]))
		if fails[k.script] {
			cause = "never"
		}
		if len(told) > 0 {
			cause = fmt.Sprintf("%.1f (≤ %.1f)", told.median(), slices.Max(told))
		}
		fmt.Printf("| %s | %s | %.0f | %.1f (≤ %.1f) | %.0f | %s | %s |\n", k.script, k.who, took.median(), late.median(), slices.Max(late), calls.median(), cause, outcome)
	}
	fmt.Println()
}

// perFiveMinutes is how many calls it makes in five minutes.
func (r rolled) perFiveMinutes() float64 { return float64(r.Calls) * min(1, 300/r.Took) }

// speeds are the bounds of one rollout.
func speeds(all []rolled) []bound {
	var late, told, calls, breaker, without sample
	var wrong float64
	ended := map[string]sample{}
	for _, r := range all {
		switch {
		case r.Ended > 0 && r.Who == "breaker":
			ours := ended[r.Script]
			breaker = append(breaker, ours[len(ours)-1]/r.Ended)
		case r.Ended > 0:
			ended[r.Script] = append(ended[r.Script], r.Ended)
			without = append(without, r.Ended/waiterGivesUp)
		case r.Who == "fastship":
			late, calls = append(late, r.Late), append(calls, r.perFiveMinutes())
			if r.Told >= 0 {
				told = append(told, r.Told)
			}
			if !r.Right {
				wrong++
			}
		}
	}
	worst := func(s sample) sample { return sample{slices.Max(s)} }
	return []bound{
		{"end of the rollout → exit", late, 3, "s"},
		{"the same, worst", worst(late), 5, "s"},
		{"cause known to ECS → told", told, 3, "s"},
		{"the same, worst", worst(told), 5, "s"},
		{"calls in a rollout of five minutes, worst", worst(calls), 100, "calls"},
		{"outcomes that are not the truth", sample{wrong}, 0, "rollouts"},
		{"unhealable failure until it is ended, of the breaker at its smallest (1/1.4)", breaker, 0.714, "×"},
		{"the same, worst", worst(breaker), 0.714, "×"},
		{"the same, of the AWS CLI's waiter without a breaker (1/5)", without, 0.2, "×"},
	}
}

func (f fleet) bounds() []bound {
	most := 0.0
	for bucket, share := range f.Share {
		if bucket != "RegisterTaskDefinition" {
			most = max(most, share)
		}
	}
	name := fmt.Sprintf("%d services side by side", f.Services)
	return []bound{
		{name + ": calls throttled, of " + fmt.Sprint(f.Calls), sample{float64(f.Throttled)}, 0, "calls"},
		{name + ": of the account's refill, the busiest bucket", sample{100 * most}, 50, "%"},
		{name + fmt.Sprintf(", where registering takes %d s", f.Services-20), sample{f.Took}, float64(f.Services + 20), "s"},
		{name + ": end of each rollout → told, worst", sample{slices.Max(f.Late)}, 5, "s"},
	}
}
