package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

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
