package runner

import (
	"slices"
	"time"

	"github.com/fastship/fastship/internal/fault"
)

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
			if !ok || string(raw) == "null" {
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

// ready tells whether everything that a node needs is known or runs.
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
