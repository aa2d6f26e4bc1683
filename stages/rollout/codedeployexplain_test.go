package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/deploy/ecstest/codedeploytest"
	"github.com/fastship/fastship/internal/fault"
)

const targetGroup = `"loadBalancers": [{"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef", "containerName": "app", "containerPort": 8080}]`

// byCodeTasks is byCode with a story for the new tasks.
func byCodeTasks(t *testing.T, d *codedeploytest.Double, story ecstest.Story, f func(w *world)) {
	t.Helper()
	byCodeScript(t, d, ecstest.Script{image2: story}, f)
}

func byCodeScript(t *testing.T, d *codedeploytest.Double, script ecstest.TaskRuntime, f func(w *world)) {
	t.Helper()
	seed := ecstest.ServiceSeed{
		Desired: 2, Config: []byte(`{"deploymentController": {"type": "CODE_DEPLOY"}, ` + targetGroup + `}`), Idle: true,
		TaskDefinition: executed(awslogs),
	}
	byCodeSeed(t, d, script, seed, f)
}

// TestCodeDeployExplains: a deployment of CodeDeploy that fails shows what
// became of its tasks, and one that cannot become well ends early.
func TestCodeDeployExplains(t *testing.T) {
	crash := ecstest.Story{Pull: 5 * time.Second, Ready: time.Minute, Crash: true, After: 3 * time.Second, Code: 1, Prints: []string{"starting", "no database"}}
	missing := ecstest.Story{Pull: 3 * time.Second, PullError: notFound}
	hours := 2 * time.Hour
	for _, c := range []struct {
		name    string
		double  *codedeploytest.Double
		story   ecstest.Story
		policy  deploy.Policy
		refuses bool // a person, asked
		class   fault.Class
		outcome deploy.Outcome
		err     string
		hint    string
		says    []string
		not     []string
		atMost  time.Duration
		stops   int
		runs    string
	}{
		{name: "phases", story: ecstest.Story{Pull: 30 * time.Second, Start: 10 * time.Second, Ready: 10 * time.Second}, outcome: deploy.Succeeded, runs: "web:2",
			says: []string{"tasks: 2 provisioning (2 wanted)", "tasks: 2 pulling (2 wanted)", "tasks: 2 starting (2 wanted)", "tasks: 2 running (2 wanted)"}},
		{name: "crash", story: crash, class: fault.RolledBack, outcome: deploy.RolledBack, runs: "web:1", stops: 1, atMost: 4 * time.Minute,
			err:  "the rollout failed and was rolled back: container app exited with code 1",
			says: []string{"warning: container app exited with code 1", "log: no database", "given up: container app", "going back to web:1 by stopping CodeDeploy's deployment", "CodeDeploy's deployment d-000000001R took the service back"}},
		{name: "crash, left to CodeDeploy", story: crash, policy: deploy.Never, class: fault.RolloutFailed, outcome: deploy.Failed, runs: "web:1", atMost: 4 * time.Minute,
			err: "the rollout failed: container app exited with code 1", says: []string{"log: no database", "CodeDeploy goes on with deployment d-000000001", "left to CodeDeploy (deploy.rollback)"}, not: []string{"given up"}},
		{name: "no such image", story: missing, class: fault.RolledBack, outcome: deploy.RolledBack, runs: "web:1", stops: 1, atMost: time.Minute,
			err: "the rollout failed and was rolled back: the image cannot be pulled: CannotPullContainerError", hint: "image.repository", says: []string{"given up: the image cannot be pulled"}},
		{name: "no such image, a person says no", story: missing, policy: deploy.AskFirst, refuses: true, class: fault.RolloutFailed, outcome: deploy.Failed, runs: "web:1", atMost: time.Minute,
			err: "the rollout failed: the image cannot be pulled", says: []string{"not stopped: nobody said so (deploy.rollback is ask)"}},
		{name: "no such image, a person says yes", story: missing, policy: deploy.AskFirst, class: fault.RolledBack, outcome: deploy.RolledBack, runs: "web:1", stops: 1, atMost: time.Minute,
			err: "the rollout failed and was rolled back: the image cannot be pulled"},
		{name: "no permission to stop", story: missing, double: &codedeploytest.Double{Fault: codeFault("StopDeployment", 1e6, "AccessDeniedException")}, class: fault.RolloutFailed, outcome: deploy.Failed, runs: "web:1", stops: 1, atMost: time.Minute,
			err: "the rollout failed: the image cannot be pulled", says: []string{"not stopped: codedeploy:StopDeployment"}},
		{name: "stopping is throttled, and its answer lost", story: missing, double: &codedeploytest.Double{Fault: func(op string, n int) string {
			if op == "StopDeployment" && n < 3 {
				return []string{"ThrottlingException", "cut"}[n-1]
			}
			return ""
		}}, class: fault.RolledBack, outcome: deploy.RolledBack, runs: "web:1", atMost: 2 * time.Minute, stops: 3,
			err: "the rollout failed and was rolled back: the image cannot be pulled"},
		{name: "wrong platform", story: ecstest.Story{StartError: "CannotStartContainerError: exec /java: exec format error"}, class: fault.RolledBack, outcome: deploy.RolledBack, runs: "web:1", stops: 1, atMost: time.Minute,
			err: "the rollout failed and was rolled back: the image is for another platform", hint: "build the image for"},
		{name: "unhealthy target", story: ecstest.Story{Pull: time.Second, NeverReady: true, Why: "Health checks failed with these codes: [503]"}, class: fault.RolledBack, outcome: deploy.RolledBack, runs: "web:1", stops: 1, atMost: 15 * time.Minute,
			err: "the rollout failed and was rolled back: the task is unhealthy: Task failed ELB health checks", says: []string{"Health checks failed with these codes: [503]"}},
		{name: "a function says no", double: &codedeploytest.Double{AutoRollback: true, Story: codedeploytest.Story{FailAt: "AfterAllowTestTraffic", Why: "the function says no"}}, class: fault.RolledBack, outcome: deploy.RolledBack, runs: "web:1",
			err: "the rollout failed and was rolled back: AfterAllowTestTraffic: the function says no"},
		{name: "no room", story: ecstest.Story{NoRoom: "no container instance met all of its requirements."}, class: fault.RolloutFailed, outcome: deploy.Failed, runs: "web:1", atMost: hours,
			err: "This time out period is 60 minutes.: (service web) was unable to place a task because", says: []string{"was unable to place a task because no container instance"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.double
			if d == nil {
				d = &codedeploytest.Double{}
			}
			byCodeTasks(t, d, c.story, func(w *world) {
				w.step.cfg.Rollback, w.step.cfg.Timeout = c.policy, hours
				w.step.deps.Ask = func(context.Context, string) bool { return !c.refuses }
				start := time.Now()
				r, err := w.run(w.Context(), image2)
				took := time.Since(start)
				text := fmt.Sprint(err)
				if err != nil && (fault.ClassOf(err) != c.class || !strings.Contains(text, c.err) || !strings.Contains(fault.HintOf(err), c.hint)) || (err == nil) != (c.err == "") || r.Out.Outcome != string(c.outcome) {
					t.Errorf("%+v, %v (class %v, hint %q)", r.Out, err, fault.ClassOf(err), fault.HintOf(err))
				}
				said := w.said()
				for _, s := range c.says {
					if !strings.Contains(said, s) {
						t.Errorf("not said: %q", s)
					}
				}
				lines := strings.Split(said, "\n")
				if slices.Sort(lines); len(slices.Compact(lines)) < strings.Count(said, "\n")+1 {
					t.Error("something is said twice")
				}
				if n := strings.Count(said, "warning: "); n > 1 {
					t.Errorf("%d causes are told", n)
				}
				for _, s := range c.not {
					if strings.Contains(said, s) {
						t.Errorf("said: %q", s)
					}
				}
				if c.atMost > 0 && took > c.atMost {
					t.Errorf("it took %s", took)
				}
				if n := d.Counts()["StopDeployment"]; n != c.stops {
					t.Errorf("stopped %d times", n)
				}
				if runs := deploy.ShortName(d.Runs()); runs != c.runs {
					t.Errorf("the service runs %s", runs)
				}
				if t.Failed() || testing.Verbose() {
					t.Logf("after %s, %v and %v:\n%s", took, d.Counts(), w.double.Counts(), said)
				}
			})
		})
	}
}

