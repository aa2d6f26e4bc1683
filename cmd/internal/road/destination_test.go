package road

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/rollout"
)

// known is a destination that tells what it is made of.
type known struct {
	*rollout.Step
	runs []rollout.Runs
	err  error
}

func (k known) Runs(context.Context) ([]rollout.Runs, error) { return k.runs, k.err }

// TestDestination: one platform for all services or a clear refusal; zstd
// only where every one of them reads it.
func TestDestination(t *testing.T) {
	web := rollout.Runs{Service: "web", Platform: "linux/arm64", Zstd: true}
	worker := rollout.Runs{Service: "worker", Platform: "linux/arm64"}
	other := rollout.Runs{Service: "jobs", Platform: "linux/amd64", Zstd: true}
	for name, c := range map[string]struct {
		known
		platform string
		zstd     bool
	}{
		"one":            {known{runs: []rollout.Runs{web}}, "linux/arm64", true},
		"two":            {known{runs: []rollout.Runs{web, worker}}, "linux/arm64", false},
		"unreadable":     {known{err: errors.New("AccessDenied")}, "", false},
		"nothing at all": {known{}, "", false},
	} {
		if got, err := platformOf(t.Context(), c.known); got != c.platform || err != nil {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if got := zstdReaders(t.Context(), c.known); got != c.zstd {
			t.Errorf("%s: zstd %t", name, got)
		}
	}
	_, err := platformOf(t.Context(), known{runs: []rollout.Runs{web, other}})
	if fault.ClassOf(err) != fault.BadInput || !strings.Contains(fault.HintOf(err), "image.platforms: [linux/arm64, linux/amd64]") {
		t.Errorf("two platforms: %v, %s", err, fault.HintOf(err))
	}
}
