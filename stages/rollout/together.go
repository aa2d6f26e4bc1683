package rollout

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// run is one run of a group.
type run struct {
	*Group
	env    runner.Env
	ways   []*way
	before func() error // deploy.before, once for all
	turned chan struct{}
	ended  chan struct{} // none is on its way forward any more

	mu      sync.Mutex
	rolling int                       // services on their way forward
	first   int                       // the service that failed first; -1: none did
	leads   map[int]bool              // those that go back by themselves
	errs    map[int]error             // of those that failed
	stop    []context.CancelCauseFunc // end the wait for a service
	stuck   []int                     // those that should have gone back and did not
}

// errTurnedBack ends the wait for a service that goes back with another.
var errTurnedBack = errors.New("another service's rollout failed")

func newRun(g *Group, env runner.Env) *run {
	n := len(g.steps)
	return &run{
		Group: g, env: env, ways: make([]*way, n), turned: make(chan struct{}), ended: make(chan struct{}),
		rolling: n, first: -1, leads: map[int]bool{}, errs: map[int]error{}, stop: make([]context.CancelCauseFunc, n),
	}
}

// once is do for all services together, done in the name of lead. When it
// fails, that is lead's failure, and none of them begins.
func (r *run) once(lead int, do func() error) func() error {
	var claimed atomic.Bool
	var err error
	done := make(chan struct{})
	return func() error {
		if claimed.CompareAndSwap(false, true) {
			if err = do(); err != nil {
				r.failed(lead, err)
			}
			close(done)
		}
		if <-done; err != nil {
			return errTurnedBack
		}
		return nil
	}
}

// roll takes one service to its end, own being its context on the way forward.
// One that has arrived stays within reach of those that have not.
func (r *run) roll(ctx, own context.Context, i int) {
	stands := r.ways[i].plan.Action != deploy.Nothing && r.forward(ctx, own, i)
	r.mu.Lock()
	if r.rolling--; r.rolling == 0 {
		close(r.ended)
	}
	r.mu.Unlock()
	if !stands || ctx.Err() != nil {
		return
	}
	select {
	case <-r.turned:
	case <-r.ended:
	}
	if r.goesBack() {
		r.back(ctx, i)
	}
}

// forward begins and follows. stands is true when the service runs the new
// revision, or may still come to.
func (r *run) forward(ctx, own context.Context, i int) (stands bool) {
	step, way, env := r.steps[i], r.ways[i], r.Group.env(r.env, i)
	err := step.begin(ctx, env, way, func() error {
		if err := r.before(); err != nil {
			return err
		}
		return context.Cause(own)
	})
	switch {
	case ctx.Err() != nil:
		return false
	case errors.Is(err, errTurnedBack):
		way.out.Outcome, way.out.Cause = string(deploy.RolledBack), "not begun: "+errTurnedBack.Error()
		if mine := r.errorOf(i); mine != nil {
			way.out.Outcome, way.out.Cause = string(deploy.Failed), mine.Error()
		}
		return false
	case err != nil:
		r.failed(i, err)
		if r.wanted(ctx, step) {
			r.turn(i)
		}
		return false
	}
	result, err := step.watch(own, env, way, func(e deploy.Event) {
		if rollsBack(e) {
			r.turn(i)
		}
	})
	switch {
	case ctx.Err() != nil:
		return false
	case errors.Is(err, errTurnedBack):
		return true
	case err != nil:
		r.failed(i, err)
		return false
	case result.Outcome == deploy.Succeeded:
		return true
	}
	r.failed(i, step.verdict(ctx, env, way.api, result))
	if result.Outcome == deploy.RolledBack || result.Outcome == deploy.RollbackFailed {
		r.turn(i)
	}
	return result.Outcome == deploy.TimedOut
}

// rollsBack tells that a deployment's own rollback has begun.
func rollsBack(e deploy.Event) bool {
	switch e := e.(type) {
	case deploy.GaveUp:
		return true
	case deploy.State:
		return strings.HasPrefix(e.Status, "ROLLBACK_")
	}
	return false
}

// wanted reports whether the others are to go back when one could not even be
// begun.
func (r *run) wanted(ctx context.Context, step *Step) bool {
	switch step.cfg.Rollback {
	case deploy.Never:
		return false
	case deploy.AskFirst:
		return r.deps.Ask != nil && r.deps.Ask(ctx, "take the other services back, too?")
	}
	return true
}

// failed notes how a service failed.
func (r *run) failed(i int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs[i] = err
	if r.first < 0 {
		r.first = i
	}
}

func (r *run) errorOf(i int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.errs[i]
}

// turn has all services go back but those that do already. The first one's
// failure is the run's, though its error comes only with its end.
func (r *run) turn(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.leads) == 0 {
		if r.errs[r.first] == nil || r.first < 0 {
			r.first = i
		}
		close(r.turned)
	}
	r.leads[i] = true
	for other, stop := range r.stop {
		if !r.leads[other] {
			stop(errTurnedBack)
		}
	}
}

func (r *run) goesBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.leads) > 0
}

// back takes a service to the last revision that was steady; where none is
// known, to the one that ran before.
func (r *run) back(ctx context.Context, i int) {
	step, way, env := r.steps[i], r.ways[i], r.Group.env(r.env, i)
	env.Emit(runner.Note{Text: "going back: the rollout of service " + r.name(r.first) + " failed"})
	out, err := step.Rollback(ctx, env, "")
	if fault.ClassOf(err) == fault.Missing && out.Deployment == "" && way.out.Previous != "" {
		_, err = step.Rollback(ctx, env, way.out.Previous)
	}
	if ctx.Err() != nil {
		return
	}
	step.told()
	way.out.Outcome, way.out.Cause = string(deploy.RolledBack), "the rollout of service "+r.name(r.first)+" failed"
	if err != nil {
		way.out.Outcome = string(deploy.RollbackFailed)
		env.Emit(runner.Warning{Text: err.Error()})
		r.mu.Lock()
		r.stuck = append(r.stuck, i)
		r.mu.Unlock()
	}
}
