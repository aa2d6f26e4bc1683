package rollout

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/awsconf"
)

const (
	groupARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef"
	balanced = `"loadBalancers": [{"targetGroupArn": "` + groupARN + `", "containerName": "app", "containerPort": 8080}]`
)

// TestDoctorKeepsItsWord: a change that the doctor advises saves what it said,
// measured on the next rollout.
func TestDoctorKeepsItsWord(t *testing.T) {
	for _, c := range []struct {
		name   string
		config string
		extra  string // of the container
		story  ecstest.Story
		group  ecstest.TargetGroup
		advice string // a part of the first one's Change
		mend   func(ctx context.Context, w *world, lb *elb.Client, web *sdk.Client) error
		within float64 // how far the saving may be from what was said, as a share of it
	}{
		{name: "draining", config: `{` + balanced + `}`, advice: "deregistration delay of target group web from 300 s to 5 s", within: 0.05,
			mend: func(ctx context.Context, _ *world, lb *elb.Client, _ *sdk.Client) error {
				_, err := lb.ModifyTargetGroupAttributes(ctx, &elb.ModifyTargetGroupAttributesInput{TargetGroupArn: aws.String(groupARN),
					Attributes: []elbtypes.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String("5")}}})
				return err
			}},
		{name: "target checks", config: `{` + balanced + `}`, group: ecstest.TargetGroup{ARN: groupARN, Interval: time.Minute, Draining: 5 * time.Second}, advice: "check the targets of web every 5 s instead of 60 s", within: 0.25,
			mend: func(ctx context.Context, _ *world, lb *elb.Client, _ *sdk.Client) error {
				_, err := lb.ModifyTargetGroup(ctx, &elb.ModifyTargetGroupInput{TargetGroupArn: aws.String(groupARN), HealthCheckIntervalSeconds: aws.Int32(5), HealthyThresholdCount: aws.Int32(2)})
				return err
			}},
		{name: "waves", config: `{"deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 100}}`, extra: healthCheck, story: ecstest.Story{Pull: 40 * time.Second}, advice: "maximumPercent 200 and minimumHealthyPercent 100 instead of 100 and 50", within: 0.25,
			mend: func(ctx context.Context, _ *world, _ *elb.Client, web *sdk.Client) error {
				_, err := web.UpdateService(ctx, &sdk.UpdateServiceInput{Service: aws.String("web"), DeploymentConfiguration: &types.DeploymentConfiguration{MaximumPercent: aws.Int32(200), MinimumHealthyPercent: aws.Int32(100)}})
				return err
			}},
		{name: "bake time", config: strategy("BLUE_GREEN", `, "bakeTimeInMinutes": 10`), extra: healthCheck, advice: "shorten the bake time, 10 min in all", within: 0.05,
			mend: func(ctx context.Context, _ *world, _ *elb.Client, web *sdk.Client) error {
				_, err := web.UpdateService(ctx, &sdk.UpdateServiceInput{Service: aws.String("web"), DeploymentConfiguration: &types.DeploymentConfiguration{BakeTimeInMinutes: aws.Int32(0)}})
				return err
			}},
		{name: "early success", config: `{` + balanced + `}`, advice: "let ECS call a rollout successful before the old tasks have drained", within: 0.05,
			mend: func(ctx context.Context, _ *world, _ *elb.Client, web *sdk.Client) error {
				_, err := web.UpdateService(ctx, &sdk.UpdateServiceInput{Service: aws.String("web"), DeploymentConfiguration: &types.DeploymentConfiguration{
					EarlySuccessCriteria: &types.DeploymentEarlySuccessCriteria{Enable: true, HealthyPercent: aws.Int32(100), SourceServiceRevisionCleanup: types.ServiceRevisionCleanupDeferred}}})
				return err
			}},
		{name: "SIGTERM", config: `{}`, extra: healthCheck, story: ecstest.Story{IgnoreTERM: true}, advice: "end on SIGTERM", within: 0.1,
			mend: func(_ context.Context, w *world, _ *elb.Client, _ *sdk.Client) error {
				w.step.deps.State = ""
				return nil
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := ecstest.Options{MaxLag: time.Minute}
			stories := map[string]ecstest.Story{image1: c.story, image2: c.story, image3: c.story}
			opt.Runtime = ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story { return stories[spec.Containers[0].Image] })
			if c.group.ARN != "" {
				opt.TargetGroups = []ecstest.TargetGroup{c.group}
			}
			hooked(t, opt, ecstest.ServiceSeed{Desired: 4, Config: []byte(c.config), TaskDefinition: definition(c.extra)}, Deps{}, func(w *world) {
				if c.name == "SIGTERM" { // the next image listens: its tasks, replaced by the third, end at once
					stories[image2] = ecstest.Story{}
				}
				if _, err := w.run(w.Context(), image2); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				before, err := w.step.Doctor(w.Context())
				at := slices.IndexFunc(before.Advice, func(a deploy.Advice) bool { return strings.Contains(a.Change, c.advice) })
				if err != nil || at < 0 {
					t.Fatalf("%+v, %v", before, err)
				}
				if !slices.IsSortedFunc(before.Advice, func(a, b deploy.Advice) int { return int(b.Saves - a.Saves) }) {
					t.Errorf("not the largest first: %+v", before.Advice)
				}
				var sum time.Duration
				for _, p := range before.Phases {
					sum += p.Took
				}
				if d := before.Took - sum; d < -2*time.Second || d > 2*time.Second {
					t.Errorf("the phases %v make %s of %s", before.Phases, sum, before.Took)
				}
				cfg := awsconf.Local("http://ecs.test", "us-east-1")
				cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(w.double)}
				if err := c.mend(w.Context(), w, elb.NewFromConfig(cfg), w.someone()); err != nil {
					t.Fatal(err)
				}
				if _, err := w.run(w.Context(), image3); err != nil {
					t.Fatal(err)
				}
				after, err := w.step.Doctor(w.Context())
				if err != nil {
					t.Fatal(err)
				}
				said, saved := before.Advice[at].Saves, before.Took-after.Took
				if off := math.Abs(saved.Seconds()-said.Seconds()) / said.Seconds(); off > c.within {
					t.Errorf("said %s, saved %s (%s, then %s)\nbefore %v\nafter %v", said, saved, before.Took, after.Took, before.Phases, after.Phases)
				}
				for _, a := range after.Advice {
					if strings.Contains(a.Change, c.advice) {
						t.Errorf("advised again: %s", a.Change)
					}
				}
			})
		})
	}
}

