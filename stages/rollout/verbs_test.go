package rollout

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/fault"
)

// to starts a rollout of a new revision with the image, as another tool would.
func (w *world) to(image string) {
	w.Helper()
	raw, err := deploy.CloneTaskDefinition(definition(""), "app", image)
	if err != nil {
		w.Fatal(err)
	}
	api, err := w.step.deps.Connect(w.Context(), "")
	if err != nil {
		w.Fatal(err)
	}
	arn, err := api.Register(w.Context(), raw)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.someone().UpdateService(w.Context(), &sdk.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: &arn}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) reads() {
	w.Helper()
	for op := range w.double.Counts() {
		if !strings.HasPrefix(op, "Describe") && !strings.HasPrefix(op, "List") {
			w.Errorf("it called %s", op)
		}
	}
}

// TestWait: whatever goes on, whoever began it, is followed to its end.
func TestWait(t *testing.T) {
	for _, c := range []struct {
		name  string
		story ecstest.Story
		do    func(w *world)
		want  deploy.Outcome
		class fault.Class
		says  string
	}{
		{name: "nothing goes on", want: deploy.Succeeded, says: "nothing to wait for"},
		{name: "a good rollout", do: func(w *world) { w.to(image2) }, want: deploy.Succeeded, says: "is going on already"},
		{name: "a bad one is not rolled back", story: ecstest.Story{PullError: notFound}, do: func(w *world) { w.to(image2) },
			want: deploy.Failed, class: fault.RolloutFailed, says: "that is left to ECS"},
		{name: "a rollback", story: ecstest.Story{Pull: time.Hour}, do: func(w *world) {
			w.to(image2)
			time.Sleep(20 * time.Second)
			all, err := w.someone().ListServiceDeployments(w.Context(), &sdk.ListServiceDeploymentsInput{Service: aws.String("web")})
			if err != nil {
				w.Fatal(err)
			}
			if _, err := w.someone().StopServiceDeployment(w.Context(), &sdk.StopServiceDeploymentInput{ServiceDeploymentArn: all.ServiceDeployments[0].ServiceDeploymentArn}); err != nil {
				w.Fatal(err)
			}
			time.Sleep(3 * time.Second)
		}, want: deploy.RolledBack, class: fault.RolledBack, says: "deployment rollback in progress"},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, ecstest.Script{image2: c.story}, ecstest.ServiceSeed{Desired: 2}, Deps{}, func(w *world) {
				if c.do != nil {
					c.do(w)
				}
				before := w.double.Counts()
				out, err := w.step.Wait(w.Context(), w.env())
				if out.Outcome != string(c.want) || fault.ClassOf(err) != c.class || !strings.Contains(w.said(), c.says) {
					t.Errorf("%+v, %v (class %d)\n%s", out, err, fault.ClassOf(err), w.said())
				}
				after := w.double.Counts()
				if after["UpdateService"] != before["UpdateService"] || after["StopServiceDeployment"] != before["StopServiceDeployment"] {
					t.Errorf("it wrote: %v, then %v", before, after)
				}
			})
		})
	}
}

