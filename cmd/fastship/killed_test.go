package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy/ecstest"
)

// TestKilledRollout kills the process with SIGKILL right after its update of
// the service, lets ECS end the rollout alone, and runs the same again: that
// tells how the first one ended and begins nothing.
func TestKilledRollout(t *testing.T) {
	double := ecstest.New(ecstest.Options{Timing: ecstest.LocalTiming(), Runtime: ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
		return ecstest.Story{Crash: spec.Revision > 1, After: 20 * time.Millisecond, Code: 7}
	})})
	server := httptest.NewServer(double)
	defer func() { server.Close(); double.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := double.Seed(ctx, ecstest.ServiceSeed{
		Service: "orders", Desired: 1, Config: json.RawMessage(`{"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}}`),
		TaskDefinition: json.RawMessage(`{"family": "orders", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
			"containerDefinitions": [{"name": "app", "image": "registry.example/orders:old", "healthCheck": {"command": ["CMD", "/opt/java/bin/java", "-version"], "interval": 5}}]}`),
	}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"fastship.yaml": "image: { repository: registry.example/orders }\ndeploy: { service: orders, timeout: 60s }\n",
		".fastship/outputs.json": `{"source": {"dir": "/src", "tree": "sha256:00", "dirty": false, "time": "2026-01-01T00:00:00Z"}, "maven": {"artifactId": "orders"},
			"image": {"layout": "/src/.fastship/image", "digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111", "platform": "linux/amd64", "size": 81000000},
			"push": {"reference": "registry.example/orders@sha256:1111111111111111111111111111111111111111111111111111111111111111", "tags": ["v1"]}}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"AWS_ENDPOINT_URL=" + server.URL, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=example"}
	start := func() (stderr *bytes.Buffer, kill, wait func() int) {
		cmd := program(t, dir, "run", "--from", "rollout", ".")
		cmd.Env = append(cmd.Env, environ...)
		stderr = &bytes.Buffer{}
		cmd.Stderr = stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait = func() int { _ = cmd.Wait(); return cmd.ProcessState.ExitCode() }
		return stderr, func() int { _ = cmd.Process.Kill(); return wait() }, wait
	}
	_, kill, _ := start()
	waitFor(t, func() bool { return len(double.Outcome("default", "orders")) == 2 })
	kill()
	if !exists(filepath.Join(dir, ".fastship", "rollout.json")) {
		t.Fatal("the killed run left no record")
	}
	waitFor(t, func() bool { return double.Outcome("default", "orders")[1].Verdict == ecstest.RolledBack })
	stderr, _, wait := start()
	if code := wait(); code != 31 || !strings.Contains(lastOf(stderr.String()), "exited with code 7") || !strings.Contains(stderr.String(), "an earlier run, which did not come to its end, began deployment") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if n := len(double.Outcome("default", "orders")); n != 2 {
		t.Errorf("%d deployments", n)
	}
	if exists(filepath.Join(dir, ".fastship", "rollout.json")) {
		t.Error("the record is still there")
	}
	kept, err := os.ReadFile(filepath.Join(dir, ".fastship", "rollouts.jsonl"))
	if err != nil || strings.Count(string(kept), "\n") != 1 || !strings.Contains(string(kept), `"bytes":81000000,"outcome":"rolled-back"`) {
		t.Errorf("recorded %s, %v", kept, err)
	}
	doctor := program(t, dir, "deploy", "doctor", "--json", ".")
	doctor.Env = append(doctor.Env, environ...)
	if out, err := doctor.Output(); err != nil || !strings.Contains(string(out), `"records":{"count":1,"succeeded":0,`) {
		t.Errorf("the doctor says %s, %v", out, err)
	}
}
