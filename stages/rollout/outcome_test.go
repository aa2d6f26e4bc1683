package rollout

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// someone is another user of the same service: the plain SDK.
func (w *world) someone() *sdk.Client {
	cfg := awsconf.Local("http://ecs.test", "us-east-1")
	cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(w.double)}
	return sdk.NewFromConfig(cfg)
}

// later does something to the service while the rollout is followed.
func (w *world) later(d time.Duration, do func(ctx context.Context, c *sdk.Client) error) {
	go func() {
		time.Sleep(d)
		if err := do(w.Context(), w.someone()); err != nil {
			w.Error(err)
		}
	}()
}

const notFound = "CannotPullContainerError: pull image manifest has been retried 7 time(s): failed to resolve ref registry.test/web: not found"

// TestOutcomes runs whole rollouts on the double and compares what the stage
// says with the double's truth.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name    string
		story   ecstest.Story
		seed    ecstest.ServiceSeed
		config  string
		extra   string // of the container definition
		timeout time.Duration
		do      func(w *world)
		want    deploy.Outcome
		class   fault.Class
		truth   ecstest.Verdict
		cause   string
		said    string
	}{
		{name: "success", story: ecstest.Story{Pull: 20 * time.Second, Ready: 12 * time.Second}, config: breaker, extra: healthCheck,
			want: deploy.Succeeded, truth: ecstest.Succeeded, said: "tasks: 2 pulling (2 wanted)"},
		{name: "crash at start, breaker rolls back", story: ecstest.Story{Crash: true, After: 2 * time.Second, Code: 1}, config: breaker, extra: healthCheck,
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, cause: "container app exited with code 1 (task ", said: "deployment rollback in progress"},
		{name: "crash at start, breaker without rollback", story: ecstest.Story{Crash: true, Code: 137, Reason: "OutOfMemoryError: Container killed due to memory usage"}, config: breakerOnly, extra: healthCheck,
			want: deploy.Failed, class: fault.RolloutFailed, truth: ecstest.Failed, cause: "container app ran out of memory", said: "tasks of web:1 still there"},
		{name: "crash loop without breaker", story: ecstest.Story{Crash: true, After: 5 * time.Second, Code: 139}, config: "{}",
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, cause: "139: segmentation fault", said: "the service runs 2 of 2 tasks of web:1"},
		{name: "image not found, no breaker", story: ecstest.Story{Pull: 5 * time.Second, PullError: notFound}, config: "{}",
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, cause: "the image cannot be pulled: " + notFound},
		{name: "image not found, breaker", story: ecstest.Story{Pull: 5 * time.Second, PullError: notFound}, config: breaker,
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, cause: "the image cannot be pulled"},
		{name: "cannot start", story: ecstest.Story{StartError: "CannotStartContainerError: exec /app/run: exec format error"}, config: breaker,
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, cause: "the image is for another platform"},
		{name: "never healthy", story: ecstest.Story{NeverReady: true}, config: breaker, extra: healthCheck,
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, cause: "health check"},
		{name: "too slow for the deadline", story: ecstest.Story{Pull: time.Hour}, config: breaker, timeout: 3 * time.Minute,
			want: deploy.TimedOut, class: fault.RolloutTimedOut, truth: ecstest.Ongoing, cause: "after 3m0s 0 of 2 tasks run", said: "ECS goes on with the rollout"},
		{name: "superseded", story: ecstest.Story{Pull: time.Minute}, config: breaker,
			do: func(w *world) {
				w.later(30*time.Second, func(ctx context.Context, c *sdk.Client) error {
					_, err := c.UpdateService(ctx, &sdk.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: aws.String("web:1")})
					return err
				})
			},
			want: deploy.Superseded, class: fault.Superseded, truth: ecstest.Ongoing, cause: "of web:1 took over"},
		{name: "rolled back by hand", story: ecstest.Story{Pull: time.Hour}, config: "{}",
			do: func(w *world) {
				w.later(30*time.Second, func(ctx context.Context, c *sdk.Client) error {
					all, err := c.ListServiceDeployments(ctx, &sdk.ListServiceDeploymentsInput{Service: aws.String("web")})
					if err != nil {
						return err
					}
					_, err = c.StopServiceDeployment(ctx, &sdk.StopServiceDeploymentInput{ServiceDeploymentArn: all.ServiceDeployments[0].ServiceDeploymentArn})
					return err
				})
			},
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack},
		{name: "the first deployment has nothing to go back to", story: ecstest.Story{Crash: true, Code: 1}, config: breaker, seed: ecstest.ServiceSeed{Idle: true}, extra: healthCheck,
			want: deploy.RollbackFailed, class: fault.RolloutFailed, truth: ecstest.RollbackFailed, cause: "exited with code 1"},
		{name: "desired count 0", seed: ecstest.ServiceSeed{Desired: -1}, config: breaker,
			want: deploy.Succeeded, truth: ecstest.Succeeded, said: "nothing was verified"},
		{name: "the service is deleted", story: ecstest.Story{Pull: time.Hour}, config: "{}",
			do: func(w *world) {
				w.later(30*time.Second, func(ctx context.Context, c *sdk.Client) error {
					_, err := c.DeleteService(ctx, &sdk.DeleteServiceInput{Service: aws.String("web"), Force: aws.Bool(true)})
					return err
				})
			},
			want: deploy.Failed, class: fault.RolloutFailed, truth: ecstest.Failed, cause: "service web was deleted"},
		{name: "no permission for service deployments, success", story: ecstest.Story{Pull: 20 * time.Second}, config: breaker, do: deny("ServiceDeployments"),
			want: deploy.Succeeded, truth: ecstest.Succeeded, said: "rollout state is followed instead"},
		{name: "no permission for service deployments, rolled back", story: ecstest.Story{Crash: true, Code: 1}, config: breaker, extra: healthCheck, do: deny("ServiceDeployments"),
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, cause: "exited with code 1"},
		{name: "no permission for revisions", story: ecstest.Story{Crash: true, Code: 1}, config: breaker, extra: healthCheck, do: deny("ServiceRevisions"),
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, cause: "exited with code 1"},
		{name: "no permission for tasks", story: ecstest.Story{Crash: true, Code: 1}, config: breaker, extra: healthCheck, do: deny("Tasks"),
			want: deploy.RolledBack, class: fault.RolledBack, truth: ecstest.RolledBack, cause: "unable to consistently start tasks", said: "log instead of its tasks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := c.seed
			seed.Config, seed.TaskDefinition = []byte(c.config), definition(c.extra)
			switch seed.Desired {
			case 0:
				seed.Desired = 2
			case -1:
				seed.Desired = 0
			}
			virtual(t, ecstest.Script{image2: c.story}, seed, Deps{}, func(w *world) {
				if c.timeout > 0 {
					w.step.cfg.Timeout = c.timeout
				}
				if c.do != nil {
					c.do(w)
				}
				r, err := w.run(w.Context(), image2)
				if r.Out.Outcome != string(c.want) || fault.ClassOf(err) != c.class || (err == nil) != (c.class == 0) {
					t.Errorf("outcome %q, error %v (class %d); want %s, class %d", r.Out.Outcome, err, fault.ClassOf(err), c.want, c.class)
				}
				if truth := w.last(); truth.Verdict != c.truth {
					t.Errorf("the double says %s: %s", truth.Verdict, truth.Status)
				}
				if !strings.Contains(r.Out.Cause, c.cause) || err != nil && !strings.Contains(err.Error(), r.Out.Cause) || strings.Contains(fmt.Sprint(err), "\n") {
					t.Errorf("cause %q, error %q; want %q in both, in one line", r.Out.Cause, err, c.cause)
				}
				if !strings.Contains(w.said(), c.said) {
					t.Errorf("said, without %q:\n%s", c.said, w.said())
				}
				if n := w.double.Counts(); n["UpdateService"]-map[bool]int{true: 1}[c.class == fault.Superseded] != 1 || n["RegisterTaskDefinition"] != 1 {
					t.Errorf("writes: %v", n)
				}
				if r.Out.Previous == r.Out.TaskDefinition || !strings.HasSuffix(r.Out.TaskDefinition, "web:2") || !strings.HasSuffix(r.Out.Previous, "web:1") || r.Out.Deployment == "" {
					t.Errorf("out %+v", r.Out)
				}
			})
		})
	}
}

