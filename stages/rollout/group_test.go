package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// byService is a runtime whose new tasks live by their service's story.
func byService(stories map[string]ecstest.Story) ecstest.TaskRuntime {
	return ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
		if spec.Containers[0].Image != image2 {
			return ecstest.Story{}
		}
		return stories[spec.Family]
	})
}

// together runs f with a group of web and worker, steady on image1.
func together(t *testing.T, stories map[string]ecstest.Story, config string, cfg Config, f func(w *world, g *Group)) {
	t.Helper()
	seed := ecstest.ServiceSeed{Desired: 1, Config: []byte(config), TaskDefinition: definition(healthCheck)}
	virtual(t, byService(stories), seed, Deps{Jitter: func() float64 { return 0.5 }}, func(w *world) {
		worker := ecstest.ServiceSeed{Service: "worker", Desired: 2, Config: []byte(config),
			TaskDefinition: []byte(strings.Replace(string(definition(healthCheck)), `"family": "web"`, `"family": "worker"`, 1))}
		if _, err := w.double.Seed(w.Context(), worker); err != nil {
			t.Fatal(err)
		}
		cfg.Repository, cfg.Services = repository, []Member{{Service: "web"}, {Service: "worker", Container: "app"}}
		deps := w.step.deps
		f(w, NewGroup(cfg, deps))
	})
}

// runs is what a service runs, once it has settled.
func (w *world) runs(service string) string {
	w.Helper()
	time.Sleep(3 * time.Minute)
	api, err := w.step.deps.Connect(w.Context(), "")
	if err != nil {
		w.Fatal(err)
	}
	s, err := api.Service(w.Context(), deploy.Target{Service: service})
	if err != nil {
		w.Fatal(err)
	}
	if d, _ := s.Primary(); d.Running != s.Desired || len(s.Deployments) != 1 {
		w.Errorf("%s is not steady: %+v", service, s.Deployments)
	}
	return deploy.ShortName(s.TaskDefinition)
}

func (w *world) group(g *Group, image string) (runner.Result[Out], error) {
	if err := g.Check(w.Context()); err != nil {
		return runner.Result[Out]{}, err
	}
	return g.Run(w.Context(), w.env(), In{Image: image})
}

// denying may not update one service.
type denying struct {
	deploy.API
	service string
}

func (d denying) Update(ctx context.Context, t deploy.Target, definition string, force bool) (deploy.Service, error) {
	if t.Service == d.service {
		return deploy.Service{}, &deploy.CallError{Call: "ecs:UpdateService", Fate: deploy.Denied, Err: errors.New("no")}
	}
	return d.API.Update(ctx, t, definition, force)
}

// TestGroup: the services are rolled out side by side; once one of them is
// rolled back, none keeps the new image, whether it had arrived, was on its
// way or had not begun.
func TestGroup(t *testing.T) {
	crash := ecstest.Story{Crash: true, After: time.Second, Code: 1}
	for _, c := range []struct {
		name        string
		stories     map[string]ecstest.Story
		policy      deploy.Policy
		deny        string // UpdateService of this service
		class       fault.Class
		cause       string
		web, worker string
		outcomes    [2]deploy.Outcome
		updates     int
	}{
		{name: "both well", web: "web:2", worker: "worker:2", outcomes: [2]deploy.Outcome{deploy.Succeeded, deploy.Succeeded}, updates: 2},
		{name: "one crashes, the other has arrived", stories: map[string]ecstest.Story{"worker": {NeverReady: true}},
			class: fault.RolledBack, cause: "service worker: the rollout failed and was rolled back: ", web: "web:1", worker: "worker:1",
			outcomes: [2]deploy.Outcome{deploy.RolledBack, deploy.RolledBack}, updates: 3},
		{name: "one crashes, the other is on its way", stories: map[string]ecstest.Story{"web": {Pull: 5 * time.Minute}, "worker": crash},
			class: fault.RolledBack, cause: "service worker: the rollout failed and was rolled back: ", web: "web:1", worker: "worker:1",
			outcomes: [2]deploy.Outcome{deploy.RolledBack, deploy.RolledBack}, updates: 2},
		{name: "each to its own end", stories: map[string]ecstest.Story{"worker": crash}, policy: deploy.Never,
			class: fault.RolloutFailed, cause: "service worker: the rollout failed: ", web: "web:2", worker: "worker:2",
			outcomes: [2]deploy.Outcome{deploy.Succeeded, deploy.Failed}, updates: 2},
		{name: "one may not be updated", deny: "worker", class: fault.RolloutFailed, cause: "service worker: deploy: update service worker: ", web: "web:1", worker: "worker:1",
			outcomes: [2]deploy.Outcome{deploy.RolledBack, deploy.Failed}, updates: -1}, // web may have begun, or not
	} {
		t.Run(c.name, func(t *testing.T) {
			config := breaker
			if c.policy == deploy.Never {
				config = breakerOnly
			}
			together(t, c.stories, config, Config{Rollback: c.policy}, func(w *world, g *Group) {
				if c.deny != "" {
					deps := w.step.deps
					deps.Connect = func(ctx context.Context, region string) (deploy.API, error) {
						api, err := w.step.deps.Connect(ctx, region)
						return denying{api, c.deny}, err
					}
					g = NewGroup(g.cfg, deps)
				}
				r, err := w.group(g, image2)
				if fault.ClassOf(err) != c.class && !(err == nil && c.cause == "") || err != nil && !strings.HasPrefix(err.Error(), c.cause) || (err == nil) != (c.cause == "") {
					t.Errorf("%v (class %v)", err, fault.ClassOf(err))
				}
				n := w.double.Counts()["UpdateService"]
				web, worker := w.runs("web"), ""
				if c.policy != deploy.Never {
					worker = w.runs("worker")
				} else {
					worker = c.worker
				}
				got := [2]deploy.Outcome{deploy.Outcome(r.Out.Services[0].Outcome), deploy.Outcome(r.Out.Services[1].Outcome)}
				if web != c.web || worker != c.worker || got != c.outcomes || n != c.updates && c.updates >= 0 {
					t.Errorf("web on %s, worker on %s, outcomes %v, %d updates\n%s", web, worker, got, n, w.said())
				}
			})
		})
	}
}

