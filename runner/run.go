package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"golang.org/x/sync/errgroup"
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

// errUpstream marks a node that could not begin because one before it failed.
var errUpstream = errors.New("an earlier step did not finish")

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
// outside; the Report is whole either way.
func (b *Builder) Run(ctx context.Context, opt Options) (Report, error) {
	s, err := newState(b, opt)
	if err != nil {
		return Report{}, err
	}
	err = s.check(ctx)
	if err == nil && opt.Begin != nil {
		err = opt.Begin()
	}
	if err != nil {
		s.closeUnstarted()
		return s.report(), err
	}
	err = s.run(ctx)
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
		value, lines, err := n.plan(ctx, s.values)
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

func newState(b *Builder, opt Options) (*state, error) {
	if opt.Emit == nil {
		opt.Emit = func(Event) {}
	}
	if opt.Grace == 0 {
		opt.Grace = 30 * time.Second
	}
	count := len(b.nodes)
	s := &state{
		b: b, opt: opt,
		active: make([]bool, count), given: make([]bool, count), failed: make([]bool, count), closed: make([]bool, count),
		values: make([]any, count), done: make([]chan struct{}, count), reports: make([]StepReport, count),
	}
	names := b.Names()
	from, until, err := bounds(names, opt.From, opt.Until)
	if err != nil {
		return nil, err
	}
	position := 0
	for i, n := range b.nodes {
		s.done[i] = make(chan struct{})
		if n.name == "" {
			s.active[i] = true
			continue
		}
		s.reports[i].Name = n.name
		switch {
		case position < from:
			raw, ok := opt.Given[n.name]
			if !ok {
				return nil, fault.New(fault.BadInput, "run once without --from first", "--from %s: no recorded output of %s", opt.From, n.name)
			}
			v, err := n.decode(raw)
			if err != nil {
				return nil, fault.New(fault.BadInput, "run once without --from first", "--from %s: %w", opt.From, err)
			}
			s.given[i], s.values[i] = true, v
			s.reports[i].Out = raw
			s.skip(i, "--from "+opt.From)
		case position > until:
			s.skip(i, "--until "+opt.Until)
		default:
			s.active[i] = true
		}
		position++
	}
	return s, nil
}

func bounds(names []string, from, until string) (int, int, error) {
	first, last := 0, len(names)-1
	if from != "" {
		if first = slices.Index(names, from); first < 0 {
			return 0, 0, fault.New(fault.BadInput, "", "--from %s: no such stage; this run has %v", from, names)
		}
	}
	if until != "" {
		if last = slices.Index(names, until); last < 0 {
			return 0, 0, fault.New(fault.BadInput, "", "--until %s: no such stage; this run has %v", until, names)
		}
	}
	if first > last {
		return 0, 0, fault.New(fault.BadInput, "", "--from %s comes after --until %s", from, until)
	}
	return first, last, nil
}

func (s *state) skip(i int, reason string) {
	s.reports[i].Status, s.reports[i].Reason = Skipped, reason
}

// Findings is everything that the Checks of one run found, in the order of
// the steps, so that the first one is the same at every run.
type Findings []error

// Error gives one finding a line.
func (f Findings) Error() string { return errors.Join(f...).Error() }

// Unwrap lets errors.Is and errors.As see the findings, first one first.
func (f Findings) Unwrap() []error { return f }

func findings(errs []error) error {
	found := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(found) {
	case 0:
		return nil
	case 1:
		return found[0]
	}
	return Findings(found)
}

// check runs all Checks side by side.
func (s *state) check(ctx context.Context) error {
	errs := make([]error, len(s.b.nodes))
	var wg sync.WaitGroup
	for i, n := range s.b.nodes {
		if n.name != "" && s.active[i] {
			wg.Go(func() { errs[i] = n.check(ctx) })
		}
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return findings(errs)
}

func (s *state) ready(n *node) bool {
	for _, d := range n.deps {
		dep := s.b.nodes[d]
		if s.given[d] {
			continue
		}
		if dep.name != "" && !s.active[d] {
			return false
		}
		if dep.name == "" && !s.ready(dep) {
			return false
		}
	}
	return true
}

func (s *state) run(ctx context.Context) error {
	background := newBackground(context.WithoutCancel(ctx), s)
	group, groupCtx := errgroup.WithContext(ctx)
	for i, n := range s.b.nodes {
		if s.given[i] || !s.active[i] || !s.ready(n) {
			close(s.done[i])
			continue
		}
		group.Go(func() error {
			defer close(s.done[i])
			for _, d := range n.deps {
				<-s.done[d]
				if s.failed[d] {
					s.failed[i] = true
					return nil // the failure itself is reported by the step that had it
				}
			}
			if groupCtx.Err() != nil {
				s.failed[i] = true
				return nil
			}
			err := s.runNode(groupCtx, background, i)
			s.failed[i] = err != nil
			return err
		})
	}
	err := group.Wait()
	background.join(s.opt.Grace)
	s.closeUnstarted()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s *state) runNode(ctx context.Context, background *background, i int) (err error) {
	n := s.b.nodes[i]
	if n.name == "" {
		out, err := n.run(ctx, Env{}, s.values)
		s.values[i] = out.value
		return err
	}
	s.emit(n.name, StageStarted{})
	start := time.Now()
	out, err := n.run(ctx, Env{
		Emit:       func(b Body) { s.emit(n.name, b) },
		Background: func(what string, work func(context.Context) error) { background.start(n.name, what, work) },
	}, s.values)
	r := &s.reports[i]
	r.Seconds = time.Since(start).Seconds()
	r.Status, r.Reason, r.Key, r.Err = out.status, out.reason, out.key, err
	s.values[i] = out.value
	raw, marshalErr := json.Marshal(out.value)
	if marshalErr != nil {
		err = errors.Join(err, fmt.Errorf("record the output of %s: %w", n.name, marshalErr))
	} else {
		r.Out = raw
	}
	finished := StageFinished{Status: r.Status, Reason: r.Reason, Seconds: r.Seconds, Key: r.Key}
	if err != nil {
		r.Status, r.Err = Failed, err
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			r.Status = Cancelled
		}
		finished.Status, finished.Error = r.Status, err.Error()
	}
	s.closed[i] = true
	s.emit(n.name, finished)
	return err
}

// closeUnstarted gives every step that has not ended its closing event.
func (s *state) closeUnstarted() {
	for i := range s.reports {
		r := &s.reports[i]
		if r.Name == "" || s.closed[i] {
			continue
		}
		if r.Status == "" {
			r.Status, r.Reason = Cancelled, errUpstream.Error()
		}
		s.emit(r.Name, StageFinished{Status: r.Status, Reason: r.Reason})
	}
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
