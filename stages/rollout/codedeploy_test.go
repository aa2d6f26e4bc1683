package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/deploy/ecstest/codedeploytest"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// lastSpec is the AppSpec of the deployment before, with hooks and a key that
// nobody knows.
const lastSpec = `version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "` + family + `web:1"
        LoadBalancerInfo: {ContainerName: app, ContainerPort: 8080}
        PlatformVersion: "1.4.0"
        Invented: [1]
Hooks:
  - BeforeAllowTraffic: arn:aws:lambda:us-east-1:123456789012:function:check
`

// byCode runs f with service web deployed by CodeDeploy.
func byCode(t *testing.T, d *codedeploytest.Double, f func(w *world)) {
	t.Helper()
	seed := ecstest.ServiceSeed{Desired: 2, Config: []byte(`{"deploymentController": {"type": "CODE_DEPLOY"}}`), Idle: true}
	byCodeSeed(t, d, ecstest.Script{}, seed, f)
}

// byCodeSeed is byCode with a script and a service of the caller's.
func byCodeSeed(t *testing.T, d *codedeploytest.Double, script ecstest.TaskRuntime, seed ecstest.ServiceSeed, f func(w *world)) {
	t.Helper()
	virtual(t, script, seed, Deps{}, func(w *world) {
		d.Next, d.Cluster, d.Service = w.double, "default", "web"
		if d.Application == "" {
			d.Application, d.Group = "shop", "web"
		}
		d.Seed(lastSpec, family+"web:1")
		deps := w.step.deps
		deps.Connect = func(context.Context, string) (deploy.API, error) {
			cfg := awsconf.Local("http://aws.test", "us-east-1")
			cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(d)}
			return ecs.New(cfg), nil
		}
		w.step = New(w.step.cfg, deps)
		f(w)
	})
}

// TestCodeDeploy: each end of a deployment is told for what it is, by one
// CreateDeployment.
func TestCodeDeploy(t *testing.T) {
	for _, c := range []struct {
		name     string
		double   *codedeploytest.Double
		until    deploy.Until
		timeout  time.Duration
		stop     time.Duration
		alarm    time.Duration
		class    fault.Class
		outcome  deploy.Outcome
		err      string
		says     []string
		runs     string
		atLeast  time.Duration
		atMost   time.Duration
		creates  int
		existing string // a deployment of somebody else
	}{
		{name: "succeeded", outcome: deploy.Succeeded, runs: "web:2", creates: 1,
			says: []string{"registered web:2", "deployment in progress", "stage install", "traffic to the new revision: 100 %", "deployment succeeded"}},
		{name: "until the old tasks are gone", double: &codedeploytest.Double{Story: codedeploytest.Story{Terminate: time.Hour, Shift: 5 * time.Minute}}, outcome: deploy.Succeeded, runs: "web:2", creates: 1, atLeast: time.Hour},
		{name: "until all traffic is theirs", until: deploy.Healthy, double: &codedeploytest.Double{Story: codedeploytest.Story{Terminate: time.Hour}}, outcome: deploy.Succeeded, runs: "web:2", creates: 1, atMost: 2 * time.Minute,
			says: []string{"CodeDeploy goes on with deployment d-000000001"}},
		{name: "until they have started", until: deploy.Deployed, double: &codedeploytest.Double{Story: codedeploytest.Story{Shift: time.Hour}}, outcome: deploy.Succeeded, runs: "web:1", creates: 1, atMost: time.Minute},
		{name: "failed", double: &codedeploytest.Double{Story: codedeploytest.Story{FailAt: "AfterAllowTestTraffic", Why: "the function says no"}}, class: fault.RolloutFailed, outcome: deploy.Failed,
			err: "the rollout failed: AfterAllowTestTraffic: the function says no", runs: "web:1", creates: 1},
		{name: "failed and rolled back", double: &codedeploytest.Double{AutoRollback: true, Story: codedeploytest.Story{FailAt: "AfterAllowTraffic", Why: "the function says no"}}, class: fault.RolledBack, outcome: deploy.RolledBack,
			err: "the rollout failed and was rolled back: AfterAllowTraffic: the function says no", runs: "web:1", creates: 1, says: []string{"CodeDeploy's deployment d-000000001R took the service back"}},
		{name: "stopped by somebody", stop: 20 * time.Second, class: fault.RolloutFailed, outcome: deploy.Stopped, err: "the rollout was stopped: somebody stopped CodeDeploy's deployment d-000000001", runs: "web:1", creates: 1},
		{name: "stopped by somebody and rolled back", double: &codedeploytest.Double{AutoRollback: true}, stop: 20 * time.Second, class: fault.RolledBack, outcome: deploy.RolledBack, err: "the rollout failed and was rolled back: somebody stopped it", runs: "web:1", creates: 1},
		{name: "stopped by an alarm", alarm: 20 * time.Second, class: fault.RolloutFailed, outcome: deploy.Failed, err: "the rollout failed: One or more alarms have been activated", runs: "web:1", creates: 1},
		{name: "stopped by an alarm and rolled back", double: &codedeploytest.Double{AutoRollback: true}, alarm: 20 * time.Second, class: fault.RolledBack, outcome: deploy.RolledBack, err: "the rollout failed and was rolled back: One or more alarms have been activated", runs: "web:1", creates: 1},
		{name: "nobody shifts the traffic", double: &codedeploytest.Double{Story: codedeploytest.Story{Ready: 10 * time.Hour}}, timeout: 10 * time.Minute, class: fault.RolloutTimedOut, outcome: deploy.TimedOut,
			err: `the rollout timed out: after 10m0s CodeDeploy's deployment d-000000001 is at "before allow traffic" with 0 % of the traffic`, runs: "web:1", creates: 1,
			says: []string{"aws deploy continue-deployment --deployment-id d-000000001 --deployment-wait-type READY_WAIT", "CodeDeploy goes on: nothing was stopped"}},
		{name: "the answer is lost", double: &codedeploytest.Double{Fault: func(op string, n int) string {
			if op == "CreateDeployment" && n == 1 {
				return "cut"
			}
			return ""
		}}, outcome: deploy.Succeeded, runs: "web:2", creates: 1},
		{name: "throttled", double: &codedeploytest.Double{Fault: func(op string, n int) string {
			if op == "CreateDeployment" && n == 1 || op == "GetDeployment" && n%3 == 0 {
				return "ThrottlingException"
			}
			return ""
		}}, outcome: deploy.Succeeded, runs: "web:2", creates: 2},
		{name: "another goes on", existing: family + "web:1", class: fault.RolloutFailed, outcome: deploy.Failed, err: "CodeDeploy's deployment d-000000001 of web:1 goes on in group web", runs: "web:1"},
		{name: "the console's names", double: &codedeploytest.Double{Application: "AppECS-default-web", Group: "DgpECS-default-web"}, outcome: deploy.Succeeded, runs: "web:2", creates: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.double
			if d == nil {
				d = &codedeploytest.Double{}
			}
			byCode(t, d, func(w *world) {
				w.step.cfg.WaitFor, w.step.cfg.Timeout = c.until, c.timeout
				if c.existing != "" {
					d.Begin(c.existing)
				}
				if c.stop > 0 {
					time.AfterFunc(c.stop, d.Stop)
				}
				if c.alarm > 0 {
					time.AfterFunc(c.alarm, d.Alarm)
				}
				start := time.Now()
				r, err := w.run(w.Context(), image2)
				took := time.Since(start)
				if fault.ClassOf(err) != c.class && err != nil || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || r.Out.Outcome != string(c.outcome) {
					t.Errorf("%+v, %v (class %v)", r.Out, err, fault.ClassOf(err))
				}
				if took < c.atLeast || c.atMost > 0 && took > c.atMost {
					t.Errorf("it took %s", took)
				}
				said := w.said()
				for _, s := range c.says {
					if !strings.Contains(said, s) {
						t.Errorf("not said: %q", s)
					}
				}
				if n := d.Counts()["CreateDeployment"]; n != c.creates || w.double.Counts()["UpdateService"] != 0 {
					t.Errorf("%d deployments were created", n)
				}
				if runs := deploy.ShortName(d.Runs()); runs != c.runs {
					t.Errorf("the service runs %s", runs)
				}
				if t.Failed() {
					t.Logf("after %s:\n%s", took, said)
				}
			})
		})
	}
}

