package runner

import (
	"context"
	"sync"
)

// Preparer is a Step that can do something before its input is there: learn
// what this machine and other ones are, and make what its input will most likely
// ask for.
type Preparer interface {
	// Prepare finds out what Run will want to know, and keeps it in the step.
	// It may also make what Run will most likely want, as long as that is right
	// whatever the run comes to: it is kept in the cache, under a key that names
	// all it is made of. Nothing else is written, and what is told to others is
	// withdrawn where no Run takes it over.
	//
	// It is called at most once, in a run and never in a dry run, after all
	// Checks and while a step before it waits for something (Env.Waiting); a run
	// that waits for nothing goes without. It gives way to the step that waits.
	// Run may begin before Prepare has returned: what they share they guard. ctx
	// ends with the step, also where that never begins; the run waits for
	// Prepare to return then. What Prepare cannot find or make, Run does, or
	// says why not; a panic is a warning.
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
