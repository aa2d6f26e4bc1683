package ecstest_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy/ecstest"
)

// awsCLI returns the directory of an AWS CLI and its Python: those that
// .ci/setup installed, or ones installed for this test alone.
func awsCLI(t *testing.T) string {
	t.Helper()
	if os.Getenv("FASTSHIP_INTEGRATION") != "1" {
		t.Skip("needs the AWS CLI: set FASTSHIP_INTEGRATION=1")
	}
	if cli := os.Getenv("FASTSHIP_TEST_AWS"); cli != "" {
		if _, err := os.Stat(cli); err == nil {
			return filepath.Dir(cli)
		}
	}
	venv := filepath.Join(t.TempDir(), "venv")
	for _, c := range []*exec.Cmd{
		exec.Command("python3", "-m", "venv", venv),
		exec.Command(filepath.Join(venv, "bin", "pip"), "install", "-q", "awscli"),
	} {
		if out, err := c.CombinedOutput(); err != nil {
			t.Skipf("no AWS CLI to check with: %v: %v\n%s", c.Args, err, out)
		}
	}
	return filepath.Join(venv, "bin")
}

// TestBotocoreModel holds the answers against the other SDK's copy of the
// service model, so that the double and its Go test cannot share a misreading.
func TestBotocoreModel(t *testing.T) {
	bin := awsCLI(t)
	var lines bytes.Buffer
	virtual(t, ecstest.Script{"app:2": {Crash: true, Code: 1}}, func(b *bench) {
		everyOperation(b)
		for _, e := range b.wire.seen {
			b.must(json.NewEncoder(&lines).Encode(e))
		}
	})
	c := exec.Command(filepath.Join(bin, "python"), filepath.Join("testdata", "fits.py"))
	c.Stdin = &lines
	out, err := c.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "21 operations") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAWSCLI has the real AWS CLI deploy and wait, over HTTP and in real time.
func TestAWSCLI(t *testing.T) {
	bin := awsCLI(t)
	d := ecstest.New(ecstest.Options{Runtime: ecstest.Script{}, Timing: ecstest.LocalTiming()})
	defer d.Close()
	server := httptest.NewServer(d)
	defer server.Close()
	if _, err := d.Seed(t.Context(), ecstest.ServiceSeed{Service: "web", TaskDefinition: definition("app:1", ""), Desired: 1}); err != nil {
		t.Fatal(err)
	}
	aws := func(args ...string) string {
		t.Helper()
		c := exec.Command(filepath.Join(bin, "aws"), append([]string{"ecs", "--endpoint-url", server.URL, "--output", "text"}, args...)...)
		c.Env = []string{"AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=SECRET", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	revision := aws("register-task-definition", "--cli-input-json", string(definition("app:2", "")), "--query", "taskDefinition.taskDefinitionArn")
	if !strings.HasSuffix(revision, "task-definition/web:2") {
		t.Errorf("registered %s", revision)
	}
	aws("update-service", "--service", "web", "--task-definition", revision, "--query", "service.deployments[0].id")
	for start := time.Now(); aws("describe-services", "--services", "web", "--query", "services[0].deployments[0].rolloutState") != "COMPLETED"; {
		if time.Since(start) > time.Minute {
			t.Fatal("the rollout does not complete")
		}
	}
	aws("wait", "services-stable", "--services", "web")
	record := aws("list-service-deployments", "--service", "web", "--query", "serviceDeployments[0].[serviceDeploymentArn,status]")
	if !strings.HasSuffix(record, "SUCCESSFUL") {
		t.Errorf("service deployment %s", record)
	}
	task := aws("list-tasks", "--service-name", "web", "--query", "taskArns[0]")
	if s := aws("describe-tasks", "--tasks", task, "--query", "tasks[0].[lastStatus,containers[0].image]"); s != "RUNNING\tapp:2" {
		t.Errorf("task %q", s)
	}
}
