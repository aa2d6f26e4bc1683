package runner

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Options say which part of a graph runs and where its events go.
type Options struct {
	// Emit receives every event, one call at a time, in order.
	Emit func(Event)
	// From is the first step to run; the outputs of those before it are
	// taken from Given. Empty means the first step.
	From string
	// Until is the last step to run. Empty means the last step.
	Until string
	// Given holds recorded outputs by step name, as Report has them.
	Given map[string]json.RawMessage
	// Begin is called once, after all Checks have passed and before any step
	// runs: the first moment at which a run may write. Its error ends the run.
	Begin func() error
	// Grace bounds the wait for background work after the last step.
	// 0 means 30 s.
	Grace time.Duration
}

// StepReport is how one step ended.
type StepReport struct {
	Name    string
	Status  Status
	Reason  string
	Key     string
	Seconds float64
	Out     json.RawMessage // null when the step gave nothing
	Err     error
}

// Report is how a run ended, step by step in the order they were added.
type Report struct {
	Steps []StepReport
}

// Step returns the report of a step by name.
func (r Report) Step(name string) (StepReport, bool) {
	i := slices.IndexFunc(r.Steps, func(s StepReport) bool { return s.Name == name })
	if i < 0 {
		return StepReport{}, false
	}
	return r.Steps[i], true
}

type state struct {
	b       *Builder
	opt     Options
	active  []bool // by node: runs in this run
	given   []bool // by node: its value is known beforehand
	values  []any
	done    []chan struct{}
	failed  []bool // by node, valid once done is closed
	closed  []bool // by node: its closing event is out
	emitMu  sync.Mutex
	reports []StepReport // by node
}

// Run checks every step that takes part, then runs them, side by side where
// the edges allow it. The first failure cancels the others. The error is that
// first failure, or the context's cause when the run was cancelled from
// outside before it; the Report is whole either way. A panic in a step is an
// error of that step, its stack in the step's Log events.
func (b *Builder) Run(ctx context.Context, opt Options) (Report, error) {
	s, err := newState(b, opt)
	if err != nil {
		return Report{}, err
	}
	err = s.check(ctx)
	if err == nil && opt.Begin != nil {
		err = opt.Begin()
	}
	if err == nil {
		s.closeGiven()
		err = s.run(ctx)
		s.closeUnstarted("an earlier step did not finish")
	} else {
		s.closeUnstarted("the run did not begin")
	}
	return s.report(), err
}

// Plan checks every step that takes part and tells what Run would do, in
// order, by Planned events. Nothing is written.
func (b *Builder) Plan(ctx context.Context, opt Options) error {
	s, err := newState(b, opt)
	if err != nil {
		return err
	}
	if err := s.check(ctx); err != nil {
		return err
	}
	for i, n := range b.nodes {
		if s.given[i] || (n.name != "" && !s.active[i]) {
			continue
		}
		if !s.ready(n) {
			continue
		}
		var value any
		var lines []string
		err := s.guard(n.name, func() (err error) { value, lines, err = n.plan(ctx, s.values); return err })
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		s.values[i] = value
		if n.name != "" {
			s.emit(n.name, Planned{Lines: lines})
		}
	}
	return nil
}

func (s *state) report() Report {
	var r Report
	for _, step := range s.reports {
		if step.Name != "" {
			r.Steps = append(r.Steps, step)
		}
	}
	return r
}

func (s *state) emit(stage string, body Body) {
	s.emitMu.Lock()
	defer s.emitMu.Unlock()
	s.opt.Emit(Event{Time: time.Now(), Stage: stage, Body: body})
}