// codeFault fails the first calls of an operation.
func codeFault(op string, times int, code string) func(string, int) string {
	return func(called string, n int) string {
		if called == op && n <= times {
			return code
		}
		return ""
	}
}

// TestCodeDeployBudget holds what following costs and how soon it knows: at most
// 100 calls in five minutes, of a slow start, of a crash that is left to
// CodeDeploy and of an hour's wait for the old tasks' end; the end within 5 s.
func TestCodeDeployBudget(t *testing.T) {
	for _, c := range []struct {
		name   string
		double codedeploytest.Story
		story  ecstest.Story
		atMost float64
	}{
		{"slow", codedeploytest.Story{}, ecstest.Story{Pull: 170 * time.Second, Start: 10 * time.Second, Ready: 75 * time.Second}, 100},
		{"an unhealthy target", codedeploytest.Story{}, ecstest.Story{Pull: time.Minute, NeverReady: true}, 100},
		{"an hour", codedeploytest.Story{Terminate: time.Hour}, ecstest.Story{}, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &codedeploytest.Double{Story: c.double}
			byCodeTasks(t, d, c.story, func(w *world) {
				w.step.cfg.Timeout = 2 * time.Hour
				start := time.Now()
				if _, err := w.step.Run(w.Context(), w.env(), In{Image: image2}); err != nil && fault.ClassOf(err) != fault.RolledBack {
					t.Error(err)
				}
				took, n := time.Since(start), float64(calls(w.double)-w.double.Counts()["GetLogEvents"]) // which come after the end
				for _, x := range d.Counts() {
					n += float64(x)
				}
				t.Logf("%.0f calls in %s: %v %v", n, took, d.Counts(), w.double.Counts())
				if n *= min(1, 300/took.Seconds()); n > c.atMost || took < 4*time.Minute {
					t.Errorf("%.0f calls in five minutes", n)
				}
				if late := time.Since(d.Ended()); late > 5*time.Second && !c.story.NeverReady {
					t.Errorf("its end is known %s late", late)
				}
			})
		})
	}
}

