package rollout

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/deploy/ecstest/schedulestest"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// A rule and a schedule with every member of the service models, and some that
// no model has, whose values a typed client would drop or change.
const (
	ruleTarget = `{"Id": "1", "Arn": "arn:aws:ecs:us-east-1:123456789012:cluster/default", "RoleArn": "arn:aws:iam::123456789012:role/events", "Input": "{\"a\":\"<b>&\"}",
		"EcsParameters": {"TaskDefinitionArn": "DEFINITION", "TaskCount": 2, "LaunchType": "FARGATE", "PlatformVersion": "1.4.0", "Group": "g", "EnableECSManagedTags": true, "EnableExecuteCommand": false,
			"NetworkConfiguration": {"awsvpcConfiguration": {"Subnets": ["subnet-1"], "SecurityGroups": [], "AssignPublicIp": "ENABLED", "Invented": 12345678901234567890}},
			"PlacementConstraints": [], "PropagateTags": "TASK_DEFINITION", "Tags": [{"Key": "k", "Value": ""}], "InventedInside": null},
		"RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}, "DeadLetterConfig": {}, "Invented": {"deep": [1.0, 1e3, "<é>"]}}`
	otherTarget  = `{"Id": "2", "Arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "Input": "x"}`
	scheduleBody = `{"ScheduleExpression": "cron(0 3 * * ? *)", "ScheduleExpressionTimezone": "Europe/Berlin", "State": "DISABLED", "StartDate": 1700000000.5, "EndDate": 1900000000,
		"Description": "a <b>", "ActionAfterCompletion": "NONE", "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}, "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1", "Invented": [null],
		"Target": {"Arn": "arn:aws:ecs:us-east-1:123456789012:cluster/default", "RoleArn": "arn:aws:iam::123456789012:role/scheduler", "RetryPolicy": {"MaximumRetryAttempts": 0},
			"EcsParameters": {"TaskDefinitionArn": "DEFINITION", "CapacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}], "ReferenceId": "r", "Invented": false}}}`
	family = "arn:aws:ecs:us-east-1:123456789012:task-definition/"
)

// scheduled runs f in a world whose ECS has schedules beside it.
func scheduled(t *testing.T, cfg Config, f func(w *world, d *schedulestest.Double)) {
	t.Helper()
	virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1, Config: []byte(breaker)}, Deps{}, func(w *world) {
		d := &schedulestest.Double{Next: w.double}
		deps := w.step.deps
		deps.Connect = func(context.Context, string) (deploy.API, error) {
			aws := awsconf.Local("http://ecs.test", "us-east-1")
			aws.HTTPClient = &http.Client{Transport: ecstest.Transport(d)}
			return ecs.New(aws), nil
		}
		cfg.Service, cfg.Repository = "web", repository
		w.step = New(cfg, deps)
		f(w, d)
	})
}

