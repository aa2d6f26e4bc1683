package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/internal/fault"
)

// fakeECS is one service and one family, with faults to order. What a double
// of the API over HTTP can show is tested in deploy/ecs and stages/rollout;
// here each fate of each call is placed exactly.
type fakeECS struct {
	service  Service
	latest   TaskDefinition
	before   []error // of the next writes: not carried out
	after    []error // of the next writes: carried out, the answer lost
	reads    []error // of the next reads
	late     int     // reads that still show the state before the last write
	stale    Service
	hides    bool // updates are accepted and never seen again
	updates  int  // accepted
	register int  // accepted
	calls    []string
}

func shift(errs *[]error) error {
	if len(*errs) == 0 {
		return nil
	}
	err := (*errs)[0]
	*errs = (*errs)[1:]
	return err
}

func (f *fakeECS) read(call string) error {
	f.calls = append(f.calls, call)
	return shift(&f.reads)
}

func (f *fakeECS) Service(context.Context, Target) (Service, error) {
	if err := f.read("Service"); err != nil {
		return Service{}, err
	}
	if f.late > 0 {
		f.late--
		return f.stale, nil
	}
	return f.service, nil
}

func (f *fakeECS) TaskDefinition(context.Context, string) (TaskDefinition, error) {
	return f.latest, f.read("TaskDefinition")
}

func (f *fakeECS) ServiceDeployments(context.Context, Target, string, time.Time) ([]ServiceDeployment, error) {
	return nil, f.read("ServiceDeployments")
}

func (f *fakeECS) History(context.Context, Target, int) ([]ServiceDeployment, error) {
	return nil, f.read("History")
}

func (f *fakeECS) StopDeployment(context.Context, string) error {
	f.calls = append(f.calls, "StopDeployment")
	return nil
}

func (f *fakeECS) TargetGroups(context.Context, []string) ([]TargetGroup, error) {
	return nil, f.read("TargetGroups")
}

func (f *fakeECS) Tagged(ctx context.Context, t Target) (Service, error) { return f.Service(ctx, t) }

func (f *fakeECS) RunTask(context.Context, Target, string, string) (Task, error) {
	return Task{}, f.read("RunTask")
}

func (f *fakeECS) StopTask(context.Context, Target, string, string) error { return f.read("StopTask") }

func (f *fakeECS) Deregister(context.Context, string) error { return f.read("Deregister") }

func (f *fakeECS) Follow(context.Context, LogStream, string) ([]string, string, error) {
	return nil, "", f.read("Follow")
}

func (f *fakeECS) Tasks(context.Context, Target, TaskQuery) ([]Task, error) {
	return nil, f.read("Tasks")
}

func (f *fakeECS) LastLines(context.Context, LogStream, int) ([]string, error) {
	return nil, f.read("LastLines")
}

func (f *fakeECS) Register(_ context.Context, d json.RawMessage) (string, error) {
	f.calls = append(f.calls, "Register")
	if err := shift(&f.before); err != nil {
		return "", err
	}
	f.register++
	f.latest = TaskDefinition{ARN: fmt.Sprintf("x/web:%d", 7+f.register), Raw: d}
	return f.latest.ARN, shift(&f.after)
}

func (f *fakeECS) Update(_ context.Context, _ Target, definition string, _ bool) (Service, error) {
	f.calls = append(f.calls, "Update")
	if err := shift(&f.before); err != nil {
		return Service{}, err
	}
	f.stale = f.service
	f.updates++
	if f.hides {
		return f.service, nil
	}
	f.service.TaskDefinition = definition
	old := append([]Deployment{}, f.service.Deployments...)
	for i := range old {
		old[i].Status = "ACTIVE"
	}
	f.service.Deployments = append([]Deployment{{ID: fmt.Sprintf("ecs-svc/%d", 1+f.updates), Status: "PRIMARY", TaskDefinition: definition, Desired: 1, RolloutState: "IN_PROGRESS", Created: clock0}}, old...)
	return f.service, shift(&f.after)
}

func newFake() *fakeECS {
	return &fakeECS{
		service: Service{Name: "web", Status: "ACTIVE", Controller: "ECS", TaskDefinition: "x/web:7", Desired: 1, Deployments: []Deployment{
			{ID: "ecs-svc/1", Status: "PRIMARY", TaskDefinition: "x/web:7", Desired: 1, Running: 1, RolloutState: "COMPLETED", Created: clock0.Add(-time.Hour)}}},
		latest: TaskDefinition{ARN: "x/web:7", Raw: json.RawMessage(`{"family": "web", "revision": 7, "containerDefinitions": [{"name": "app", "image": "web@1"}]}`)},
	}
}

func call(fate Fate) error { return &CallError{Call: "x", Fate: fate, Err: errors.New("fault")} }