// TestCodeDeployStumbles: one task that shows a cause that seldom heals, and
// then does, ends nothing and costs no more than the budget; what was seen is
// told beside the reason of an end that has another.
func TestCodeDeployStumbles(t *testing.T) {
	missing := ecstest.Story{PullError: notFound}
	crash := ecstest.Story{Crash: true, After: 20 * time.Second, Code: 139}
	for _, c := range []struct {
		name    string
		stories []ecstest.Story // of one task after the other, the last for all further
		double  codedeploytest.Story
		stop    time.Duration
		policy  deploy.Policy
		outcome deploy.Outcome
		err     string
		stops   int
	}{
		{name: "heals", stories: []ecstest.Story{missing, {Pull: 4 * time.Minute}}, outcome: deploy.Succeeded},
		{name: "stopped by somebody", stories: []ecstest.Story{missing, {Pull: 4 * time.Minute}}, stop: time.Minute, outcome: deploy.Stopped,
			err: "the rollout was stopped: somebody stopped CodeDeploy's deployment d-000000001; before, the image cannot be pulled"},
		{name: "the deadline", stories: []ecstest.Story{missing, {Pull: 4 * time.Hour}}, outcome: deploy.TimedOut,
			err: "the rollout timed out: the image cannot be pulled"},
		{name: "a crash under traffic", stories: []ecstest.Story{crash}, double: codedeploytest.Story{Terminate: time.Hour}, stops: 1, outcome: deploy.RolledBack,
			err: "the rollout failed and was rolled back: container app exited with code 139: segmentation fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			born := 0
			script := ecstest.ScriptFunc(func(ecstest.TaskSpec) ecstest.Story {
				born++
				return c.stories[min(born, len(c.stories))-1]
			})
			d := &codedeploytest.Double{}
			d.Story = c.double
			byCodeScript(t, d, script, func(w *world) {
				w.step.cfg.Timeout = 20 * time.Minute
				if c.stop > 0 {
					time.AfterFunc(c.stop, d.Stop)
				}
				start := time.Now()
				r, err := w.step.Run(w.Context(), w.env(), In{Image: image2})
				if r.Out.Outcome != string(c.outcome) || (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
					t.Errorf("%+v, %v", r.Out, err)
				}
				if n := d.Counts()["StopDeployment"]; n != c.stops {
					t.Errorf("stopped %d times", n)
				}
				n := float64(calls(w.double) - w.double.Counts()["GetLogEvents"])
				for _, x := range d.Counts() {
					n += float64(x)
				}
				if n *= min(1, 300/time.Since(start).Seconds()); n > 100 {
					t.Errorf("%.0f calls in five minutes: %v %v", n, d.Counts(), w.double.Counts())
				}
				if t.Failed() {
					t.Log(w.said())
				}
			})
		})
	}
}
