package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/mvntest"
)

// count is how often a test does something: what the variable says, as
// .ci/soak sets it, else few.
func count(t *testing.T, variable string, few int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestKillNineAnywhere kills whole runs at random moments, in the middle of
// restoring, building and saving. After each, the next run of the same host
// succeeds, and so does that of another; both have every byte right, which the
// played Maven compares, and nothing is left running.
func TestKillNineAnywhere(t *testing.T) {
	integration(t)
	t.Parallel()
	kills := count(t, "FASTSHIP_KILLS", 2)
	b, p := newBucket(t), newProject(t, 6)
	b.sick(func(http.ResponseWriter, *http.Request) bool { // a wire of some length
		time.Sleep(3 * time.Millisecond)
		return false
	}, nil)
	h := b.newPlaying(t, p)
	whole := h.build(t).took
	killed, last := 0, ""
	for i := 0; killed < kills; i++ {
		last = mvntest.Artifact("extra", fmt.Sprint(i))
		p.Publish(t, last, "extra "+last)
		p.Need(t, append(p.Needs(t), last)...) // so that each run has something to save
		var cold *playing
		if i%2 == 1 { // a host that restores all of it
			cold = b.newPlaying(t, p)
		}
		victim := h
		if cold != nil {
			victim = cold
		}
		after := rand.N(whole * 5 / 4)
		cmd := victim.command(t, t.Context(), "--force")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			killed++
		}
		noneLeft(t, victim.local)
		r := victim.build(t)
		if w := r.warnings(); len(w) > 0 {
			t.Errorf("after a kill at %v: %q", after, w)
		}
		b.newPlaying(t, p.Copy(t)).build(t).wants(t, 0)
	}
	t.Logf("%d kills within %v of a run's start", killed, whole*5/4)
}
