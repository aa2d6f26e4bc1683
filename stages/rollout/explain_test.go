package rollout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

const awslogs = `, "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}}`

// executed is a definition that has an execution role, as awslogs needs.
func executed(extra string) []byte {
	return []byte(strings.Replace(string(definition(extra)), `"family"`, `"executionRoleArn": "arn:aws:iam::123456789012:role/exec", "family"`, 1))
}

// TestLogs: the last words of the container that died come from CloudWatch,
// or it is said where they are.
func TestLogs(t *testing.T) {
	var printed []string
	for i := range 60 {
		printed = append(printed, fmt.Sprintf("line %d", i))
	}
	printed = append(printed, "java.lang.UnsupportedClassVersionError: App")
	crash := ecstest.Story{Crash: true, After: 2 * time.Second, Code: 1, Prints: printed}
	for _, c := range []struct {
		name, extra string
		story       ecstest.Story
		fault       func(op string, n int) ecstest.Fault
		says        []string
		hint        string
		lines       int
	}{
		{name: "awslogs", extra: awslogs, story: crash, says: []string{"log: line 11\n", "log: line 59\n", "log: java.lang.UnsupportedClassVersionError"}, hint: "image.base", lines: 50},
		{name: "throttled", extra: awslogs, story: crash, fault: faultOf("GetLogEvents", 3, ecstest.Throttle()), says: []string{"log: line 59\n"}, hint: "image.base", lines: 50},
		{name: "denied", extra: awslogs, story: crash, fault: faultOf("GetLogEvents", 1e6, ecstest.Deny("GetLogEvents")), says: []string{"note: no log of container app: ", "not authorized to perform: logs:GetLogEvents"}},
		{name: "nothing printed", extra: awslogs, story: ecstest.Story{Crash: true, Code: 1}, says: []string{"note: CloudWatch has no lines of container app in log group /ecs/web, stream web/app/"}},
		{name: "firelens", extra: `, "logConfiguration": {"logDriver": "awsfirelens", "options": {"Name": "datadog"}}`, story: crash, says: []string{"went through FireLens: look at datadog"}},
		{name: "splunk", extra: `, "logConfiguration": {"logDriver": "splunk"}`, story: crash, says: []string{"went to the splunk driver"}},
		{name: "none", story: crash, says: []string{"nothing keeps what container app printed"}},
		{name: "it never ran", extra: awslogs, story: ecstest.Story{PullError: notFound}, hint: "image.repository"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := ecstest.ServiceSeed{Desired: 2, Config: []byte(breaker), TaskDefinition: executed(healthCheck + c.extra)}
			virtual(t, ecstest.Script{image2: c.story}, seed, Deps{}, func(w *world) {
				w.double.Fault(c.fault)
				_, err := w.run(w.Context(), image2)
				if late := time.Since(w.last().Finished); late > 20*time.Second {
					t.Errorf("told %s after the end", late)
				}
				said := w.said()
				for _, s := range c.says {
					if !strings.Contains(said, s) {
						t.Errorf("said, without %q:\n%s", s, said)
					}
				}
				if n := strings.Count(said, "log: "); n != c.lines {
					t.Errorf("%d lines of log, want %d", n, c.lines)
				}
				if !strings.Contains(fault.HintOf(err), c.hint) {
					t.Errorf("hint %q, want %q", fault.HintOf(err), c.hint)
				}
			})
		})
	}
}

func faultOf(wanted string, times int, f ecstest.Fault) func(string, int) ecstest.Fault {
	return func(op string, n int) ecstest.Fault {
		if op == wanted && n <= times {
			return f
		}
		return ecstest.Fault{}
	}
}

// TestPlatform: an image for another processor is told with the one that the
// task definition asks for.
func TestPlatform(t *testing.T) {
	seed := ecstest.ServiceSeed{Desired: 1, Config: []byte(breaker), TaskDefinition: []byte(strings.Replace(string(definition("")), `"family"`,
		`"runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}, "family"`, 1))}
	virtual(t, ecstest.Script{image2: {StartError: "CannotStartContainerError: exec /java: exec format error"}}, seed, Deps{}, func(w *world) {
		_, err := w.run(w.Context(), image2)
		if want := "build the image for linux/arm64, which web:2 runs on (runtimePlatform)"; fault.HintOf(err) != want {
			t.Errorf("hint %q, want %q", fault.HintOf(err), want)
		}
	})
}