// deny refuses the calls whose name ends so.
func deny(what string) func(*world) {
	return func(w *world) {
		w.double.Fault(func(op string, _ int) ecstest.Fault {
			if strings.HasSuffix(op, what) {
				return ecstest.Deny(op)
			}
			return ecstest.Fault{}
		})
	}
}

// TestFaults: whatever happens to the calls, the rollout succeeds with one
// accepted deployment.
func TestFaults(t *testing.T) {
	only := func(wanted string, first, last int, f ecstest.Fault) func(string, int) ecstest.Fault {
		return func(op string, n int) ecstest.Fault {
			if op == wanted && n >= first && n <= last {
				return f
			}
			return ecstest.Fault{}
		}
	}
	lag := func(also func(string, int) ecstest.Fault, lag time.Duration) func(string, int) ecstest.Fault {
		return func(op string, n int) ecstest.Fault {
			f := also(op, n)
			if strings.HasPrefix(op, "Describe") || strings.HasPrefix(op, "List") {
				f.Lag = lag
			}
			return f
		}
	}
	cutAfter, cutBefore := ecstest.Fault{Cut: ecstest.CutAfter}, ecstest.Fault{Cut: ecstest.CutBefore}
	for _, c := range []struct {
		name    string
		fault   func(op string, n int) ecstest.Fault
		updates int // calls
	}{
		{"update throttled", only("UpdateService", 1, 3, ecstest.Throttle()), 4},
		{"update 500, not carried out", only("UpdateService", 1, 1, ecstest.ServerError(500)), 2},
		{"update cut before", only("UpdateService", 1, 2, cutBefore), 3},
		{"update cut after: the answer is lost", only("UpdateService", 1, 1, cutAfter), 1},
		{"answer lost, reads lag 3 s", lag(only("UpdateService", 1, 1, cutAfter), 3*time.Second), 1},
		{"answer lost, reads lag 20 s", lag(only("UpdateService", 1, 1, cutAfter), 20*time.Second), 2},
		{"register throttled", only("RegisterTaskDefinition", 1, 3, ecstest.Throttle()), 1},
		{"register cut before", only("RegisterTaskDefinition", 1, 1, cutBefore), 1},
		{"register cut after: the answer is lost", only("RegisterTaskDefinition", 1, 1, cutAfter), 1},
		{"too many revisions at once", only("RegisterTaskDefinition", 1, 2, ecstest.Fault{
			Status: 400, Type: "ClientException", Text: "Too many concurrent attempts to create a new revision of the specified family."}), 1},
		{"services unreadable for two minutes", only("DescribeServices", 5, 60, ecstest.ServerError(503)), 1},
		{"services throttled", func(op string, n int) ecstest.Fault {
			if op == "DescribeServices" && n > 3 && n%3 != 0 {
				return ecstest.Throttle()
			}
			return ecstest.Fault{}
		}, 1},
		{"service deployments always 500", only("ListServiceDeployments", 1, 1e6, ecstest.ServerError(500)), 1},
		{"all reads lag 5 s", lag(only("", 0, 0, ecstest.Fault{}), 5*time.Second), 1},
		{"answers that never come", only("DescribeServices", 4, 6, ecstest.Fault{Delay: time.Hour}), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, ecstest.Script{image2: {Pull: 20 * time.Second}}, ecstest.ServiceSeed{Desired: 2, Config: []byte(breaker)}, Deps{}, func(w *world) {
				time.Sleep(time.Minute) // for reads that lag: the service was there a while
				w.double.Fault(c.fault)
				r, err := w.run(w.Context(), image2)
				if err != nil || r.Out.Outcome != string(deploy.Succeeded) {
					t.Fatalf("outcome %q, %v\n%s", r.Out.Outcome, err, w.said())
				}
				if all := w.double.Outcome("default", "web"); len(all) != 2 || all[1].Verdict != ecstest.Succeeded {
					t.Errorf("accepted deployments, the first one included: %+v", all)
				}
				if n := w.double.Counts()["UpdateService"]; n != c.updates {
					t.Errorf("%d UpdateService calls, want %d", n, c.updates)
				}
				if !strings.HasSuffix(r.Out.TaskDefinition, "web:2") {
					t.Errorf("runs %s", r.Out.TaskDefinition)
				}
			})
		})
	}
}

