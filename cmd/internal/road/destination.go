package road

import (
	"context"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/rollout"
)

// destination is the rollout as a step, and as what is known beforehand of
// who will run the image.
type destination interface {
	runner.Step[rollout.In, rollout.Out]
	rollout.Destination
}

// platformOf is the one platform that all services run on; empty where they
// cannot be read, which the rollout's own check says.
func platformOf(ctx context.Context, d destination) (string, error) {
	all, err := d.Runs(ctx)
	if err != nil || len(all) == 0 {
		return "", nil
	}
	for _, r := range all[1:] {
		if r.Platform != all[0].Platform {
			return "", fault.New(fault.BadInput, "set image.platforms: ["+all[0].Platform+", "+r.Platform+"]",
				"%s runs on %s, %s on %s: one image cannot be for both", all[0].Service, all[0].Platform, r.Service, r.Platform)
		}
	}
	return all[0].Platform, nil
}

// zstdReaders tells whether all that pulls the image reads zstd layers.
func zstdReaders(ctx context.Context, d destination) bool {
	all, err := d.Runs(ctx)
	if err != nil || len(all) == 0 {
		return false
	}
	for _, r := range all {
		if !r.Zstd {
			return false
		}
	}
	return true
}