// TestBudget holds what following costs and how soon it knows: a rollout of
// five minutes in at most 100 calls, its end told within 3 s in the median
// and 5 s at worst.
func TestBudget(t *testing.T) {
	var late []time.Duration
	for seed := range uint64(15) {
		dice := rand.New(rand.NewPCG(seed, 1))
		story := ecstest.Story{Pull: 160*time.Second + time.Duration(dice.Int64N(int64(10*time.Second))), Start: 10 * time.Second, Ready: 90 * time.Second, Shutdown: 60 * time.Second}
		virtual(t, ecstest.Script{image1: {Shutdown: 25 * time.Second}, image2: story}, ecstest.ServiceSeed{Desired: 2, Config: []byte(breaker), TaskDefinition: definition(healthCheck)}, Deps{Jitter: dice.Float64}, func(w *world) {
			start := time.Now()
			before := calls(w.double)
			if _, err := w.step.Run(w.Context(), w.env(), In{Image: image2}); err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			if n := float64(calls(w.double)-before) * min(1, 300/took.Seconds()); n > 100 || took < 295*time.Second {
				t.Errorf("%.0f calls in %s: %v", n, took, w.double.Counts())
			}
			late = append(late, time.Since(w.last().Finished))
		})
	}
	slices.Sort(late)
	if median, worst := late[len(late)/2], late[len(late)-1]; median > 3*time.Second || worst > 5*time.Second {
		t.Errorf("end told after %s in the median, %s at worst", median, worst)
	}
}

func calls(d *ecstest.Double) (n int) {
	for _, c := range d.Counts() {
		n += c
	}
	return n
}

// TestCauseAtOnce: a cause is told at most 3 s after ECS shows it, while the
// rollout goes on.
func TestCauseAtOnce(t *testing.T) {
	for seed := range uint64(10) {
		dice := rand.New(rand.NewPCG(seed, 2))
		var known, told time.Time
		story := ecstest.Story{Pull: time.Duration(dice.Int64N(int64(30 * time.Second))), Crash: true, After: 3 * time.Second, Code: 3}
		virtual(t, ecstest.Script{image2: story}, ecstest.ServiceSeed{Desired: 2, Config: []byte(breaker), TaskDefinition: definition(healthCheck)}, Deps{Jitter: dice.Float64}, func(w *world) {
			env := runner.Env{Emit: func(b runner.Body) {
				if _, ok := b.(runner.Warning); ok && told.IsZero() {
					told = time.Now()
				}
			}}
			if _, err := w.step.Run(w.Context(), env, In{Image: image2}); fault.ClassOf(err) != fault.RolledBack {
				t.Fatal(err)
			}
			known = firstEnd(w)
		})
		if late := told.Sub(known); late < 0 || late > 3*time.Second {
			t.Errorf("told %s after ECS knew", late)
		}
	}
}

// firstEnd is when ECS first knew that a task of web:2 had ended.
func firstEnd(w *world) (first time.Time) {
	w.Helper()
	client := w.someone()
	list, err := client.ListTasks(context.Background(), &sdk.ListTasksInput{ServiceName: aws.String("web"), DesiredStatus: types.DesiredStatusStopped})
	if err != nil {
		w.Fatal(err)
	}
	all, err := client.DescribeTasks(context.Background(), &sdk.DescribeTasksInput{Tasks: list.TaskArns})
	if err != nil {
		w.Fatal(err)
	}
	for _, task := range all.Tasks {
		if !strings.HasSuffix(*task.TaskDefinitionArn, "web:2") || strings.HasPrefix(aws.ToString(task.StoppedReason), "Scaling activity") {
			continue
		}
		if known := aws.ToTime(task.StoppingAt); first.IsZero() || known.Before(first) {
			first = known
		}
	}
	return first
}