// TestWriteRefused: a final refusal of a write ends the run at once.
func TestWriteRefused(t *testing.T) {
	for _, op := range []string{"RegisterTaskDefinition", "UpdateService"} {
		virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1}, Deps{}, func(w *world) {
			deny(op)(w)
			r, err := w.run(w.Context(), image2)
			if fault.ClassOf(err) != fault.RolloutFailed || !strings.Contains(err.Error(), "not authorized") || !strings.Contains(fault.HintOf(err), "ecs:"+op) {
				t.Errorf("%s: error %v (class %d), hint %q", op, err, fault.ClassOf(err), fault.HintOf(err))
			}
			if r.Out.Outcome != string(deploy.Failed) || r.Out.Cause == "" {
				t.Errorf("%s: out %+v", op, r.Out)
			}
			if n := w.double.Counts()[op]; n != 1 {
				t.Errorf("%s: %d calls", op, n)
			}
		})
	}
}

// TestWriteNeverAccepted: throttled for ever, the deadline ends it.
func TestWriteNeverAccepted(t *testing.T) {
	virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1}, Deps{}, func(w *world) {
		w.double.Fault(func(op string, _ int) ecstest.Fault {
			if op == "UpdateService" {
				return ecstest.Throttle()
			}
			return ecstest.Fault{}
		})
		start := time.Now()
		_, err := w.run(w.Context(), image2)
		if fault.ClassOf(err) != fault.RolloutTimedOut || time.Since(start).Round(time.Minute) != 15*time.Minute {
			t.Errorf("error %v (class %d) after %s", err, fault.ClassOf(err), time.Since(start))
		}
	})
}