// only reports whether b is a with another task definition and nothing else.
func only(t *testing.T, a string, definition string, b json.RawMessage, more ...string) {
	t.Helper()
	read := func(text string) (v map[string]any) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber() // 1.0 is not 1
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	want, got := read(strings.Replace(a, "DEFINITION", definition, 1)), read(string(b))
	for _, key := range more {
		delete(got, key)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestSchedules: after the rollout they start the new revision, and nothing
// else of them is changed; a second run does nothing; the way back takes them
// with it.
func TestSchedules(t *testing.T) {
	cfg := Config{Schedules: []string{"nightly", "arn:aws:scheduler:us-east-1:123456789012:schedule/jobs/clean", "arn:aws:events:us-east-1:123456789012:rule/bus/latest", "report"}}
	scheduled(t, cfg, func(w *world, d *schedulestest.Double) {
		d.Rule("", "nightly", []byte(otherTarget), []byte(strings.Replace(ruleTarget, "DEFINITION", family+"web:1", 1)))
		d.Rule("bus", "latest", []byte(strings.Replace(ruleTarget, "DEFINITION", family+"web", 1)))
		if err := d.Schedule("jobs", "clean", []byte(strings.Replace(scheduleBody, "DEFINITION", family+"web:1", 1))); err != nil {
			w.Fatal(err)
		}
		// One of another family, with the same image.
		api, err := w.step.deps.Connect(w.Context(), "")
		if err != nil {
			w.Fatal(err)
		}
		if _, err := api.Register(w.Context(), []byte(strings.Replace(string(definition("")), `"family": "web"`, `"family": "report"`, 1))); err != nil {
			w.Fatal(err)
		}
		if err := d.Schedule("", "report", []byte(strings.Replace(scheduleBody, "DEFINITION", family+"report:1", 1))); err != nil {
			w.Fatal(err)
		}

		plan, err := w.step.Plan(w.Context(), In{Image: image2})
		if err != nil || !strings.Contains(strings.Join(plan.Lines, "\n"), "move rule nightly from web:1 to a new revision of it with the new image") {
			t.Errorf("%v, %v", plan.Lines, err)
		}
		if _, err := w.run(w.Context(), image2); err != nil {
			w.Fatalf("%v\n%s", err, w.said())
		}
		targets := d.Targets("", "nightly")
		only(t, otherTarget, "", targets[0])
		only(t, ruleTarget, family+"web:2", targets[1])
		only(t, ruleTarget, family+"web", d.Targets("bus", "latest")[0])
		shown := []string{"Arn", "Name", "GroupName", "CreationDate", "LastModificationDate"}
		only(t, scheduleBody, family+"web:2", d.Shown("jobs", "clean"), shown...)
		only(t, scheduleBody, family+"report:2", d.Shown("", "report"), shown...)
		if n := d.Counts(); n["PutTargets"] != 1 || n["UpdateSchedule"] != 2 {
			t.Errorf("%v", n)
		}
		if said := w.said(); !strings.Contains(said, "rule nightly starts web:2 now") || !strings.Contains(said, "schedule report starts report:2 now") {
			t.Error(said)
		}

		r, err := w.run(w.Context(), image2)
		if n := d.Counts(); err != nil || r.Status != runner.Cached || n["PutTargets"] != 1 || n["UpdateSchedule"] != 2 {
			t.Errorf("again: %+v, %v, %v", r, err, n)
		}
		if _, err := w.step.Rollback(w.Context(), w.env(), ""); err != nil {
			t.Fatal(err)
		}
		only(t, ruleTarget, family+"web:1", d.Targets("", "nightly")[1])
		only(t, scheduleBody, family+"web:1", d.Shown("jobs", "clean"), shown...)
	})
}

// TestSchedulesOfSeveral: they move once, after all services, forth and back,
// each to its own family's revision.
func TestSchedulesOfSeveral(t *testing.T) {
	together(t, nil, breaker, Config{Schedules: []string{"nightly", "hourly", "report"}}, func(w *world, g *Group) {
		d := &schedulestest.Double{Next: w.double}
		deps := w.step.deps
		deps.Connect = func(context.Context, string) (deploy.API, error) {
			aws := awsconf.Local("http://ecs.test", "us-east-1")
			aws.HTTPClient = &http.Client{Transport: ecstest.Transport(d)}
			return ecs.New(aws), nil
		}
		api, err := deps.Connect(w.Context(), "")
		if err != nil {
			w.Fatal(err)
		}
		if _, err := api.Register(w.Context(), []byte(strings.Replace(string(definition("")), `"family": "web"`, `"family": "report"`, 1))); err != nil {
			w.Fatal(err)
		}
		for name, of := range map[string]string{"nightly": "web:1", "hourly": "worker:1", "report": "report:1"} {
			d.Rule("", name, []byte(strings.Replace(ruleTarget, "DEFINITION", family+of, 1)))
		}
		start := func(nightly, hourly string) {
			t.Helper()
			only(t, ruleTarget, family+nightly, d.Targets("", "nightly")[0])
			only(t, ruleTarget, family+hourly, d.Targets("", "hourly")[0])
		}
		g = NewGroup(g.cfg, deps)
		if _, err := w.group(g, image2); err != nil {
			w.Fatalf("%v\n%s", err, w.said())
		}
		start("web:2", "worker:2")
		only(t, ruleTarget, family+"report:2", d.Targets("", "report")[0])

		out, err := Rollback(w.Context(), w.env(), g.cfg, deps, "")
		if err != nil || len(out.Services) != 2 {
			t.Fatalf("%+v, %v\n%s", out, err, w.said())
		}
		start("web:1", "worker:1")
		of := d.Targets("", "report")[0]
		var target struct {
			EcsParameters struct{ TaskDefinitionArn string }
		}
		if err := json.Unmarshal(of, &target); err != nil {
			t.Fatal(err)
		}
		back, err := api.TaskDefinition(w.Context(), target.EcsParameters.TaskDefinitionArn)
		if err != nil {
			t.Fatal(err)
		}
		if containers, err := back.Containers(); err != nil || containers[0].Image != image1 {
			t.Errorf("the report's task has %+v, %v", containers, err)
		}
		if n := d.Counts()["PutTargets"]; n != 6 {
			t.Errorf("%d moves, want three there and three back", n)
		}
		if w.runs("web") != "web:1" || w.runs("worker") != "worker:1" {
			t.Error("the services are not back")
		}

		// A list of one service is a list, too.
		if _, err := w.group(NewGroup(g.cfg, deps), image2); err != nil {
			w.Fatalf("%v\n%s", err, w.said())
		}
		one := g.cfg
		one.Services, one.Schedules = one.Services[1:], []string{"hourly"}
		if _, err := Rollback(w.Context(), w.env(), one, deps, ""); err != nil {
			t.Errorf("%v\n%s", err, w.said())
		}
		start("web:2", "worker:1")
	})
}

// TestScheduleRefusals: what is not there, starts nothing of ours or may not be
// read is found before anything is built; a write that is refused leaves the
// service on the new revision and says so.
func TestScheduleRefusals(t *testing.T) {
	for _, c := range []struct {
		name, fault, want string
		class             fault.Class
	}{
		{"nobody", "", "find rule or schedule nobody: there is none", fault.Missing},
		{"lambda", "", "rule lambda starts no task of this image: it has no ECS target", fault.BadInput},
		{"both", "", "both is both a rule of EventBridge and a schedule", fault.BadInput},
		{"nightly", "ListTargetsByRule", "events:ListTargetsByRule", fault.Missing},
		{"nightly", "PutTargets", "deploy: move rule nightly from web:1 to web:2: events:PutTargets", fault.RolloutFailed},
	} {
		scheduled(t, Config{Schedules: []string{c.name}}, func(w *world, d *schedulestest.Double) {
			d.Rule("", "nightly", []byte(strings.Replace(ruleTarget, "DEFINITION", family+"web:1", 1)))
			d.Rule("", "both", []byte(ruleTarget))
			d.Rule("", "lambda", []byte(otherTarget))
			if err := d.Schedule("", "both", []byte(scheduleBody)); err != nil {
				w.Fatal(err)
			}
			d.Fault = func(op string) string {
				if op == c.fault {
					return "AccessDeniedException"
				}
				return ""
			}
			_, err := w.run(w.Context(), image2)
			if err == nil || fault.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s %s: %v (class %v)", c.name, c.fault, err, fault.ClassOf(err))
			}
			if n := w.double.Counts()["UpdateService"]; (c.class == fault.RolloutFailed) != (n == 1) {
				t.Errorf("%s: %d updates", c.name, n)
			}
		})
	}
}
