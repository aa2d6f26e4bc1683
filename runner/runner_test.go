package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// step is a Step made of functions; nil ones succeed.
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

// screen records events and what the steps do, in one order.
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

// of lists the bodies of one type and stage.
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

// wantClosed wants each step to have exactly one closing event, the last but
// for warnings of its background work, with this status.
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

// chain adds steps one after the other.
func chain(b *runner.Builder, steps ...step) {
	ref := runner.Value(b, "begin")
	for _, s := range steps {
		ref = runner.Add(b, s, ref)
	}
}

// fan adds steps side by side.
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

// TestFailureInAnswerToACancelIsNoCause: a child killed by the cancel ends
// with an error that does not name it.
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

var errBroken = errors.New("broken")

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

func TestFromAndUntil(t *testing.T) {
	build := func(never string) *runner.Builder {
		var b runner.Builder
		steps := []step{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}}
		for i, s := range steps {
			if strings.Contains(never, s.name) {
				steps[i].check = func(context.Context) error { return errors.New(s.name + " is checked") }
				steps[i].run = func(context.Context, runner.Env, string) (runner.Result[string], error) {
					return runner.Result[string]{}, errors.New(s.name + " runs")
				}
			}
		}
		ref := runner.Value(&b, "v")
		for _, s := range steps {
			ref = runner.Map(&b, runner.Add(&b, s, ref), func(s string) string { return s + "." })
		}
		return &b
	}
	given := map[string]json.RawMessage{"a": json.RawMessage(`"recorded a"`), "b": json.RawMessage(`"recorded"`)}
	var s screen
	r, err := build("abd").Run(t.Context(), runner.Options{Emit: s.emit, From: "c", Until: "c", Given: given})
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := r.Step("c"); string(c.Out) != `"recorded.\u003ec"` {
		t.Errorf("out %s", c.Out)
	}
	if b, _ := r.Step("b"); string(b.Out) != `"recorded"` || b.Reason != "--from c" {
		t.Errorf("the given step reports %+v", b)
	}
	wantClosed(t, &s, r, map[string]runner.Status{"a": runner.Skipped, "b": runner.Skipped, "c": runner.Ran, "d": runner.Skipped})

	for name, c := range map[string]struct {
		opt  runner.Options
		says string
	}{
		"unknown from":       {runner.Options{From: "x"}, "--from x: no such stage; this run has [a b c d]"},
		"unknown until":      {runner.Options{Until: "x"}, "--until x: no such stage"},
		"from after until":   {runner.Options{From: "c", Until: "b"}, "--from c comes after --until b"},
		"no record":          {runner.Options{From: "b"}, "no recorded output of a"},
		"a record of null":   {runner.Options{From: "b", Given: map[string]json.RawMessage{"a": json.RawMessage("null")}}, "no recorded output of a"},
		"a record too old":   {runner.Options{From: "b", Given: map[string]json.RawMessage{"a": json.RawMessage(`{"x":1}`)}}, "read the recorded output of a"},
		"a record cut short": {runner.Options{From: "b", Given: map[string]json.RawMessage{"a": json.RawMessage(`"x`)}}, "read the recorded output of a"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := build("abcd").Run(t.Context(), c.opt)
			if err == nil || !strings.Contains(err.Error(), c.says) || fault.ClassOf(err) != fault.BadInput {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	var b runner.Builder
	var s screen
	never := func(context.Context, runner.Env, string) (runner.Result[string], error) {
		t.Error("a plan runs a step")
		return runner.Result[string]{}, nil
	}
	v := runner.Value(&b, "v")
	a := runner.Add(&b, step{name: "a", run: never}, v)
	c := runner.Add(&b, step{name: "c", run: never, plan: func(string) (runner.Plan[string], error) { // knows nothing of its output
		return runner.Plan[string]{Lines: []string{"one", "two"}}, nil
	}}, v)
	runner.Add(&b, step{name: "d", run: never}, runner.Join(&b, a, c, func(x, y string) string { return "[" + x + "," + y + "]" }))
	runner.Add(&b, step{name: "e", run: never}, a)
	if err := b.Plan(t.Context(), runner.Options{Emit: s.emit, Until: "d", Begin: func() error { t.Error("a plan begins"); return nil }}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range s.events {
		p, ok := e.Body.(runner.Planned)
		if !ok {
			t.Errorf("a plan emits %+v", e)
		}
		got = append(got, e.Stage+": "+strings.Join(p.Lines, ", "))
	}
	if want := []string{"a: a after v", "c: one, two", "d: d after [v>a,]"}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	s = screen{}
	err := b.Plan(t.Context(), runner.Options{Emit: s.emit, From: "d", Given: map[string]json.RawMessage{"a": []byte(`"A"`), "c": []byte(`"C"`)}})
	if err != nil || len(s.events) != 2 || !reflect.DeepEqual(s.events[0].Body, runner.Planned{Lines: []string{"d after [A,C]"}}) {
		t.Errorf("from d: %+v, %v", s.events, err)
	}
}

func TestPlanStopsAtAnError(t *testing.T) {
	var b runner.Builder
	var s screen
	chain(&b, step{name: "a"}, step{name: "b", plan: func(string) (runner.Plan[string], error) { return runner.Plan[string]{}, errBroken }}, step{name: "c"})
	if err := b.Plan(t.Context(), runner.Options{Emit: s.emit}); err != errBroken || len(s.events) != 1 {
		t.Errorf("%v, %+v", err, s.events)
	}
}

func TestPanicIsAnErrorOfItsStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b runner.Builder
		var s screen
		fan(&b, sleeper("slow", time.Hour, nil), step{name: "bug", run: func(_ context.Context, env runner.Env, _ string) (runner.Result[string], error) {
			env.Background("save", func(context.Context) error { panic("in the background") })
			time.Sleep(time.Second)
			var none map[string]int
			none["x"] = 1
			return runner.Result[string]{}, nil
		}})
		r, err := b.Run(t.Context(), runner.Options{Emit: s.emit})
		if err == nil || err.Error() != "bug: panic: assignment to entry in nil map" || fault.ClassOf(err) != fault.Internal {
			t.Errorf("got %v", err)
		}
		wantClosed(t, &s, r, map[string]runner.Status{"slow": runner.Cancelled, "bug": runner.Failed})
		var stack strings.Builder
		for _, l := range of[runner.Log](&s, "bug") {
			stack.WriteString(l.Line + "\n")
		}
		if !strings.Contains(stack.String(), "runner_test.go") {
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

func (unwritable) Name() string                { return "a" }
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
