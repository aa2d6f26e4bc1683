package rollout

import (
	"context"
	"fmt"
	"strings"

	"github.com/fastship/fastship/deploy"
)

// Runs is what a service tells of the images that it can run.
type Runs struct {
	Service  string // its short name
	Platform string // of its tasks: linux/amd64
	// Zstd tells whether what pulls its images is known to read zstd layers;
	// Where says what that is.
	Zstd  bool
	Where string
}

// Destination is a stage that knows beforehand what will run the image.
type Destination interface {
	// Runs reads every service; by reading only, and once.
	Runs(context.Context) ([]Runs, error)
}

var (
	_ Destination = (*Step)(nil)
	_ Destination = (*Group)(nil)
)

// Runs implements Destination.
func (s *Step) Runs(ctx context.Context) ([]Runs, error) {
	_, plan, err := s.first(ctx)
	if err != nil {
		return nil, err
	}
	r := Runs{Service: deploy.ShortName(s.cfg.Service), Platform: plan.Truth().Platform(), Where: plan.Before.LaunchType}
	if plan.Before.Fargate() {
		r.Where = "Fargate " + plan.Before.PlatformVersion
		r.Zstd = readsZstd(plan.Before.PlatformVersion)
	}
	return []Runs{r}, nil
}

// readsZstd tells whether Fargate's platform version pulls by containerd,
// which reads zstd layers: since 1.4.0, which LATEST has been since 2021.
func readsZstd(version string) bool {
	if version == "" || version == "LATEST" {
		return true
	}
	var major, minor int
	if _, err := fmt.Sscanf(strings.TrimSpace(version), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 1 || major == 1 && minor >= 4
}

// Runs implements Destination.
func (g *Group) Runs(ctx context.Context) ([]Runs, error) {
	if err := checkServices(g.cfg); err != nil {
		return nil, err
	}
	all := make([][]Runs, len(g.steps))
	for _, err := range g.all(func(i int) (err error) { all[i], err = g.steps[i].Runs(ctx); return err }) {
		if err != nil {
			return nil, err
		}
	}
	var runs []Runs
	for _, r := range all {
		runs = append(runs, r...)
	}
	return runs, nil
}

// first is the plan before there is an image, made once: the check and
// whoever makes the image look at the same.
func (s *Step) first(ctx context.Context) (deploy.API, deploy.Plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		api, plan, err := s.prepare(ctx, "")
		if err != nil {
			return api, plan, err
		}
		s.api, s.seen = api, &plan
	}
	return s.api, *s.seen, nil
}
