package runner

import (
	"context"
	"errors"
	"slices"
	"sync"
)

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

// check runs all Checks side by side. A step whose own Check failed has
// failed; the others are closed by the caller.
func (s *state) check(ctx context.Context) error {
	errs := make([]error, len(s.b.nodes))
	var wg sync.WaitGroup
	for i, n := range s.b.nodes {
		if n.name != "" && s.active[i] {
			wg.Go(func() { errs[i] = s.guard(n.name, func() error { return n.check(ctx) }) })
		}
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i, err := range errs {
		if err != nil {
			s.reports[i].Status, s.reports[i].Err = Failed, err
		}
	}
	return findings(errs)
}
