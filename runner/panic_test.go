package runner_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

func TestPanicIsAnErrorOfItsStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b runner.Builder
		var s screen
		fan(&b, sleeper("slow", time.Hour, nil), step{name: "bug", run: func(_ context.Context, env runner.Env, in string) (runner.Result[string], error) {
			env.Background("save", func(context.Context) error { panic("in the background") })
			time.Sleep(time.Second)
			var none []int
			none[len(in)]++
			return runner.Result[string]{}, nil
		}})
		r, err := b.Run(t.Context(), runner.Options{Emit: s.emit})
		if err == nil || err.Error() != "bug: panic: runtime error: index out of range [5] with length 0" || fault.ClassOf(err) != fault.Internal {
			t.Errorf("got %v", err)
		}
		wantClosed(t, &s, r, map[string]runner.Status{"slow": runner.Cancelled, "bug": runner.Failed})
		var stack strings.Builder
		for _, l := range of[runner.Log](&s, "bug") {
			stack.WriteString(l.Line + "\n")
		}
		if !strings.Contains(stack.String(), "TestPanicIsAnErrorOfItsStep") {
			t.Errorf("the stack does not show the place: %s", stack.String())
		}
		if w := of[runner.Warning](&s, "bug"); len(w) != 1 || !strings.Contains(w[0].Text, "in the background") {
			t.Errorf("warnings %+v", w)
		}
	})
}

func TestPanicsElsewhere(t *testing.T) {
	bug := func() { panic("bug") }
	check := step{name: "a", check: func(context.Context) error { bug(); return nil }}
	plan := step{name: "a", plan: func(string) (runner.Plan[string], error) { bug(); return runner.Plan[string]{}, nil }}
	var one, two, three runner.Builder
	chain(&one, check)
	if _, err := one.Run(t.Context(), runner.Options{}); err == nil || err.Error() != "a: panic: bug" {
		t.Errorf("in a check: %v", err)
	}
	chain(&two, plan)
	if err := two.Plan(t.Context(), runner.Options{}); err == nil || err.Error() != "a: panic: bug" {
		t.Errorf("in a plan: %v", err)
	}
	var s screen
	runner.Add(&three, step{name: "a"}, runner.Map(&three, runner.Value(&three, "v"), func(string) string { bug(); return "" }))
	r, err := three.Run(t.Context(), runner.Options{Emit: s.emit})
	if err == nil || !strings.HasSuffix(err.Error(), "panic: bug") {
		t.Errorf("in a join: %v", err)
	}
	wantClosed(t, &s, r, map[string]runner.Status{"a": runner.Cancelled})
}

// unwritable cannot be JSON.

type unwritable struct{}

func (unwritable) Name() string { return "a" }

func (unwritable) Check(context.Context) error { return nil }

func (unwritable) Plan(context.Context, string) (runner.Plan[chan int], error) {
	return runner.Plan[chan int]{}, nil
}

func (unwritable) Run(context.Context, runner.Env, string) (runner.Result[chan int], error) {
	return runner.Result[chan int]{Out: make(chan int)}, nil
}

func TestOutputThatCannotBeRecordedFailsItsStep(t *testing.T) {
	var b runner.Builder
	var s screen
	runner.Add(&b, unwritable{}, runner.Value(&b, "v"))
	r, err := b.Run(t.Context(), runner.Options{Emit: s.emit})
	if err == nil || !strings.Contains(err.Error(), "record the output of a") {
		t.Errorf("got %v", err)
	}
	wantClosed(t, &s, r, map[string]runner.Status{"a": runner.Failed})
}