func TestApply(t *testing.T) {
	lost, cut, slow := call(Unknown), call(Unknown), call(Throttled)
	for _, c := range []struct {
		name     string
		given    func(*fakeECS)
		prepared func(*fakeECS) // after the plan is made
		err      string
		calls    string // after the plan is made
		id       string
		fresh    bool
	}{
		{name: "plain", calls: "Register Update", id: "ecs-svc/2", fresh: true},
		{name: "throttled", prepared: func(f *fakeECS) { f.before = []error{slow, slow, nil, slow} }, calls: "Register Register Register Update Update", id: "ecs-svc/2", fresh: true},
		{name: "never sent", prepared: func(f *fakeECS) { f.before = []error{call(Unsent)} }, calls: "Register Register Update", id: "ecs-svc/2", fresh: true},
		{name: "registration lost", prepared: func(f *fakeECS) { f.after = []error{lost} }, calls: "Register TaskDefinition Update", id: "ecs-svc/2", fresh: true},
		{name: "registration cut before", prepared: func(f *fakeECS) { f.before = []error{cut} }, calls: "Register TaskDefinition Register Update", id: "ecs-svc/2", fresh: true},
		{name: "update lost", prepared: func(f *fakeECS) { f.after = []error{nil, lost} }, calls: "Register Update Service", id: "ecs-svc/2", fresh: true},
		{name: "update lost, reads lag and fail", prepared: func(f *fakeECS) { f.after, f.late, f.reads = []error{nil, lost}, 2, []error{nil, slow} }, calls: "Register Update Service Service Service Service", id: "ecs-svc/2", fresh: true},
		{name: "update cut before", prepared: func(f *fakeECS) { f.before = []error{nil, cut} }, calls: "Register Update Service Service Service Service Service Update", id: "ecs-svc/2", fresh: true},
		{name: "accepted, but nothing to see", prepared: func(f *fakeECS) { f.hides = true }, err: "shows no deployment of web:8", calls: "Register Update Service Service Service Service Service", fresh: true},
		{name: "registration refused", prepared: func(f *fakeECS) { f.before = []error{call(Refused)} }, err: "register a revision of web:7: fault", calls: "Register"},
		{name: "update denied", prepared: func(f *fakeECS) { f.before = []error{nil, call(Denied)} }, err: "update service web: fault", calls: "Register Update", fresh: true},
		{name: "read back denied", prepared: func(f *fakeECS) { f.after, f.reads = []error{nil, lost}, []error{call(Denied)} }, err: "fault", calls: "Register Update Service", fresh: true},
		{name: "registered by a run that failed", given: func(f *fakeECS) {
			f.latest = TaskDefinition{ARN: "x/web:8", Raw: json.RawMessage(`{"family": "web", "revision": 8, "status": "ACTIVE", "containerDefinitions": [{"image": "web@2", "name": "app"}]}`)}
		}, calls: "Update", id: "ecs-svc/2"},
		{name: "nothing ever gets through", prepared: func(f *fakeECS) {
			for range 1000 {
				f.before = append(f.before, slow)
			}
		}, err: "register a revision of web:7: fault", calls: "Register"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newFake()
				current := api.latest
				if c.given != nil {
					c.given(api)
				}
				p, err := Prepare(t.Context(), &currentFirst{api, current}, Target{Service: "web"}, "", "", "web@2")
				if err != nil {
					t.Fatal(err)
				}
				if c.prepared != nil {
					c.prepared(api)
				}
				api.calls = nil
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
				defer cancel()
				var told []Event
				begun, err := Apply(ctx, api, p, func(e Event) { told = append(told, e) })
				if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				calls := strings.Join(api.calls, " ")
				if calls != c.calls && !(strings.HasPrefix(c.name, "nothing") && strings.HasPrefix(calls, c.calls)) {
					t.Errorf("calls %s, want %s", calls, c.calls)
				}
				if begun.ID != c.id || begun.Fresh != c.fresh || c.id != "" && (begun.TaskDefinition != "x/web:8" || !begun.Created.Equal(clock0)) {
					t.Errorf("begun %+v", begun)
				}
				if api.updates > 1 || api.register > 1 {
					t.Errorf("%d updates and %d registrations accepted", api.updates, api.register)
				}
				if c.err == "" && !saw(told, "deploy.Began "+c.id) {
					t.Errorf("told %+v", told)
				}
			})
		})
	}
}

// currentFirst answers the plan's first read of a definition with what the
// service runs, whatever the family's latest is.
type currentFirst struct {
	*fakeECS
	current TaskDefinition
}

func (c *currentFirst) TaskDefinition(ctx context.Context, name string) (TaskDefinition, error) {
	if name == c.current.ARN {
		return c.current, nil
	}
	return c.fakeECS.TaskDefinition(ctx, name)
}