// TestRollback: back to what was steady, or to what is named.
func TestRollback(t *testing.T) {
	both := func(w *world) { // web:2 and web:3 were steady after web:1
		for _, image := range []string{image2, image3} {
			if r, err := w.run(w.Context(), image); err != nil {
				w.Fatal(r, err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		do    func(w *world)
		story ecstest.Story // of image2
		to    string
		fault func(op string, n int) ecstest.Fault
		want  deploy.Outcome
		class fault.Class
		runs  string
		says  string // notes, the error or its hint
		stops int    // StopServiceDeployment calls
	}{
		{name: "to the last steady one", do: both, want: deploy.Succeeded, runs: "web:2", says: "going back to web:2"},
		{name: "to a revision", do: both, to: "web:1", want: deploy.Succeeded, runs: "web:1"},
		{name: "to a revision's number", do: both, to: "1", want: deploy.Succeeded, runs: "web:1"},
		{name: "to a digest", do: both, to: "sha256:111111111111", want: deploy.Succeeded, runs: "web:1"},
		{name: "to what runs", do: both, to: "web:3", want: deploy.Succeeded, runs: "web:3", says: "nothing to do"},
		{name: "a rollout that goes on", story: ecstest.Story{Pull: time.Hour}, do: func(w *world) { w.to(image2); time.Sleep(time.Minute) },
			want: deploy.Succeeded, runs: "web:1", stops: 1},
		{name: "out of a rollout that goes on, to a revision", story: ecstest.Story{Pull: time.Hour}, do: func(w *world) { w.to(image2); time.Sleep(time.Minute) },
			to: "web:1", want: deploy.Succeeded, runs: "web:1"},
		{name: "no such revision", to: "web:9", class: fault.Missing, runs: "web:1", says: "find revision web:9"},
		{name: "no such digest", to: "sha256:999999999999", class: fault.Missing, runs: "web:1", says: "the service ran web:1: app (" + image1 + ")"},
		{name: "a digest too short", to: "sha256:12", class: fault.BadInput, runs: "web:1", says: "at least 12 digits"},
		{name: "nothing before", class: fault.Missing, runs: "web:1", says: "give --to REVISION"},
		{name: "no permission for the history", do: both, fault: faultOf("ListServiceDeployments", 1e6, ecstest.Deny("ListServiceDeployments")),
			class: fault.Missing, runs: "web:3", says: "allow it, or give --to REVISION"},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, ecstest.Script{image2: c.story}, ecstest.ServiceSeed{Desired: 1}, Deps{}, func(w *world) {
				if c.do != nil {
					c.do(w)
				}
				w.double.Fault(c.fault)
				out, err := w.step.Rollback(w.Context(), w.env(), c.to)
				if out.Outcome != string(c.want) || fault.ClassOf(err) != c.class {
					t.Errorf("%+v, %v (class %d)\n%s", out, err, fault.ClassOf(err), w.said())
				}
				if err != nil && !strings.Contains(err.Error()+fault.HintOf(err), c.says) || err == nil && !strings.Contains(w.said(), c.says) {
					t.Errorf("error %v, hint %q, said without %q:\n%s", err, fault.HintOf(err), c.says, w.said())
				}
				if got := *w.service().TaskDefinition; !strings.HasSuffix(got, c.runs) {
					t.Errorf("the service runs %s, want %s", got, c.runs)
				}
				if n := w.double.Counts()["StopServiceDeployment"]; n != c.stops {
					t.Errorf("%d StopServiceDeployment, want %d", n, c.stops)
				}
			})
		})
	}
}

// TestStatus and diff read and write nothing.
func TestStatus(t *testing.T) {
	virtual(t, ecstest.Script{image2: {Pull: time.Hour}}, ecstest.ServiceSeed{Desired: 2}, Deps{}, func(w *world) {
		s, err := w.step.Status(w.Context())
		if err != nil || !s.Steady() || s.Image != "app ("+image1+")" || s.Tasks.Running != 2 || len(s.History) != 1 || s.History[0].Status != "SUCCESSFUL" {
			t.Errorf("steady: %+v, %v", s, err)
		}
		steps, diff, err := w.step.Diff(w.Context(), image2)
		if err != nil || len(steps) != 3 || !strings.Contains(strings.Join(diff, "\n"), `+       "image": "`+image2+`"`) {
			t.Errorf("diff %q, %q, %v", steps, diff, err)
		}
		if steps, diff, err := w.step.Diff(w.Context(), ""); err != nil || len(steps) != 2 || diff != nil {
			t.Errorf("diff without an image %q, %q, %v", steps, diff, err)
		}
		w.reads()
		w.to(image2)
		time.Sleep(30 * time.Second)
		s, err = w.step.Status(w.Context())
		if err != nil || s.Steady() || s.Tasks.Pulling != 2 || len(s.History) != 2 || s.History[0].Status != "IN_PROGRESS" || !strings.HasSuffix(s.History[0].TaskDefinition, "web:2") {
			t.Errorf("going on: %+v, %v", s, err)
		}
		deny("ServiceDeployments")(w)
		if s, err = w.step.Status(w.Context()); err != nil || len(s.History) != 0 || !strings.Contains(s.Blind, "not authorized") {
			t.Errorf("denied: %+v, %v", s, err)
		}
	})
}

// TestVerbsWithoutService: the flag that names one is told.
func TestVerbsWithoutService(t *testing.T) {
	step := New(Config{}, Deps{Connect: func(context.Context, string) (deploy.API, error) { t.Error("it connects"); return nil, nil }})
	if _, err := step.Status(t.Context()); fault.ClassOf(err) != fault.BadInput || !strings.Contains(fault.HintOf(err), "--service") {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}