// TestGroupOnce: what comes before and after comes once, in the environment of
// the first service, and a second run does nothing.
func TestGroupOnce(t *testing.T) {
	together(t, nil, breaker, Config{Before: []string{"java", "Migrate"}, Timeout: time.Minute}, func(w *world, g *Group) {
		r, err := w.group(g, image2) // the command never ends
		if fault.ClassOf(err) != fault.RolloutTimedOut || !strings.Contains(err.Error(), "deploy.before") {
			t.Errorf("%v", err)
		}
		if n := w.double.Counts()["RunTask"]; n != 1 || w.double.Counts()["UpdateService"] != 0 {
			t.Errorf("%d tasks were run, %+v", n, r.Out)
		}
		if said := w.said(); !strings.Contains(said, "web: deploy.before: java Migrate") {
			t.Error(said)
		}
	})
	together(t, nil, breaker, Config{}, func(w *world, g *Group) {
		if _, err := w.group(g, image2); err != nil {
			t.Fatal(err)
		}
		if r, err := w.group(g, image2); err != nil || r.Status != runner.Cached || r.Out.Outcome != string(deploy.Succeeded) {
			t.Errorf("the second run: %+v, %v", r, err)
		}
	})
}

// TestGroupInterrupted: an interrupt leaves both rollouts to ECS, and says so.
func TestGroupInterrupted(t *testing.T) {
	together(t, map[string]ecstest.Story{"web": {Pull: time.Hour}, "worker": {Pull: time.Hour}}, "{}", Config{}, func(w *world, g *Group) {
		ctx, cancel := context.WithCancelCause(w.Context())
		go func() {
			time.Sleep(time.Minute)
			cancel(fmt.Errorf("enough"))
		}()
		_, err := g.Run(ctx, w.env(), In{Image: image2})
		if err == nil || err.Error() != "enough" || strings.Count(w.said(), "goes on in ECS without fastship") != 2 {
			t.Errorf("%v\n%s", err, w.said())
		}
	})
}

// TestGroupCheck: what is wrong is told of each service by its name.
func TestGroupCheck(t *testing.T) {
	together(t, nil, "{}", Config{}, func(w *world, g *Group) {
		for _, c := range []struct {
			cfg  Config
			want string
		}{
			{Config{Service: "web", Services: []Member{{Service: "worker"}}}, "deploy.service and deploy.services are both there"},
			{Config{Services: []Member{{Service: "web"}, {}}}, "an entry of deploy.services has no service"},
			{Config{Services: []Member{{Service: "web"}, {Service: "web"}}}, "deploy.services has web twice"},
			{Config{Services: []Member{{Service: "web"}, {Service: "wroker"}}}, "service wroker: find service wroker in cluster default (region us-east-1): no such service"},
			{Config{Services: []Member{{Service: "web", Container: "x"}, {Service: "nobody"}}}, `service web: find container "x" in the task definition: it has app (` + image1 + `)`},
		} {
			err := NewGroup(c.cfg, w.step.deps).Check(w.Context())
			if class := fault.ClassOf(err); err == nil || !strings.HasPrefix(err.Error(), c.want) || class != fault.BadInput && class != fault.Missing {
				t.Errorf("%+v: %v", c.cfg, err)
			}
		}
	})
}
