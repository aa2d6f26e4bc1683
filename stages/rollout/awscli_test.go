package rollout

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/runner"
)

// TestAWSCLIAgrees: after rollouts by each strategy, good and bad, the AWS CLI
// sees what fastship said: the definition that runs, the state of its rollout,
// and how the service deployment ended.
func TestAWSCLIAgrees(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") != "1" {
		t.Skip("needs the AWS CLI: set FASTSHIP_INTEGRATION=1")
	}
	cli := os.Getenv("FASTSHIP_TEST_AWS")
	if cli == "" {
		cli = "aws"
	}
	if _, err := exec.LookPath(cli); err != nil {
		t.Skipf("no AWS CLI: %v", err)
	}
	for _, c := range []struct{ name, config, image, outcome, status string }{
		{"rolling", breaker, image2, "succeeded", "SUCCESSFUL"},
		{"rolling back", breaker, image3, "rolled-back", "ROLLBACK_SUCCESSFUL"},
		{"blue-green", `{` + balanced + `, "deploymentConfiguration": {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0}}`, image2, "succeeded", "SUCCESSFUL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := ecstest.New(ecstest.Options{Timing: ecstest.LocalTiming(), TargetGroups: []ecstest.TargetGroup{{ARN: groupARN, Interval: 100 * time.Millisecond, Timeout: 50 * time.Millisecond, Healthy: 2, Draining: 100 * time.Millisecond}}, Runtime: ecstest.Script{image3: {Crash: true, After: 10 * time.Millisecond, Code: 1}}})
			defer d.Close()
			server := httptest.NewServer(d)
			defer server.Close()
			if _, err := d.Seed(t.Context(), ecstest.ServiceSeed{Service: "web", Desired: 1, Config: []byte(c.config), TaskDefinition: definition("")}); err != nil {
				t.Fatal(err)
			}
			step := New(Config{Service: "web", Repository: repository, Timeout: time.Minute}, Deps{PollEvery: 50 * time.Millisecond,
				Connect: func(context.Context, string) (deploy.API, error) {
					return ecs.New(awsconf.Local(server.URL, "us-east-1")), nil
				}})
			r, err := step.Run(t.Context(), runner.Env{Emit: func(runner.Body) {}}, In{Image: c.image})
			if r.Out.Outcome != c.outcome {
				t.Fatalf("%+v, %v", r.Out, err)
			}
			runs := r.Out.TaskDefinition
			if c.outcome == "rolled-back" {
				runs = r.Out.Previous
			}
			aws := func(query string, args ...string) string {
				t.Helper()
				cmd := exec.Command(cli, append([]string{"ecs", "--endpoint-url", server.URL, "--output", "text", "--query", query}, args...)...)
				cmd.Env = []string{"AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=SECRET", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
				}
				return strings.TrimSpace(string(out))
			}
			got := aws("services[0].[taskDefinition,deployments[0].taskDefinition,deployments[0].rolloutState,status]", "describe-services", "--services", "web")
			if want := strings.Join([]string{runs, runs, "COMPLETED", "ACTIVE"}, "\t"); got != want {
				t.Errorf("the AWS CLI sees %q, fastship said %q", got, want)
			}
			if got := aws("serviceDeployments[0].status", "list-service-deployments", "--service", "web"); got != c.status {
				t.Errorf("the service deployment is %s, want %s", got, c.status)
			}
		})
	}
}