// TestCodeDeployKeeps: the AppSpec of the last deployment comes back with
// another task definition and nothing else changed; what runs already is not
// deployed again; a second run follows what the first one began.
func TestCodeDeployKeeps(t *testing.T) {
	d := &codedeploytest.Double{}
	byCode(t, d, func(w *world) {
		ctx, cancel := context.WithCancelCause(w.Context())
		time.AfterFunc(10*time.Second, func() { cancel(fmt.Errorf("killed")) })
		if _, err := w.step.Run(ctx, w.env(), In{Image: image2}); err == nil || err.Error() != "killed" {
			t.Errorf("%v", err)
		}
		if r, err := w.run(w.Context(), image2); err != nil || r.Out.TaskDefinition != family+"web:2" || d.Counts()["CreateDeployment"] != 1 {
			t.Errorf("%+v, %v, %v", r.Out, err, d.Counts())
		}
		specs := d.Specs()
		var got any
		if err := json.Unmarshal([]byte(specs[len(specs)-1]), &got); err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(got)
		want := `{"Hooks":[{"BeforeAllowTraffic":"arn:aws:lambda:us-east-1:123456789012:function:check"}],"Resources":[{"TargetService":{"Properties":{"Invented":[1],"LoadBalancerInfo":{"ContainerName":"app","ContainerPort":8080},"PlatformVersion":"1.4.0","TaskDefinition":"` + family + `web:2"},"Type":"AWS::ECS::Service"}}],"version":0}`
		if string(text) != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
		if r, err := w.run(w.Context(), image2); err != nil || r.Status != runner.Cached {
			t.Errorf("again: %+v, %v", r, err)
		}
		if _, err := w.step.Rollback(w.Context(), w.env(), ""); fault.ClassOf(err) != fault.BadInput || !strings.Contains(fault.HintOf(err), "fastship deploy run --image") {
			t.Errorf("back: %v", err)
		}
	})
}

// TestCodeDeployRefusals: a group that is not there, or not this service's, is
// found before anything is built.
func TestCodeDeployRefusals(t *testing.T) {
	for _, c := range []struct{ configured, want string }{
		{"shop/other", "find CodeDeploy's deployment group other of application shop for service web: there is none"},
		{"other/web", "find CodeDeploy's deployment group web of application other for service web: there is none"},
	} {
		byCode(t, &codedeploytest.Double{}, func(w *world) {
			w.step.cfg.CodeDeploy = c.configured
			if err := w.step.Check(w.Context()); fault.ClassOf(err) != fault.Missing || err.Error() != c.want {
				t.Errorf("%v", err)
			}
		})
	}
}