// TestDoctorReports: risks, what may not be read, and a service that has never
// been rolled out.
func TestDoctorReports(t *testing.T) {
	seed := ecstest.ServiceSeed{Desired: 1, Config: []byte(`{"deploymentConfiguration": {"minimumHealthyPercent": 0, "maximumPercent": 100}, ` + balanced + `}`),
		TaskDefinition: []byte(strings.Replace(string(definition(`, "entryPoint": ["/bin/sh", "-c"], "command": ["java -jar app.jar"]`)), image1, "registry.test/web:latest", 1))}
	virtual(t, ecstest.Script{}, seed, Deps{}, func(w *world) {
		r, err := w.step.Doctor(w.Context())
		if err != nil {
			t.Fatal(err)
		}
		risks := strings.Join(r.Risks, "\n")
		for _, want := range []string{"no deployment circuit breaker", "minimumHealthyPercent is 0", "images by tag, which can change under a running service: app (registry.test/web:latest)",
			"a shell that swallows SIGTERM stands before the application, which is killed instead of ending: app"} {
			if !strings.Contains(risks, want) {
				t.Errorf("risks, without %q:\n%s", want, risks)
			}
		}
		w.reads()
		w.double.Fault(func(op string, _ int) ecstest.Fault {
			if strings.Contains(op, "TargetGroup") || strings.HasSuffix(op, "ServiceDeployments") {
				return ecstest.Deny(op)
			}
			return ecstest.Fault{}
		})
		r, err = w.step.Doctor(w.Context())
		if err != nil || len(r.Notes) != 2 || r.Took != 0 || len(r.Advice) != 0 {
			t.Errorf("denied: %+v, %v", r, err)
		}
		w.double.Fault(func(string, int) ecstest.Fault { return ecstest.ServerError(500) })
		if _, err := w.step.Doctor(w.Context()); err == nil {
			t.Error("a doctor that cannot read anything reports")
		}
	})
	virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1, Idle: true}, Deps{}, func(w *world) {
		if r, err := w.step.Doctor(w.Context()); err != nil || r.Took != 0 || len(r.Phases) != 0 {
			t.Errorf("never rolled out: %+v, %v", r, err)
		}
	})
}
