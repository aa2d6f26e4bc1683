package rollout

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/deploy/ecstest/codedeploytest"
	"github.com/fastship/fastship/deploy/ecstest/schedulestest"
	"github.com/fastship/fastship/internal/fault"
)

// documented are the actions of the policy in docs/deploy.md.
func documented(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```json\n")
	block, _, _ = strings.Cut(block, "```")
	var policy struct {
		Statement []struct{ Action json.RawMessage }
	}
	if err := json.Unmarshal([]byte(block), &policy); err != nil || len(policy.Statement) == 0 {
		t.Fatalf("the policy in docs/deploy.md: %v", err)
	}
	var actions []string
	if err := json.Unmarshal(policy.Statement[0].Action, &actions); err != nil {
		t.Fatal(err)
	}
	return actions
}

// TestPolicy: the documented policy is enough for whatever fastship does to a
// service, and holds nothing that it does not need.
func TestPolicy(t *testing.T) {
	allowed := documented(t)
	var mu sync.Mutex
	used, denied := map[string]bool{"ecs:TagResource": true}, map[string]bool{} // IAM asks for it beside RegisterTaskDefinition
	guard := func(action string) bool {
		mu.Lock()
		defer mu.Unlock()
		used[action] = true
		if !slices.Contains(allowed, action) {
			denied[action] = true
		}
		return denied[action]
	}
	crash := ecstest.Story{Crash: true, After: time.Second, Code: 1, Prints: []string{"no database"}}
	for _, c := range []struct {
		name, config string
		story        ecstest.Story
		play         func(w *world)
	}{
		{"success, status, diff, back", breaker, ecstest.Story{}, func(w *world) {
			if _, err := w.run(w.Context(), image2); err != nil {
				t.Error(err)
			}
			_, err := w.step.Status(w.Context())
			_, _, diffErr := w.step.Diff(w.Context(), image3)
			_, backErr := w.step.Rollback(w.Context(), w.env(), "")
			_, waitErr := w.step.Wait(w.Context(), w.env())
			if err != nil || diffErr != nil || backErr != nil || waitErr != nil {
				t.Error(err, diffErr, backErr, waitErr)
			}
		}},
		{"a one-off task", "{}", ecstest.Story{}, func(w *world) {
			w.step.cfg.Timeout = time.Minute
			if err := w.step.Task(w.Context(), w.env(), "", []string{"java", "work"}); fault.ClassOf(err) != fault.RolloutTimedOut {
				t.Error(err)
			}
		}},
		{"doctor", `{` + balanced + `}`, ecstest.Story{}, func(w *world) {
			if r, err := w.step.Doctor(w.Context()); err != nil || len(r.Notes) > 0 {
				t.Error(r.Notes, err)
			}
		}},
		{"failure with a log", breaker, crash, func(w *world) {
			if _, err := w.run(w.Context(), image2); fault.ClassOf(err) != fault.RolledBack || !strings.Contains(w.said(), "no database") {
				t.Errorf("%v\n%s", err, w.said())
			}
		}},
		{"given up", "{}", ecstest.Story{PullError: notFound}, func(w *world) {
			if r, err := w.run(w.Context(), image2); r.Out.Outcome != string(deploy.RolledBack) {
				t.Error(err)
			}
		}},
		{"what a task needs, and what else starts it", "{}", ecstest.Story{}, func(w *world) {
			w.step.cfg.Schedules = []string{"nightly", "clean"}
			if _, err := w.run(w.Context(), image2); err != nil {
				t.Error(err)
			}
		}},
		{"near names", "{}", ecstest.Story{}, func(w *world) {
			for _, cfg := range []Config{{Service: "webb"}, {Service: "web", Cluster: "defualt"}} {
				if err := New(cfg, w.step.deps).Check(w.Context()); !strings.Contains(fault.HintOf(err), "near names") {
					t.Error(err, fault.HintOf(err))
				}
			}
		}},
	} {
		seed := ecstest.ServiceSeed{Desired: 1, Config: []byte(c.config), TaskDefinition: executed(healthCheck + awslogs + `, "secrets": [{"name": "A", "valueFrom": "plain"}, {"name": "B", "valueFrom": "` + secretARN + `"}]`)}
		virtual(t, ecstest.Script{image2: c.story}, seed, Deps{}, func(w *world) {
			schedules := &schedulestest.Double{Next: w.double}
			schedules.Rule("", "nightly", []byte(strings.Replace(ruleTarget, "DEFINITION", family+"web:1", 1)))
			if err := schedules.Schedule("", "clean", []byte(strings.Replace(scheduleBody, "DEFINITION", family+"web:1", 1))); err != nil {
				t.Fatal(err)
			}
			(&account{next: schedules, deny: guard, all: true}).into(w)
			c.play(w)
		})
	}
	for story, want := range map[*ecstest.Story]deploy.Outcome{{}: deploy.Succeeded, {PullError: notFound}: deploy.RolledBack} {
		d := &codedeploytest.Double{Story: codedeploytest.Story{Shift: time.Minute}}
		byCodeTasks(t, d, *story, func(w *world) {
			(&account{next: d, deny: guard, all: true}).into(w)
			if r, err := w.run(w.Context(), image2); r.Out.Outcome != string(want) {
				t.Error(r.Out, err)
			}
		})
	}
	for action := range denied {
		t.Errorf("%s is called, and not in the policy", action)
	}
	for _, action := range allowed {
		if !used[action] {
			t.Errorf("%s is in the policy, and never called", action)
		}
	}
}
