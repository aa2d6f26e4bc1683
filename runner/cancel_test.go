package runner_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/runner"
)

func TestFirstFailureCancelsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b runner.Builder
		var s screen
		broken := errors.New("it does not compile")
		v := runner.Value(&b, "v")
		runner.Add(&b, sleeper("slow", time.Hour, nil), v)
		bad := runner.Add(&b, sleeper("bad", time.Second, broken), v)
		runner.Add(&b, sleeper("after", time.Second, nil), runner.Map(&b, bad, strings.ToUpper))
		runner.Add(&b, sleeper("quick", time.Millisecond, nil), v)
		start := time.Now()
		r, err := b.Run(t.Context(), runner.Options{Emit: s.emit})
		if err != broken {
			t.Errorf("got %v, want the first cause itself", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v", d)
		}
		wantClosed(t, &s, r, map[string]runner.Status{"slow": runner.Cancelled, "bad": runner.Failed, "after": runner.Cancelled, "quick": runner.Ran})
		if len(of[runner.StageStarted](&s, "after")) != 0 {
			t.Error("after is started")
		}
		if failed, _ := r.Step("bad"); failed.Err != broken || string(failed.Out) != `"v\u003ebad"` {
			t.Errorf("report %+v: want the error and the output with it", failed)
		}
	})
}

func TestFailureInAnswerToACancelIsNoCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b runner.Builder
		var s screen
		broken := errors.New("first")
		fan(&b, sleeper("bad", time.Second, broken), step{name: "child", run: func(ctx context.Context, _ runner.Env, _ string) (runner.Result[string], error) {
			<-ctx.Done()
			return runner.Result[string]{}, errors.New("exit status 143")
		}})
		r, err := b.Run(t.Context(), runner.Options{Emit: s.emit})
		if err != broken {
			t.Errorf("got %v", err)
		}
		wantClosed(t, &s, r, map[string]runner.Status{"bad": runner.Failed, "child": runner.Cancelled})
	})
}

func TestCancelFromOutside(t *testing.T) {
	interrupt := errors.New("interrupt")
	for name, c := range map[string]struct {
		after time.Duration
		want  error
		ends  map[string]runner.Status
	}{
		"during the checks":   {time.Second, interrupt, map[string]runner.Status{"a": runner.Cancelled, "b": runner.Cancelled}},
		"during the first":    {3 * time.Second, interrupt, map[string]runner.Status{"a": runner.Cancelled, "b": runner.Cancelled}},
		"during the second":   {6 * time.Second, interrupt, map[string]runner.Status{"a": runner.Ran, "b": runner.Cancelled}},
		"when all is done":    {9 * time.Second, nil, map[string]runner.Status{"a": runner.Ran, "b": runner.Ran}},
		"after its own error": {11 * time.Second, errBroken, map[string]runner.Status{"a": runner.Ran, "b": runner.Failed}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var b runner.Builder
				var s screen
				first := sleeper("a", 3*time.Second, nil)
				first.check = func(ctx context.Context) error {
					select {
					case <-time.After(2 * time.Second):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				second := sleeper("b", 3*time.Second, nil)
				if c.want == errBroken {
					second = sleeper("b", 3*time.Second, errBroken)
				}
				last := second.run
				second.run = func(ctx context.Context, env runner.Env, in string) (runner.Result[string], error) {
					env.Background("save", func(context.Context) error { time.Sleep(10 * time.Second); return nil })
					return last(ctx, env, in)
				}
				chain(&b, first, second)
				time.AfterFunc(c.after, func() { cancel(interrupt) })
				r, err := b.Run(ctx, runner.Options{Emit: s.emit})
				if err != c.want {
					t.Errorf("got %v, want %v", err, c.want)
				}
				wantClosed(t, &s, r, c.ends)
			})
		})
	}
}

func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b runner.Builder
		var s screen
		saver := step{name: "saver", run: func(_ context.Context, env runner.Env, _ string) (runner.Result[string], error) {
			env.Background("save the cache", func(ctx context.Context) error {
				time.Sleep(5 * time.Second)
				s.say("saved, %v", ctx.Err())
				return nil
			})
			env.Background("upload", func(ctx context.Context) error {
				<-ctx.Done()
				s.say("upload given up")
				return errors.New("no network")
			})
			return runner.Result[string]{}, nil
		}}
		chain(&b, saver, sleeper("bad", time.Second, errBroken))
		start := time.Now()
		r, err := b.Run(t.Context(), runner.Options{Emit: s.emit, Grace: 10 * time.Second})
		if err != errBroken {
			t.Errorf("got %v", err)
		}
		if want := []string{"saved, <nil>", "upload given up"}; !slices.Equal(s.said, want) {
			t.Errorf("got %v", s.said)
		}
		if d := time.Since(start); d != 11*time.Second {
			t.Errorf("took %v: want the step's second and the grace", d)
		}
		if w := of[runner.Warning](&s, "saver"); len(w) != 1 || w[0].Text != "upload: no network" {
			t.Errorf("warnings %+v", w)
		}
		wantClosed(t, &s, r, map[string]runner.Status{"saver": runner.Ran, "bad": runner.Failed})
	})
}

func TestBackgroundSurvivesACancelFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var b runner.Builder
		saved := false
		chain(&b, step{name: "a", run: func(ctx context.Context, env runner.Env, _ string) (runner.Result[string], error) {
			env.Background("save", func(ctx context.Context) error {
				time.Sleep(5 * time.Second)
				saved = ctx.Err() == nil
				return nil
			})
			cancel()
			return runner.Result[string]{}, ctx.Err()
		}})
		if _, err := b.Run(ctx, runner.Options{}); !errors.Is(err, context.Canceled) || !saved {
			t.Errorf("saved %v, %v", saved, err)
		}
	})
}
