package runner

import (
	"context"
	"sync"
)

// Preparer is a Step that can learn something before its input is there: what
// this machine and other ones are, not what they will be given to do.
type Preparer interface {
	// Prepare finds out, by reading only, what Run will want to know, and
	// keeps it in the step. It is called at most once, in a run and never in a
	// dry run, after all Checks and while a step before it waits for something
	// (Env.Waiting); a run that waits for nothing goes without. Run may begin
	// before Prepare has returned: what they share they guard. ctx ends with
	// the step. What Prepare cannot find, Run finds, or says why not; a panic
	// is a warning.
	Prepare(ctx context.Context)
}

// preparing is the set of the Prepares of one run.
type preparing struct {
	state *state
	wg    sync.WaitGroup

	mu    sync.Mutex
	known []bool               // by node: begun, ended or being prepared
	stop  []context.CancelFunc // by node; nil without a Prepare under way
}

func newPreparing(s *state) *preparing {
	return &preparing{state: s, known: make([]bool, len(s.b.nodes)), stop: make([]context.CancelFunc, len(s.b.nodes))}
}

// begin keeps a step from being prepared from now on.
func (p *preparing) begin(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[i] = true
}

// end stops the Prepare of a step, should it still go on.
func (p *preparing) end(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[i] = true
	if p.stop[i] != nil {
		p.stop[i]()
	}
}

// others prepares the steps that take part and have not begun.
func (p *preparing) others(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range p.state.b.nodes {
		if n.prepare == nil || p.known[i] || !p.state.active[i] || ctx.Err() != nil {
			continue
		}
		p.known[i] = true
		ctx, cancel := context.WithCancel(ctx)
		p.stop[i] = cancel
		p.wg.Go(func() {
			defer cancel()
			if err := p.state.guard(n.name, func() error { n.prepare(ctx); return nil }); err != nil {
				p.state.emit(n.name, Warning{Text: err.Error()})
			}
		})
	}
}

// join ends what is still being prepared for steps that never began.
func (p *preparing) join() {
	for i := range p.stop {
		p.end(i)
	}
	p.wg.Wait()
}
