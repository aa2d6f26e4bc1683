package runner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// step is a Step made of functions; nil ones succeed.

// screen records events and what the steps do, in one order.

// of lists the bodies of one type and stage.

// wantClosed wants each step to have exactly one closing event, the last but

// for warnings of its background work, with this status.

// chain adds steps one after the other.

// fan adds steps side by side.

func TestValuesFlow(t *testing.T) {
	var b runner.Builder
	var s screen
	start := runner.Value(&b, "v")
	one := runner.Add(&b, step{name: "one"}, start)
	two := runner.Add(&b, step{name: "two", run: func(_ context.Context, _ runner.Env, in string) (runner.Result[string], error) {
		return runner.Result[string]{Out: in + ">2", Status: runner.Cached, Reason: "unchanged", Key: "k"}, nil
	}}, start)
	upper := runner.Map(&b, one, strings.ToUpper)
	runner.Add(&b, step{name: "last"}, runner.Join(&b, upper, two, func(x, y string) string { return x + "+" + y }))
	r, err := b.Run(t.Context(), runner.Options{Emit: s.emit})
	if err != nil {
		t.Fatal(err)
	}
	last, _ := r.Step("last")
	if string(last.Out) != `"V\u003eONE+v\u003e2\u003elast"` {
		t.Errorf("out %s", last.Out)
	}
	cached, _ := r.Step("two")
	if cached.Reason != "unchanged" || cached.Key != "k" {
		t.Errorf("report %+v", cached)
	}
	if closing := of[runner.StageFinished](&s, "two"); closing[0].Key != "k" || closing[0].Reason != "unchanged" {
		t.Errorf("closing event %+v", closing)
	}
	wantClosed(t, &s, r, map[string]runner.Status{"one": runner.Ran, "two": runner.Cached, "last": runner.Ran})
	if _, ok := r.Step("none"); ok || !slices.Equal(b.Names(), []string{"one", "two", "last"}) {
		t.Errorf("names %v", b.Names())
	}
}

func TestRefOfAnotherBuilderPanics(t *testing.T) {
	var one, two runner.Builder
	ref := runner.Value(&one, "x")
	defer func() {
		if recover() == nil {
			t.Error("taken")
		}
	}()
	runner.Add(&two, step{name: "s"}, ref)
}

func TestAllChecksBeforeBeginBeforeAnyRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b runner.Builder
		var s screen
		observed := func(name string, d time.Duration) step {
			return step{name: name,
				check: func(context.Context) error { time.Sleep(d); s.say("check"); return nil },
				run: func(context.Context, runner.Env, string) (runner.Result[string], error) {
					s.say("run")
					return runner.Result[string]{}, nil
				}}
		}
		start := time.Now()
		fan(&b, observed("a", time.Second), observed("b", 3*time.Second), observed("c", 2*time.Second))
		_, err := b.Run(t.Context(), runner.Options{Emit: s.emit, Begin: func() error { s.say("begin"); return nil }})
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"check", "check", "check", "begin", "run", "run", "run"}; !slices.Equal(s.said, want) {
			t.Errorf("order %v", s.said)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("the checks took %v: not side by side", d)
		}
	})
}

func TestFailedChecksAreAllToldAndNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b runner.Builder
		var s screen
		failing := func(name string, after time.Duration, class fault.Class) step {
			return step{name: name,
				check: func(context.Context) error { time.Sleep(after); return fault.New(class, "", "%s is wrong", name) },
				run: func(context.Context, runner.Env, string) (runner.Result[string], error) {
					t.Errorf("%s runs", name)
					return runner.Result[string]{}, nil
				}}
		}
		chain(&b, failing("a", 2*time.Second, fault.BadInput), step{name: "good"}, failing("c", time.Second, fault.Missing))
		r, err := b.Run(t.Context(), runner.Options{Emit: s.emit, Begin: func() error { t.Error("begins"); return nil }})
		all, ok := errors.AsType[runner.Findings](err)
		if !ok || len(all) != 2 || all[0].Error() != "a is wrong" || all[1].Error() != "c is wrong" {
			t.Errorf("got %v", err)
		}
		if fault.ClassOf(err) != fault.BadInput || err.Error() != "a is wrong\nc is wrong" {
			t.Errorf("class %v of %q, want the first step's", fault.ClassOf(err), err)
		}
		wantClosed(t, &s, r, map[string]runner.Status{"a": runner.Failed, "good": runner.Cancelled, "c": runner.Failed})
		if closing := of[runner.StageFinished](&s, "a"); closing[0].Error != "a is wrong" {
			t.Errorf("closing event %+v", closing)
		}
	})
}

func TestOneFailedCheckIsItself(t *testing.T) {
	var b runner.Builder
	missing := fault.New(fault.Missing, "install one", "no JDK")
	chain(&b, step{name: "a"}, step{name: "b", check: func(context.Context) error { return missing }})
	if _, err := b.Run(t.Context(), runner.Options{}); err != missing {
		t.Errorf("got %v", err)
	}
	if err := b.Plan(t.Context(), runner.Options{}); err != missing {
		t.Errorf("plan: %v", err)
	}
}

func TestBeginsErrorEndsTheRun(t *testing.T) {
	var b runner.Builder
	var s screen
	readOnly := errors.New("read-only folder")
	chain(&b, step{name: "a", run: func(context.Context, runner.Env, string) (runner.Result[string], error) {
		t.Error("runs")
		return runner.Result[string]{}, nil
	}})
	r, err := b.Run(t.Context(), runner.Options{Emit: s.emit, Begin: func() error { return readOnly }})
	if err != readOnly {
		t.Errorf("got %v", err)
	}
	wantClosed(t, &s, r, map[string]runner.Status{"a": runner.Cancelled})
}

func TestIndependentStepsRunSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b runner.Builder
		v := runner.Value(&b, "v")
		a := runner.Add(&b, sleeper("a", 3*time.Second, nil), v)
		c := runner.Add(&b, sleeper("c", 4*time.Second, nil), v)
		both := runner.Join(&b, a, c, func(x, y string) string { return x + y })
		runner.Add(&b, sleeper("d", 2*time.Second, nil), both)
		runner.Add(&b, sleeper("e", 3*time.Second, nil), a)
		start := time.Now()
		r, err := b.Run(t.Context(), runner.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 6*time.Second {
			t.Errorf("took %v, the longest way takes 6 s", d)
		}
		if c, _ := r.Step("c"); c.Seconds != 4 {
			t.Errorf("c took %v s", c.Seconds)
		}
	})
}

// TestFailureInAnswerToACancelIsNoCause: a child killed by the cancel ends

// with an error that does not name it.

// TestEventsComeOneAtATime: Emit need not be safe for concurrent use.

func TestEventsComeOneAtATime(t *testing.T) {
	var b runner.Builder
	var events []runner.Event // no lock
	var steps []step
	for i := range 8 {
		steps = append(steps, step{name: fmt.Sprint("s", i), run: func(_ context.Context, env runner.Env, _ string) (runner.Result[string], error) {
			for range 50 {
				env.Emit(runner.Note{Text: "x"})
			}
			return runner.Result[string]{}, nil
		}})
	}
	fan(&b, steps...)
	if _, err := b.Run(t.Context(), runner.Options{Emit: func(e runner.Event) { events = append(events, e) }}); err != nil {
		t.Fatal(err)
	}
	if len(events) != 8*52 {
		t.Errorf("%d events", len(events))
	}
	if !slices.IsSortedFunc(events, func(a, b runner.Event) int { return a.Time.Compare(b.Time) }) {
		t.Error("their times are out of order")
	}
}