// TestStarted: our deployment is found also when another came after it, and
// never among those that stood before.
func TestStarted(t *testing.T) {
	before := Service{Deployments: []Deployment{{ID: "1", TaskDefinition: "web:7"}, {ID: "0", TaskDefinition: "web:8"}}}
	for _, c := range []struct {
		after []Deployment
		want  string
	}{
		{before.Deployments, ""},
		{[]Deployment{{ID: "2", Status: "PRIMARY", TaskDefinition: "web:8"}, {ID: "1", TaskDefinition: "web:7"}}, "2"},
		{[]Deployment{{ID: "3", Status: "PRIMARY", TaskDefinition: "web:9"}, {ID: "2", Status: "ACTIVE", TaskDefinition: "web:8"}}, "2"},
		{[]Deployment{{ID: "3", Status: "PRIMARY", TaskDefinition: "web:9"}}, ""},
	} {
		if d, ok := started(before, Service{Deployments: c.after}, "web:8"); d.ID != c.want || ok != (c.want != "") {
			t.Errorf("%+v: found %q", c.after, d.ID)
		}
	}
}

// TestApplyByForce: an unclear forced update is never sent again.
func TestApplyByForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFake()
		api.service.Deployments[0].RolloutState = "FAILED"
		p, err := Prepare(t.Context(), api, Target{}, "", "", "web@1")
		if err != nil || p.Action != Update || !p.Force || p.Existing != "x/web:7" || p.Register != nil {
			t.Fatalf("plan %+v, %v", p, err)
		}
		api.before = []error{call(Unknown)}
		if _, err := Apply(t.Context(), api, p, func(Event) {}); err == nil || api.updates != 0 {
			t.Errorf("%v, %d updates", err, api.updates)
		}
	})
}

// TestApplyInterrupted: the end of the context ends the tries.
func TestApplyInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFake()
		p, err := Prepare(t.Context(), api, Target{}, "", "", "web@2")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 1000 {
			api.before = append(api.before, call(Throttled))
		}
		start := time.Now()
		if _, err := Apply(ctx, api, p, func(Event) {}); err == nil || time.Since(start) != time.Minute || len(api.calls) > 100 {
			t.Errorf("%v after %s and %d calls", err, time.Since(start), len(api.calls))
		}
	})
}

func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		name   string
		given  func(*fakeECS)
		image  string
		action Action
		lines  string // joined by "; "
		class  fault.Class
		err    string
	}{
		{name: "a new image", image: "web@2", action: Update,
			lines: "register a revision of web:7: container app from web@1 to web@2; update service web from web:7 to the new revision; follow the rollout of 1 task"},
		{name: "an unknown image", image: "", action: Update,
			lines: "register a revision of web:7 with the new image in container app (now web@1); update service web from web:7 to it, and follow the rollout of 1 task"},
		{name: "a repository without digest", image: "web@", action: Update, lines: "register a revision of web:7 with the new image in container app (now web@1); update service web from web:7 to it, and follow the rollout of 1 task"},
		{name: "the same image", image: "web@1", action: Nothing, lines: "nothing: service web runs web:7 with this image already"},
		{name: "going on", image: "web@1", given: func(f *fakeECS) { f.service.Deployments[0].RolloutState = "IN_PROGRESS" }, action: Await,
			lines: "follow the rollout of web:7 that is going on in service web"},
		{name: "old tasks drain", image: "web@1", given: func(f *fakeECS) {
			f.service.Deployments = append(f.service.Deployments, Deployment{ID: "ecs-svc/0", Status: "ACTIVE"})
		}, action: Await, lines: "follow the rollout of web:7 that is going on in service web"},
		{name: "a task short", image: "web@1", given: func(f *fakeECS) { f.service.Deployments[0].Running = 0 }, action: Await, lines: "follow the rollout of web:7 that is going on in service web"},
		{name: "failed before", image: "web@1", given: func(f *fakeECS) { f.service.Deployments[0].RolloutState = "FAILED" }, action: Update,
			lines: "update service web: start web:7 again, whose last rollout failed; follow the rollout of 1 task"},
		{name: "inactive", given: func(f *fakeECS) { f.service.Status = "INACTIVE" }, class: fault.Missing, err: "service web is INACTIVE"},
		{name: "blue/green", given: func(f *fakeECS) { f.service.Strategy = "PURPLE" }, class: fault.BadInput, err: "PURPLE"},
		{name: "no containers", given: func(f *fakeECS) { f.latest.Raw = json.RawMessage(`{}`) }, class: fault.BadInput, err: "has no containers"},
		{name: "no definition", given: func(f *fakeECS) { f.latest.Raw = json.RawMessage(`[`) }, err: "read task definition web:7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := newFake()
			if c.given != nil {
				c.given(api)
			}
			p, err := Prepare(t.Context(), api, Target{Service: "web"}, "", "", c.image)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || fault.ClassOf(err) != c.class {
					t.Errorf("error %v (class %d), want %q (class %d)", err, fault.ClassOf(err), c.err, c.class)
				}
				return
			}
			if err != nil || p.Action != c.action || strings.Join(p.Lines(), "; ") != c.lines {
				t.Errorf("action %d, %q, %v", p.Action, p.Lines(), err)
			}
			if len(api.calls) > 3 || strings.Contains(strings.Join(api.calls, " "), "Update") || strings.Contains(strings.Join(api.calls, " "), "Register") {
				t.Errorf("calls %v", api.calls)
			}
		})
	}
}
