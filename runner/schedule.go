package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// run runs the nodes that take part. Its error is the first failure: what
// fails once the run is cancelled, by that failure or from outside, fails
// because of it.
func (s *state) run(ctx context.Context) error {
	background := newBackground(context.WithoutCancel(ctx), s)
	preparing := newPreparing(s)
	group, groupCtx := errgroup.WithContext(ctx)
	for i, n := range s.b.nodes {
		if s.given[i] || !s.active[i] || !s.ready(n) {
			close(s.done[i])
			continue
		}
		group.Go(func() error {
			defer close(s.done[i])
			defer preparing.end(i)
			if s.failed[i] = !s.await(groupCtx, n); s.failed[i] {
				return context.Cause(ctx) // nil unless cancelled from outside
			}
			preparing.begin(i)
			err := s.runNode(groupCtx, background, preparing, i)
			s.failed[i] = err != nil
			if err != nil && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		})
	}
	err := group.Wait()
	preparing.join()
	background.join(s.opt.Grace)
	return err
}

// await waits for what a node needs and tells whether the node can begin.
func (s *state) await(ctx context.Context, n *node) bool {
	for _, d := range n.deps {
		<-s.done[d]
		if s.failed[d] {
			return false
		}
	}
	return ctx.Err() == nil
}

func (s *state) runNode(ctx context.Context, background *background, preparing *preparing, i int) (err error) {
	n := s.b.nodes[i]
	var out outcome
	if n.name == "" {
		err := s.guard("", func() (err error) { out, err = n.run(ctx, Env{}, s.values); return err })
		s.values[i] = out.value
		return err
	}
	s.emit(n.name, StageStarted{})
	start := time.Now()
	env := Env{
		Emit:       func(b Body) { s.emit(n.name, b) },
		Background: func(what string, work func(context.Context) error) { background.start(n.name, what, work) },
		waiting:    func() { preparing.others(ctx) },
	}
	err = s.guard(n.name, func() (err error) { out, err = n.run(ctx, env, s.values); return err })
	s.values[i] = out.value
	raw, marshalErr := json.Marshal(out.value)
	if marshalErr != nil {
		raw = nil
		err = errors.Join(err, fmt.Errorf("record the output of %s: %w", n.name, marshalErr))
	}
	r := &s.reports[i]
	*r = StepReport{
		Name: n.name, Status: out.status, Reason: out.reason, Key: out.key,
		Seconds: time.Since(start).Seconds(), Out: raw, Err: err,
	}
	if err != nil {
		r.Status = Failed
		if ctx.Err() != nil {
			r.Status = Cancelled
		}
	}
	s.close(i)
	return err
}

// close emits a step's closing event, once.
func (s *state) close(i int) {
	r := s.reports[i]
	if r.Name == "" || s.closed[i] {
		return
	}
	s.closed[i] = true
	finished := StageFinished{Status: r.Status, Reason: r.Reason, Seconds: r.Seconds, Key: r.Key}
	if r.Err != nil {
		finished.Error = r.Err.Error()
	}
	s.emit(r.Name, finished)
}

// closeUnstarted gives every step that never began its closing event.
func (s *state) closeUnstarted(reason string) {
	for i := range s.reports {
		if r := &s.reports[i]; r.Status == "" {
			r.Status, r.Reason = Cancelled, reason
		}
		s.close(i)
	}
}

// closeGiven closes the steps whose outputs an earlier run has left, so that
// they stand before those that build on them.
func (s *state) closeGiven() {
	for i, given := range s.given {
		if given {
			s.close(i)
		}
	}
}