// TestNothingTwice: the same image again costs reads only, and a revision
// that a failed rollout registered is used again.
func TestNothingTwice(t *testing.T) {
	broken := true
	script := ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
		return ecstest.Story{Crash: broken && spec.Containers[0].Image == image2, Code: 1}
	})
	virtual(t, script, ecstest.ServiceSeed{Desired: 2, Config: []byte(breaker), TaskDefinition: definition(healthCheck)}, Deps{}, func(w *world) {
		if _, err := w.run(w.Context(), image2); fault.ClassOf(err) != fault.RolledBack {
			t.Fatal(err)
		}
		broken = false
		r, err := w.run(w.Context(), image2)
		if err != nil || !strings.HasSuffix(r.Out.TaskDefinition, "web:2") {
			t.Errorf("second run: %+v, %v", r.Out, err)
		}
		before := w.double.Counts()
		r, err = w.run(w.Context(), image2)
		if err != nil || r.Status != runner.Cached || r.Reason != "already running" || r.Out.Outcome != "succeeded" {
			t.Errorf("third run: %+v, %v", r, err)
		}
		after := w.double.Counts()
		if after["UpdateService"] != 2 || after["RegisterTaskDefinition"] != 1 || after["UpdateService"] != before["UpdateService"] {
			t.Errorf("writes: %v", after)
		}
		r, err = w.run(w.Context(), image3)
		if err != nil || !strings.HasSuffix(r.Out.TaskDefinition, "web:3") {
			t.Errorf("another image: %+v, %v", r.Out, err)
		}
	})
}

// TestFoundGoingOn: a second run with the same image follows the rollout
// that an interrupted one began.
func TestFoundGoingOn(t *testing.T) {
	virtual(t, ecstest.Script{image2: {Pull: time.Minute}}, ecstest.ServiceSeed{Desired: 2}, Deps{}, func(w *world) {
		ctx, cancel := context.WithCancelCause(w.Context())
		interrupted := errors.New("interrupted")
		time.AfterFunc(30*time.Second, func() { cancel(interrupted) })
		_, err := w.run(ctx, image2)
		if !errors.Is(err, interrupted) || !strings.Contains(w.said(), "the rollout of web:2 goes on in ECS without fastship") {
			t.Errorf("error %v; said:\n%s", err, w.said())
		}
		r, err := w.run(w.Context(), image2)
		if err != nil || r.Out.Outcome != "succeeded" || !strings.Contains(w.said(), "is going on already") {
			t.Errorf("%+v, %v; said:\n%s", r.Out, err, w.said())
		}
		if n := w.double.Counts()["UpdateService"]; n != 1 {
			t.Errorf("%d UpdateService", n)
		}
	})
}

