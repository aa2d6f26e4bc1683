package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/fault"
)

// TestBeforeAndAfter: one-off tasks around a rollout.
func TestBeforeAndAfter(t *testing.T) {
	ends := func(code int, lines ...string) ecstest.Story {
		return ecstest.Story{Pull: 10 * time.Second, Crash: true, After: 20 * time.Second, Code: code, Prints: lines}
	}
	for _, c := range []struct {
		name          string
		before, after []string
		tasks         map[string]ecstest.Story // by the word that the command ends with
		fault         func(op string, n int) ecstest.Fault
		want          deploy.Outcome
		class         fault.Class
		err           string
		says          []string
		runs          string
		ran           int // RunTask calls
	}{
		{name: "both", before: []string{"java", "migrate"}, after: []string{"java", "warm"}, tasks: map[string]ecstest.Story{"migrate": ends(0, "table added"), "warm": ends(0)},
			want: deploy.Succeeded, says: []string{"note: deploy.before: java migrate", "log: table added", "deploy.before: ended with exit code 0", "deploy.after: ended with exit code 0"}, runs: "web:2", ran: 2},
		{name: "a migration fails", before: []string{"java", "migrate"}, tasks: map[string]ecstest.Story{"migrate": ends(3, "no such table")},
			want: deploy.Failed, class: fault.RolloutFailed, err: "deploy.before: container app exited with code 3", says: []string{"log: no such table", "service web was not touched: it runs web:1"}, runs: "web:1", ran: 1},
		{name: "a migration never ends", before: []string{"java", "migrate"}, tasks: map[string]ecstest.Story{"migrate": {}},
			want: deploy.Failed, class: fault.RolloutTimedOut, err: "the task did not end within 15m0s; it was stopped", runs: "web:1", ran: 1},
		{name: "a migration cannot start", before: []string{"java", "migrate"}, tasks: map[string]ecstest.Story{"migrate": {PullError: notFound}},
			want: deploy.Failed, class: fault.RolloutFailed, err: "deploy.before: the image cannot be pulled", runs: "web:1", ran: 1},
		{name: "what comes after fails", after: []string{"java", "warm"}, tasks: map[string]ecstest.Story{"warm": ends(1)},
			want: deploy.Succeeded, class: fault.RolloutFailed, err: "deploy.after: container app exited with code 1", says: []string{"runs the new revision all the same"}, runs: "web:2", ran: 1},
		{name: "the answer to RunTask is lost", before: []string{"java", "migrate"}, tasks: map[string]ecstest.Story{"migrate": ends(0)}, fault: faultOf("RunTask", 1, ecstest.Fault{Cut: ecstest.CutAfter}),
			want: deploy.Succeeded, runs: "web:2", ran: 2},
		{name: "no permission", before: []string{"java", "migrate"}, fault: faultOf("RunTask", 1e6, ecstest.Deny("RunTask")),
			want: deploy.Failed, class: fault.RolloutFailed, err: "not authorized to perform: ecs:RunTask", runs: "web:1", ran: 1},
		{name: "throttled for a while", before: []string{"java", "migrate"}, tasks: map[string]ecstest.Story{"migrate": ends(0)}, fault: faultOf("DescribeTasks", 4, ecstest.Throttle()),
			want: deploy.Succeeded, runs: "web:2", ran: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			lives := 0
			script := ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
				if spec.Family != "web-task" {
					return ecstest.Story{}
				}
				lives++
				app := spec.Containers[0]
				if app.Image != image2 || app.HealthCheck != nil || !slices.Equal(app.EntryPoint, []string{"java"}) {
					t.Errorf("the task's container is %+v", app)
				}
				return c.tasks[app.Command[0]]
			})
			virtual(t, script, ecstest.ServiceSeed{Desired: 1, TaskDefinition: executed(healthCheck + awslogs)}, Deps{}, func(w *world) {
				w.step.cfg.Before, w.step.cfg.After = c.before, c.after
				w.double.Fault(c.fault)
				r, err := w.run(w.Context(), image2)
				if r.Out.Outcome != string(c.want) || fault.ClassOf(err) != c.class || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("%+v, %v (class %d)\n%s", r.Out, err, fault.ClassOf(err), w.said())
				}
				for _, s := range c.says {
					if !strings.Contains(w.said(), s) {
						t.Errorf("said, without %q:\n%s", s, w.said())
					}
				}
				if got := *w.service().TaskDefinition; !strings.HasSuffix(got, c.runs) {
					t.Errorf("the service runs %s", got)
				}
				n := w.double.Counts()
				if n["RunTask"] != c.ran || n["DeregisterTaskDefinition"] != n["RegisterTaskDefinition"]-map[string]int{"web:2": 1}[c.runs] {
					t.Errorf("calls %v", n)
				}
				if lives > len(c.before)/2+len(c.after)/2 {
					t.Errorf("%d tasks ran", lives)
				}
				time.Sleep(time.Minute)
				if n := w.double.Counts()["StopTask"]; (n == 1) != (c.class == fault.RolloutTimedOut) {
					t.Errorf("%d StopTask", n)
				}
			})
		})
	}
}

// TestTaskInterrupted: whoever interrupts fastship stops the task.
func TestTaskInterrupted(t *testing.T) {
	virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1}, Deps{}, func(w *world) {
		ctx, cancel := context.WithCancelCause(w.Context())
		interrupted := errors.New("interrupted")
		time.AfterFunc(time.Minute, func() { cancel(interrupted) })
		if err := w.step.Task(ctx, w.env(), "", []string{"java", "work"}); !errors.Is(err, interrupted) {
			t.Error(err)
		}
		if n := w.double.Counts(); n["StopTask"] != 1 || n["DeregisterTaskDefinition"] != 1 || n["UpdateService"] != 0 {
			t.Errorf("calls %v", n)
		}
	})
}

// TestOneOffDefinition: only what must change does.
func TestOneOffDefinition(t *testing.T) {
	raw := `{"family": "web", "revision": 7, "cpu": "256", "invented": {"a": 1}, "containerDefinitions": [
		{"name": "app", "image": "x:1", "entryPoint": ["java"], "command": ["-jar"], "healthCheck": {"command": ["CMD", "x"]}, "secrets": [{"name": "S", "valueFrom": "arn"}]},
		{"name": "proxy", "image": "envoy", "essential": true, "healthCheck": {"command": ["CMD", "y"]}}]}`
	got, err := deploy.OneOffDefinition(json.RawMessage(raw), "app", "x:2", []string{"sh", "-c", "echo <hi>"})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"containerDefinitions":[{"command":["-c","echo <hi>"],"entryPoint":["sh"],"essential":true,"image":"x:2","name":"app","secrets":[{"name": "S", "valueFrom": "arn"}]},` +
		`{"essential":false,"healthCheck":{"command": ["CMD", "y"]},"image":"envoy","name":"proxy"}],"cpu":"256","family":"web-task","invented":{"a": 1}}`
	if compact(t, got) != compact(t, json.RawMessage(want)) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if _, err := deploy.OneOffDefinition(json.RawMessage(raw), "app", "x:2", nil); fault.ClassOf(err) != fault.BadInput {
		t.Error(err)
	}
}

func compact(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
