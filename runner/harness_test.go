package runner_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/runner"
)

type step struct {
	name  string
	check func(context.Context) error
	plan  func(in string) (runner.Plan[string], error)
	run   func(ctx context.Context, env runner.Env, in string) (runner.Result[string], error)
}

func (s step) Name() string { return s.name }

func (s step) Check(ctx context.Context) error {
	if s.check == nil {
		return nil
	}
	return s.check(ctx)
}

func (s step) Plan(_ context.Context, in string) (runner.Plan[string], error) {
	if s.plan == nil {
		return runner.Plan[string]{Lines: []string{s.name + " after " + in}, Out: in + ">" + s.name}, nil
	}
	return s.plan(in)
}

func (s step) Run(ctx context.Context, env runner.Env, in string) (runner.Result[string], error) {
	if s.run == nil {
		return runner.Result[string]{Out: in + ">" + s.name}, nil
	}
	return s.run(ctx, env, in)
}

type screen struct {
	mu     sync.Mutex
	events []runner.Event
	said   []string
}

func (s *screen) emit(e runner.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, fmt.Sprintf(format, args...))
}

func of[B runner.Body](s *screen, stage string) []B {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []B
	for _, e := range s.events {
		if b, ok := e.Body.(B); ok && e.Stage == stage {
			all = append(all, b)
		}
	}
	return all
}

func wantClosed(t *testing.T, s *screen, r runner.Report, want map[string]runner.Status) {
	t.Helper()
	for name, status := range want {
		closing := of[runner.StageFinished](s, name)
		if len(closing) != 1 || closing[0].Status != status {
			t.Errorf("%s is closed by %+v, want one with %s", name, closing, status)
		}
		if got, ok := r.Step(name); !ok || got.Status != status {
			t.Errorf("the report has %+v of %s, want %s", got, name, status)
		}
		started := len(of[runner.StageStarted](s, name))
		if started > 1 || started == 1 && status == runner.Skipped {
			t.Errorf("%s is started %d times", name, started)
		}
	}
	if len(r.Steps) != len(want) {
		t.Errorf("the report has %d steps, want %d", len(r.Steps), len(want))
	}
}

func chain(b *runner.Builder, steps ...step) {
	ref := runner.Value(b, "begin")
	for _, s := range steps {
		ref = runner.Add(b, s, ref)
	}
}

func fan(b *runner.Builder, steps ...step) {
	ref := runner.Value(b, "begin")
	for _, s := range steps {
		runner.Add(b, s, ref)
	}
}

func sleeper(name string, d time.Duration, err error) step {
	return step{name: name, run: func(ctx context.Context, _ runner.Env, in string) (runner.Result[string], error) {
		select {
		case <-time.After(d):
			return runner.Result[string]{Out: in + ">" + name}, err
		case <-ctx.Done():
			return runner.Result[string]{}, fmt.Errorf("%s: %w", name, context.Cause(ctx)) // as child processes report it
		}
	}}
}

var errBroken = errors.New("broken")
