package rollout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
)

// TestKilledAnywhere breaks a run off at each of its calls in turn, before or
// after the call was carried out, lets some time go by, and runs the same
// again: that follows what the first began, whatever became of it, and never
// begins a second. With FASTSHIP_SEEDS it is each call to the very end, else
// those about the two writes.
func TestKilledAnywhere(t *testing.T) {
	for _, c := range []struct {
		name    string
		story   ecstest.Story
		config  string
		asleep  time.Duration // between the two runs
		want    deploy.Outcome
		updates int
	}{
		{"it goes on", ecstest.Story{Pull: 2 * time.Minute}, breaker, 10 * time.Second, deploy.Succeeded, 1},
		{"it has succeeded", ecstest.Story{}, breaker, 5 * time.Minute, deploy.Succeeded, 1},
		{"it was rolled back", ecstest.Story{Crash: true, Code: 1}, breaker, 10 * time.Minute, deploy.RolledBack, 1},
		{"it was stopped", ecstest.Story{Crash: true, Code: 1}, breakerOnly, 10 * time.Minute, deploy.Failed, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, last := 2, 6 // the two writes, and the calls beside them
			if c.name == "it goes on" {
				first, last = 1, 12
			}
			if os.Getenv("FASTSHIP_SEEDS") != "" {
				first, last = 1, 1000
			}
			step := first
			for more := true; more && step <= last; step++ {
				for _, cut := range []ecstest.Cut{ecstest.CutBefore, ecstest.CutAfter} {
					more = killed(t, c.story, c.config, step, cut, c.asleep, c.want, c.updates)
				}
			}
			t.Logf("killed at each of its calls %d to %d", first, step-1)
		})
	}
}

func killed(t *testing.T, story ecstest.Story, config string, step int, cut ecstest.Cut, asleep time.Duration, want deploy.Outcome, updates int) (more bool) {
	t.Helper()
	state := t.TempDir()
	seed := ecstest.ServiceSeed{Desired: 2, Config: []byte(config), TaskDefinition: definition(healthCheck)}
	virtual(t, ecstest.Script{image2: story}, seed, Deps{State: state}, func(w *world) {
		ctx, cancel := context.WithCancelCause(w.Context())
		defer cancel(nil)
		died := errors.New("killed")
		calls := 0
		w.double.Fault(func(string, int) ecstest.Fault {
			if calls++; calls == step {
				time.AfterFunc(0, func() { cancel(died) })
				return ecstest.Fault{Cut: cut}
			}
			return ecstest.Fault{}
		})
		r, err := w.step.Run(ctx, w.env(), In{Image: image2})
		if more = errors.Is(err, died); !more && r.Out.Outcome == string(want) {
			return // it had come to its end
		}
		if !errors.Is(err, died) {
			w.Fatalf("killed at call %d: %v", step, err)
		}
		w.double.Fault(nil)
		begun := len(w.double.Outcome("default", "web")) > 1
		time.Sleep(asleep)
		r, err = w.step.Run(w.Context(), w.env(), In{Image: image2})
		if !begun && want == deploy.Succeeded || r.Out.Outcome == string(want) {
		} else {
			w.Errorf("killed at call %d (cut %d, begun %v): %+v, %v\n%s", step, cut, begun, r.Out, err, w.said())
		}
		forward := 0
		for _, o := range w.double.Outcome("default", "web")[1:] {
			if strings.HasSuffix(o.TaskDefinition, "web:2") {
				forward++
			} else {
				w.Errorf("killed at call %d: a deployment of %s", step, o.TaskDefinition)
			}
		}
		if forward != updates {
			w.Errorf("killed at call %d (cut %d): %d forward deployments\n%s", step, cut, forward, w.said())
		}
		for _, left := range names(w, state) {
			if left != recordsFile {
				w.Errorf("left behind: %s", left)
			}
		}
		if n := len(w.step.records(*w.service().ServiceArn)); n > 1 {
			w.Errorf("killed at call %d: %d records of one rollout", step, n)
		}
	})
	return more
}

// names are those of what is in a folder.
func names(w *world, dir string) (all []string) {
	w.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.Error(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// TestOldIntent: what ended long ago, belongs to another image or cannot be
// read is no answer to a new run.
func TestOldIntent(t *testing.T) {
	for _, c := range []struct {
		name, intent string
	}{
		{"not JSON", "{"},
		{"another image", fmt.Sprintf(`{"service": "arn:aws:ecs:us-east-1:123456789012:service/default/web", "image": %q, "deployment": "ecs-svc/1"}`, image3)},
		{"another service", fmt.Sprintf(`{"service": "arn:aws:ecs:us-east-1:123456789012:service/default/api", "image": %q, "deployment": "ecs-svc/1"}`, image2)},
		{"begun, and never accepted", fmt.Sprintf(`{"service": "arn:aws:ecs:us-east-1:123456789012:service/default/web", "image": %q, "since": "2000-01-01T00:00:50Z"}`, image2)},
	} {
		t.Run(c.name, func(t *testing.T) {
			state := t.TempDir()
			if err := os.WriteFile(filepath.Join(state, intentFile), []byte(c.intent), 0o600); err != nil {
				t.Fatal(err)
			}
			virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1}, Deps{State: state}, func(w *world) {
				r, err := w.run(w.Context(), image2)
				if err != nil || r.Out.Outcome != "succeeded" || w.double.Counts()["UpdateService"] != 1 {
					t.Errorf("%+v, %v, %v", r.Out, err, w.double.Counts())
				}
			})
		})
	}
	t.Run("ended long ago", func(t *testing.T) {
		state := t.TempDir()
		var broken atomic.Bool // tasks start beside the test
		broken.Store(true)
		script := ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
			return ecstest.Story{Crash: broken.Load() && spec.Containers[0].Image == image2, Code: 1}
		})
		virtual(t, script, ecstest.ServiceSeed{Desired: 1, Config: []byte(breaker), TaskDefinition: definition(healthCheck)}, Deps{State: state}, func(w *world) {
			ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
			defer cancel()
			if _, err := w.run(ctx, image2); err == nil {
				t.Fatal("not killed")
			}
			time.Sleep(5 * time.Hour)
			broken.Store(false)
			r, err := w.run(w.Context(), image2)
			if err != nil || r.Out.Outcome != "succeeded" {
				t.Errorf("%+v, %v\n%s", r.Out, err, w.said())
			}
		})
	})
}
