package maven

import (
	"strings"
	"testing"
)

// TestTunedFollowsTheMeasurements plays runs of a job whose two ways take
// fixed times, and counts how it was run.
func TestTunedFollowsTheMeasurements(t *testing.T) {
	for name, c := range map[string]struct {
		cores        int
		tuned, plain float64
		runs, tunedN int // of so many runs, so many tuned
	}{
		"a small host, tuned faster":        {2, 10, 12, 100, 95},
		"a small host, tuned far faster":    {2, 10, 20, 100, 99},
		"a small host, tuned slower":        {2, 12, 10, 100, 7},
		"a small host, tuned far slower":    {2, 20, 10, 100, 3},
		"a small host, the same":            {2, 10, 10, 100, 95},
		"a large host, tuned far slower":    {16, 20, 10, 100, 1},
		"a large host, tuned faster":        {16, 10, 12, 100, 93},
		"a large host, tuned hardly faster": {16, 9.8, 10, 100, 5},
	} {
		t.Run(name, func(t *testing.T) {
			var memory tuned
			n := 0
			for range c.runs {
				on, why := memory.choose(c.cores, "inputs", "tree")
				if why == "" {
					t.Fatal("no reason is given")
				}
				r := ran{tuned: on, seconds: c.plain, tree: "tree"}
				if on {
					r.seconds = c.tuned
					n++
				}
				memory, _ = memory.after(r, c.cores)
			}
			if n != c.tunedN {
				t.Errorf("%d of %d runs were tuned, want %d: %+v", n, c.runs, c.tunedN, memory)
			}
			if len(memory.Tuned) > kept || len(memory.Plain) > kept {
				t.Errorf("the memory grows: %+v", memory)
			}
		})
	}
}

func TestTunedRemembersWhatWentWrong(t *testing.T) {
	refused := tuned{Refused: "inputs"}
	if on, why := refused.choose(2, "inputs", "tree"); on || !strings.Contains(why, "did not start") {
		t.Errorf("tuned again after a refusal: %s", why)
	}
	if on, _ := refused.choose(2, "other inputs", "tree"); !on {
		t.Error("another pom is not tuned")
	}
	failed, changed := tuned{}.after(ran{tuned: true, seconds: 3, failed: true, testsFailed: true, tree: "one"}, 2)
	if !changed || len(failed.Tuned) != 0 {
		t.Errorf("after failed tests: %+v", failed)
	}
	if on, why := failed.choose(2, "inputs", "one"); on || !strings.Contains(why, "failed") {
		t.Errorf("the same source is tuned again: %s", why)
	}
	if on, _ := failed.choose(2, "inputs", "two"); !on {
		t.Error("another source is not tuned")
	}
	fixed, _ := failed.after(ran{tuned: true, seconds: 3, tree: "two"}, 2)
	if fixed.Harmful {
		t.Error("a corrected test is held against the tuning")
	}
	still, changed := failed.after(ran{failed: true, testsFailed: true, tree: "one"}, 2)
	if changed || still.Harmful {
		t.Error("a test that fails untuned as well is held against the tuning")
	}
	harmful, _ := failed.after(ran{seconds: 3, tree: "one"}, 2)
	if on, why := harmful.choose(2, "inputs", "three"); on || !strings.Contains(why, "passed without") {
		t.Errorf("tests that pass only untuned are tuned again: %s", why)
	}
	if _, changed := (tuned{}).after(ran{tuned: true, failed: true}, 2); changed {
		t.Error("a failed build is remembered")
	}
}
