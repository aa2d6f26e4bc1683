package maven

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// tuning is how a job's JVMs are started, and why.
type tuning struct {
	mvn.Tuning
	on   bool
	key  cache.Key // of the job's memory
	past tuned
}

// tuned is what is remembered of a job's tuned and plain runs.
type tuned struct {
	Tuned   []float64 `json:"tuned,omitempty"`   // seconds of the newest runs, newest last
	Plain   []float64 `json:"plain,omitempty"`   //
	Runs    int       `json:"runs,omitempty"`    // since the other way was last tried
	Refused string    `json:"refused,omitempty"` // inputs with which a tuned JVM did not start
	Failed  string    `json:"failed,omitempty"`  // the source whose tests failed tuned
	Harmful bool      `json:"harmful,omitempty"` // the same source's tests passed untuned
}

// The measuring's bounds: no more than one run in otherEvery is spent on the
// way that is thought to be slower, and none on one known to be far slower.
const (
	fewCores   = 4    // up to so many a job starts tuned
	kept       = 5    // runs whose median counts
	firstOther = 3    // runs before the other way is tried first
	otherEvery = 20   // runs between later trials
	hopeless   = 1.25 // times as slow, and the other way is not tried again
	margin     = 0.95 // a way has to be so much faster to become the preferred
)

// choose tells whether to tune, and why.
func (t tuned) choose(cores int, inputs, tree string) (on bool, why string) {
	switch {
	case t.Refused != "" && t.Refused == inputs:
		return false, "a tuned JVM did not start with these poms and arguments"
	case t.Harmful:
		return false, "its tests failed in tuned JVMs and passed without"
	case t.Failed != "" && t.Failed == tree:
		return false, "the tests of this same source failed in tuned JVMs"
	}
	on = t.prefers(cores)
	text := t.text(cores)
	if t.tries(on) {
		return !on, "to measure the other way again, " + text
	}
	return on, text
}

// prefers is the way that was faster, or where only one is known, the one
// that fits the host.
func (t tuned) prefers(cores int) bool {
	small := cores <= fewCores
	if len(t.Tuned) == 0 || len(t.Plain) == 0 {
		return small
	}
	if small {
		return median(t.Plain) > margin*median(t.Tuned)
	}
	return median(t.Tuned) < margin*median(t.Plain)
}

// tries tells whether it is the other way's turn.
func (t tuned) tries(on bool) bool {
	preferred, other := t.Plain, t.Tuned
	if on {
		preferred, other = t.Tuned, t.Plain
	}
	if len(other) == 0 {
		return t.Runs >= firstOther
	}
	return t.Runs >= otherEvery && len(preferred) > 0 && median(other) <= hopeless*median(preferred)
}

func (t tuned) text(cores int) string {
	if len(t.Tuned) == 0 || len(t.Plain) == 0 {
		return fmt.Sprintf("this host has %d cores", cores)
	}
	return fmt.Sprintf("this job took %.1f s tuned and %.1f s untuned", median(t.Tuned), median(t.Plain))
}

// A ran is one run of Maven, as far as it teaches what to tune.
type ran struct {
	tuned       bool
	seconds     float64 // 0 when unknown
	failed      bool
	testsFailed bool
	tree        string // the source's digest, empty when unknown
}

// after is the memory after a run; changed tells whether to keep it.
func (t tuned) after(r ran, cores int) (next tuned, changed bool) {
	next = t
	switch {
	case r.failed && r.tuned && r.testsFailed && r.tree != "":
		next.Failed = r.tree
		return next, t.Failed != r.tree
	case r.failed:
		return t, false
	case !r.tuned && t.Failed != "" && t.Failed == r.tree:
		next.Harmful = true
	}
	if r.seconds <= 0 {
		return next, next.Harmful != t.Harmful
	}
	times := &next.Plain
	if r.tuned {
		times = &next.Tuned
	}
	next.Runs++
	if r.tuned != t.prefers(cores) {
		next.Runs = 0 // this was the trial
	}
	*times = append(slices.Clone(*times), r.seconds)
	*times = (*times)[max(0, len(*times)-kept):]
	return next, true
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// memoryClass is the host's memory, to the next power of two in GiB; 0 where
// unknown.
func memoryClass() int {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemTotal:"); ok {
			kib, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(rest, " kB")))
			class := 1
			for class < kib>>20 {
				class *= 2
			}
			return class
		}
	}
	return 0
}
