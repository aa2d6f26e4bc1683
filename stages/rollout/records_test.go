package rollout

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/deploy/ecstest/codedeploytest"
	"github.com/fastship/fastship/internal/fault"
)

// TestRecordAgrees: what the follower saw of the phases, without a call of its
// own, is what the doctor reads of them afterwards. When the tasks are gone,
// the doctor still knows.
func TestRecordAgrees(t *testing.T) {
	for name, config := range map[string]string{
		"rolling":      `{` + balanced + `}`,
		"in two waves": `{"deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 100}}`,
		"blue/green":   strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 2`),
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			seed := ecstest.ServiceSeed{Desired: 2, Config: []byte(config), TaskDefinition: definition(healthCheck)}
			virtual(t, ecstest.Script{image2: {Pull: 20 * time.Second, Ready: 12 * time.Second}}, seed, Deps{State: state}, func(w *world) {
				in := In{Image: image2, Bytes: map[string]int64{"linux/amd64": 81e6, "linux/arm64": 79e6}}
				if r, err := w.step.Run(w.Context(), w.env(), in); err != nil || r.Out.Outcome != "succeeded" {
					t.Fatal(r, err)
				}
				arn := *w.service().ServiceArn
				records := w.step.records(arn)
				if len(records) != 1 || len(w.step.records("another")) != 0 {
					t.Fatalf("%+v", records)
				}
				r := records[0]
				if r.Revision != "web:2" || r.Image != strings.TrimPrefix(image2, repository+"@") || r.Bytes != 81e6 || r.Outcome != deploy.Succeeded || r.Deployment == "" || r.Time.IsZero() {
					t.Errorf("%+v", r)
				}
				time.Sleep(time.Minute)
				report, err := w.step.Doctor(w.Context())
				if err != nil || len(report.Phases) == 0 || report.Recalled {
					t.Fatalf("%+v, %v", report, err)
				}
				if len(r.Phases) != len(report.Phases) || r.Seconds != report.Took.Seconds() || r.Followed < r.Seconds-5 || r.Followed > r.Seconds+10 {
					t.Errorf("recorded %+v, read %v of %s", r, report.Phases, report.Took)
				}
				for _, p := range report.Phases {
					if r.Phases[p.Name] != p.Took.Seconds() {
						t.Errorf("%s: recorded %g s, read %s", p.Name, r.Phases[p.Name], p.Took)
					}
				}
				w.double.Fault(func(op string, _ int) ecstest.Fault {
					if op == "ListTasks" {
						return ecstest.Deny(op)
					}
					return ecstest.Fault{}
				})
				later, err := w.step.Doctor(w.Context())
				if err != nil || !later.Recalled || fmt.Sprint(later.Phases) != fmt.Sprint(report.Phases) {
					t.Errorf("without its tasks: %+v, %v", later, err)
				}
				if m := later.Own.Medians; len(m) == 0 || m[0] != (deploy.Median{Name: "whole", Took: report.Took, Of: 1}) {
					t.Errorf("medians %+v", m)
				}
			})
		})
	}
}

// TestRecordsOfOtherEnds: a rollout that failed, one that was not waited for
// to its end, and one whose end cannot be read say what is known of them.
func TestRecordsOfOtherEnds(t *testing.T) {
	for _, c := range []struct {
		name    string
		story   ecstest.Story
		config  string
		until   deploy.Until
		do      func(*world)
		want    deploy.Outcome
		seconds bool     // by ECS's clock
		phases  []string // all that are known
	}{
		{name: "rolled back", story: ecstest.Story{Pull: 5 * time.Second, PullError: notFound}, config: breaker, want: deploy.RolledBack, seconds: true},
		{name: "crashed", story: ecstest.Story{Pull: 5 * time.Second, Crash: true, Code: 1, After: 3 * time.Second}, config: breaker, want: deploy.RolledBack, seconds: true, phases: []string{"provisioning", "pulling", "starting"}},
		{name: "deployed", story: ecstest.Story{Pull: 20 * time.Second}, config: `{` + balanced + `}`, until: deploy.Deployed, want: deploy.Succeeded},
		{name: "healthy", story: ecstest.Story{Pull: 20 * time.Second}, config: `{` + balanced + `}`, until: deploy.Healthy, want: deploy.Succeeded, phases: []string{"provisioning", "pulling", "starting"}},
		{name: "no permission for service deployments", story: ecstest.Story{Pull: 20 * time.Second}, config: breaker, do: denyAll("ServiceDeployments"), want: deploy.Succeeded, phases: []string{"provisioning", "pulling", "starting"}},
		{name: "nor for tasks", story: ecstest.Story{Pull: 20 * time.Second}, config: breaker, do: denyAll("ServiceDeployments", "Tasks"), want: deploy.Succeeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := ecstest.ServiceSeed{Desired: 2, Config: []byte(c.config)}
			virtual(t, ecstest.Script{image2: c.story}, seed, Deps{State: t.TempDir()}, func(w *world) {
				w.step.cfg.WaitFor = c.until
				if c.do != nil {
					c.do(w)
				}
				r, err := w.run(w.Context(), image2)
				if r.Out.Outcome != string(c.want) || (err == nil) != (c.want == deploy.Succeeded) {
					t.Fatal(r.Out, err)
				}
				w.double.Fault(nil)
				records := w.step.records(*w.service().ServiceArn)
				if len(records) != 1 || records[0].Outcome != c.want || records[0].Followed <= 0 || records[0].Seconds > 0 != c.seconds || len(records[0].Phases) != len(c.phases) || records[0].Bytes != 0 {
					t.Fatalf("%+v", records)
				}
				for _, name := range c.phases {
					if _, ok := records[0].Phases[name]; !ok {
						t.Errorf("without %s: %+v", name, records[0])
					}
				}
				if pull := records[0].Phases["pulling"]; c.phases != nil && math.Abs(pull-c.story.Pull.Seconds()) > 0.1 {
					t.Errorf("pulled for %g s", pull)
				}
			})
		})
	}
}

// TestTrend: an image that grows is found by the rollouts that pulled it.
func TestTrend(t *testing.T) {
	script := ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
		if spec.Revision >= 6 {
			return ecstest.Story{Pull: 25 * time.Second}
		}
		return ecstest.Story{Pull: 9 * time.Second}
	})
	virtual(t, script, ecstest.ServiceSeed{Desired: 1, Config: []byte(breaker)}, Deps{State: t.TempDir()}, func(w *world) {
		for n := range 7 {
			in := In{Image: fmt.Sprintf("%s@sha256:%064d", repository, n), Bytes: map[string]int64{"linux/amd64": 80e6}}
			if n >= 4 { // web:6 and later
				in.Bytes["linux/amd64"] = 210e6
			}
			if _, err := w.step.Run(w.Context(), w.env(), in); err != nil {
				t.Fatal(err)
			}
		}
		r, err := w.step.Doctor(w.Context())
		if err != nil || r.Own.Count != 7 || r.Own.Succeeded != 7 || len(r.Own.Trends) != 1 {
			t.Fatalf("%+v, %v", r.Own, err)
		}
		trend := r.Own.Trends[0]
		if trend.Phase != "pulling" || trend.Since != "web:6" || trend.Before != 4 || trend.After != 3 || trend.FromBytes != 80e6 || trend.ToBytes != 210e6 ||
			trend.From.Round(time.Second) != 9*time.Second || trend.To.Round(time.Second) != 25*time.Second {
			t.Errorf("%+v", trend)
		}
	})
}

// TestRecordsOfServices: services that are rolled out together have their
// records apart, and those that go back with another have none.
func TestRecordsOfServices(t *testing.T) {
	for outcome, stories := range map[string]map[string]ecstest.Story{
		"succeeded":   {"worker": {Pull: 30 * time.Second}},
		"rolled-back": {"worker": {Crash: true, Code: 1}, "web": {Pull: time.Hour}},
	} {
		together(t, stories, breaker, Config{}, func(w *world, g *Group) {
			deps := w.step.deps
			deps.State = t.TempDir()
			g = NewGroup(g.cfg, deps)
			if r, _ := w.group(g, image2); r.Out.Outcome != outcome {
				t.Fatal(r.Out)
			}
			for i, service := range []string{"web", "worker"} {
				path := filepath.Join(deps.State, "services", service, recordsFile)
				raw, err := os.ReadFile(path)
				if outcome == "rolled-back" && service == "web" {
					if !os.IsNotExist(err) {
						t.Errorf("%s, which was turned back: %s, %v", service, raw, err)
					}
					continue
				}
				records := g.steps[i].records("arn:aws:ecs:us-east-1:123456789012:service/default/" + service)
				if len(records) != 1 || string(records[0].Outcome) != outcome || records[0].Revision != service+":2" {
					t.Errorf("%s, %v", raw, err)
				}
			}
		})
	}
}

// TestRecordOfCodeDeploy: of what CodeDeploy does only the whole is known.
func TestRecordOfCodeDeploy(t *testing.T) {
	byCode(t, &codedeploytest.Double{}, func(w *world) {
		w.step.deps.State = t.TempDir()
		if r, err := w.run(w.Context(), image2); err != nil || r.Out.Outcome != "succeeded" {
			t.Fatal(r, err)
		}
		records := w.step.records(*w.service().ServiceArn)
		if len(records) != 1 || records[0].Deployment != "d-000000001" || records[0].Followed <= 0 || records[0].Seconds != 0 || records[0].Phases != nil || records[0].Revision != "web:2" {
			t.Errorf("%+v", records)
		}
	})
}

// denyAll refuses the calls whose names end in one of these.
func denyAll(ends ...string) func(*world) {
	return func(w *world) {
		w.double.Fault(func(op string, _ int) ecstest.Fault {
			if slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(op, end) }) {
				return ecstest.Deny(op)
			}
			return ecstest.Fault{}
		})
	}
}

// TestRecordsStayOut: an unchanged service, a dry run and a state folder that
// cannot be written leave no record, and break nothing. What is broken in a
// record is outlived.
func TestRecordsStayOut(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1}, Deps{State: state}, func(w *world) {
		path := filepath.Join(state, recordsFile)
		if _, err := w.step.Plan(w.Context(), In{Image: image2}); err != nil {
			t.Fatal(err)
		}
		if r, err := w.run(w.Context(), image1); err != nil || r.Out.Outcome != "succeeded" {
			t.Fatal(r, err)
		}
		if _, err := w.step.Doctor(w.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(state); !os.IsNotExist(err) {
			t.Errorf("written: %v", err)
		}
		if err := os.WriteFile(state, nil, 0o600); err != nil { // a file in the folder's place
			t.Fatal(err)
		}
		if _, err := w.run(w.Context(), image2); err != nil {
			t.Errorf("the folder cannot be made: %v", err)
		}
		if err := os.Remove(state); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(state, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{\"service\": \n\x00\xff\n[]\n{}\nnull\n{\"service\": 7}\n{\"serv"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, image := range []string{image3, image2} {
			if _, err := w.run(w.Context(), image); err != nil {
				t.Fatal(fault.HintOf(err), err)
			}
		}
		raw, err := os.ReadFile(path)
		records := w.step.records(*w.service().ServiceArn)
		if len(records) != 2 || strings.Count(string(raw), "\n") != 2 || records[0].Image == records[1].Image {
			t.Errorf("%s, %v", raw, err)
		}
	})
}