// TestFailedForGood: what ECS gave up is started again by force.
func TestFailedForGood(t *testing.T) {
	broken := true
	script := ecstest.ScriptFunc(func(ecstest.TaskSpec) ecstest.Story { return ecstest.Story{Crash: broken, Code: 1} })
	virtual(t, ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
		if spec.Containers[0].Image == image1 {
			return ecstest.Story{}
		}
		return script(spec)
	}), ecstest.ServiceSeed{Desired: 1, Config: []byte(breakerOnly), TaskDefinition: definition(healthCheck)}, Deps{}, func(w *world) {
		if _, err := w.run(w.Context(), image2); fault.ClassOf(err) != fault.RolloutFailed {
			t.Fatal(err)
		}
		broken = false
		if r, err := w.run(w.Context(), image2); err != nil || r.Out.Outcome != "succeeded" {
			t.Errorf("%+v, %v", r.Out, err)
		}
		if n := w.double.Counts(); n["UpdateService"] != 2 || n["RegisterTaskDefinition"] != 1 {
			t.Errorf("writes: %v", n)
		}
	})
}

// TestLastWords: the dead container's lines come before the error, and the
// remedy is made of them.
func TestLastWords(t *testing.T) {
	asked := ""
	deps := Deps{Logs: func(task, container string) []string {
		asked = container + " of a task with an id of " + fmt.Sprint(len(task))
		return []string{"Exception in thread \"main\" java.lang.NoClassDefFoundError: javax/sql/rowset/RowSetProvider", "\tat App.main(App.java:3)"}
	}}
	virtual(t, ecstest.Script{image2: {Crash: true, Code: 1}}, ecstest.ServiceSeed{Desired: 1}, deps, func(w *world) {
		_, err := w.run(w.Context(), image2)
		if want := "add java.sql.rowset to image.modules: javax.sql.rowset.RowSetProvider is in it"; fault.HintOf(err) != want {
			t.Errorf("hint %q", fault.HintOf(err))
		}
		if asked != "app of a task with an id of 32" {
			t.Errorf("asked for the log of %s", asked)
		}
		if !strings.Contains(w.said(), "log: \tat App.main(App.java:3)") {
			t.Errorf("said:\n%s", w.said())
		}
	})
}

// TestCheck: what would make the run fail is found before anything is built,
// by reading only.
func TestCheck(t *testing.T) {
	sidecars := []byte(`{"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512", "containerDefinitions": [
		{"name": "app", "image": "elsewhere/app:1"}, {"name": "proxy", "image": "elsewhere/proxy:1"}]}`)
	for _, c := range []struct {
		name   string
		cfg    Config
		seed   ecstest.ServiceSeed
		fault  func(op string, n int) ecstest.Fault
		class  fault.Class
		err    string
		hint   string
		passes bool
	}{
		{name: "good", cfg: Config{Service: "web"}, passes: true},
		{name: "by ARN", cfg: Config{Service: "arn:aws:ecs:us-east-1:123456789012:service/default/web"}, passes: true},
		{name: "no service named", class: fault.BadInput, err: "deploy.service is empty", hint: "deploy.service"},
		{name: "no such service", cfg: Config{Service: "webb"}, class: fault.Missing, err: "find service webb in cluster default", hint: "near names: web"},
		{name: "no such cluster", cfg: Config{Service: "web", Cluster: "defualt"}, class: fault.Missing, err: "find cluster defualt", hint: "near names: default"},
		{name: "no such container", cfg: Config{Service: "web", Container: "ap"}, class: fault.BadInput, err: "app (" + image1 + ")", hint: "deploy.container"},
		{name: "ambiguous container", cfg: Config{Service: "web"}, seed: ecstest.ServiceSeed{TaskDefinition: sidecars}, class: fault.BadInput,
			err: "app (elsewhere/app:1), proxy (elsewhere/proxy:1)", hint: "deploy.container"},
		{name: "sidecar, container named", cfg: Config{Service: "web", Container: "proxy"}, seed: ecstest.ServiceSeed{TaskDefinition: sidecars}, passes: true},
		{name: "sidecar, repository known", cfg: Config{Service: "web", Repository: "elsewhere/app"}, seed: ecstest.ServiceSeed{TaskDefinition: sidecars}, passes: true},
		{name: "a shell health check on an image without a shell", cfg: Config{Service: "web", Image: deploy.ImageFacts{Bare: true}},
			seed:  ecstest.ServiceSeed{TaskDefinition: definition(`, "healthCheck": {"command": ["CMD-SHELL", "curl -f localhost"]}`)},
			class: fault.BadInput, err: "needs a shell, which the image does not have", hint: "image.base"},
		{name: "another platform", cfg: Config{Service: "web", Image: deploy.ImageFacts{Platform: "linux/arm64"}}, class: fault.BadInput, err: "web:1 runs on linux/amd64, the image is for linux/arm64"},
		{name: "Elastic Beanstalk", cfg: Config{Service: "web", Cluster: "awseb-shop-env-x7"}, class: fault.BadInput, err: "cluster awseb-shop-env-x7 belongs to an environment of Elastic Beanstalk", hint: "eb deploy"},
		{name: "external", cfg: Config{Service: "web"}, seed: ecstest.ServiceSeed{Config: []byte(`{"deploymentController": {"type": "EXTERNAL"}}`), Idle: true},
			class: fault.BadInput, err: "EXTERNAL"},
		{name: "denied", cfg: Config{Service: "web"}, fault: func(op string, _ int) ecstest.Fault { return ecstest.Deny(op) },
			class: fault.Missing, err: "not authorized", hint: "allow ecs:DescribeServices"},
		{name: "expired", cfg: Config{Service: "web"}, fault: func(string, int) ecstest.Fault {
			return ecstest.Fault{Status: 400, Type: "ExpiredTokenException", Text: "The security token included in the request is expired"}
		}, class: fault.Missing, err: "the AWS credentials of profile default have expired", hint: "--profile default"},
		{name: "unreachable", cfg: Config{Service: "web"}, fault: func(string, int) ecstest.Fault { return ecstest.Fault{Cut: ecstest.CutBefore} },
			class: fault.Missing, err: "read service web from ECS", hint: "network"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := c.seed
			if seed.Desired = 1; seed.Idle {
				seed.Desired = 0
			}
			virtual(t, ecstest.Script{}, seed, Deps{}, func(w *world) {
				w.double.Fault(c.fault)
				step := New(c.cfg, w.step.deps)
				err := step.Check(w.Context())
				if c.passes {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if fault.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.err) || !strings.Contains(fault.HintOf(err), c.hint) {
					t.Errorf("error %v (class %d), hint %q; want %q, class %d, %q", err, fault.ClassOf(err), fault.HintOf(err), c.err, c.class, c.hint)
				}
				for op := range w.double.Counts() {
					if !strings.HasPrefix(op, "Describe") && !strings.HasPrefix(op, "List") {
						t.Errorf("a check called %s", op)
					}
				}
			})
		})
	}
}

func TestPlan(t *testing.T) {
	virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 2}, Deps{}, func(w *world) {
		for _, c := range []struct {
			image string
			want  []string
		}{
			{"", []string{"register a revision of web:1 with the new image in container app (now " + image1 + ")", "update service web from web:1 to it, and follow the rollout of 2 tasks"}},
			{image2, []string{"register a revision of web:1: container app from " + image1 + " to " + image2, "update service web from web:1 to the new revision", "follow the rollout of 2 tasks"}},
			{image1, []string{"nothing: service web runs web:1 with this image already"}},
		} {
			p, err := w.step.Plan(w.Context(), In{Image: c.image})
			if err != nil || !slices.Equal(p.Lines, c.want) {
				t.Errorf("plan for %q: %q, %v", c.image, p.Lines, err)
			}
		}
		for op := range w.double.Counts() {
			if !strings.HasPrefix(op, "Describe") {
				t.Errorf("a plan called %s", op)
			}
		}
	})
}

// TestCancelledCheck: an interrupt during a check is no missing service.
func TestCancelledCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := ecstest.New(ecstest.Options{Runtime: ecstest.Script{}})
		defer d.Close()
		interrupted := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		d.Fault(func(string, int) ecstest.Fault { cancel(interrupted); return ecstest.Fault{Delay: time.Minute} })
		step := New(Config{Service: "web"}, Deps{Connect: func(context.Context, string) (deploy.API, error) {
			cfg := awsconf.Local("http://ecs.test", "us-east-1")
			cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(d)}
			return ecs.New(cfg), nil
		}})
		if err := step.Check(ctx); !errors.Is(err, interrupted) {
			t.Error(err)
		}
	})
}
