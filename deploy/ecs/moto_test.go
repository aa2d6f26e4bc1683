package ecs

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/awsconf"
)

// TestMoto speaks to moto, a double that is not ours. It runs nothing and
// knows no service deployments (their calls end in 500): what it checks is
// what goes over the wire before a rollout.
func TestMoto(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("FASTSHIP_INTEGRATION is not set")
	}
	server, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not installed (pip install 'moto[server,ecs]')")
	}
	cfg := awsconf.Local(moto(t, server), "us-east-1")
	someone := ecs.NewFromConfig(cfg)
	if _, err := someone.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("prod")}); err != nil {
		t.Fatal(err)
	}
	if _, err := someone.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("web"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("shop")}},
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("registry.test/web:1"), Memory: aws.Int32(64)}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := someone.CreateService(t.Context(), &ecs.CreateServiceInput{
		Cluster: aws.String("prod"), ServiceName: aws.String("web"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(0),
	}); err != nil {
		t.Fatal(err)
	}

	client, target := New(cfg), deploy.Target{Cluster: "prod", Service: "web"}
	plan, err := deploy.Prepare(t.Context(), client, target, "", "", "registry.test/web@sha256:22")
	if err != nil {
		t.Fatal(err)
	}
	// moto answers an update with the deployment as it was, so all that can
	// be had from it is that the update is sent once and its end is no guess.
	_, err = deploy.Apply(t.Context(), client, plan, func(deploy.Event) {})
	if err == nil || !strings.Contains(err.Error(), "ECS accepted it, but shows no deployment of web:2") {
		t.Fatal(err)
	}
	if s, err := client.Service(t.Context(), target); err != nil || s.TaskDefinition == plan.Before.TaskDefinition {
		t.Errorf("the service runs %s, %v", s.TaskDefinition, err)
	}
	if _, err := client.ServiceDeployments(t.Context(), target, "", time.Now()); !deploy.Transient(err) {
		t.Errorf("service deployments: %v", err)
	}
	d, err := client.TaskDefinition(t.Context(), "web")
	if err != nil || !strings.Contains(string(d.Raw), `"team"`) || !strings.Contains(string(d.Raw), "sha256:22") {
		t.Errorf("%s, %v", d.Raw, err)
	}
	if _, err := client.Service(t.Context(), deploy.Target{Cluster: "prod", Service: "wep"}); err == nil || !strings.Contains(err.Error(), "no such service") {
		t.Error(err)
	}
	if _, err := client.Service(t.Context(), deploy.Target{Cluster: "prot", Service: "web"}); err == nil || !strings.Contains(err.Error(), "no such cluster") {
		t.Error(err)
	}
}

// moto starts the server and returns its address.
func moto(t *testing.T, server string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	cmd := exec.CommandContext(t.Context(), server, "-H", "127.0.0.1", "-p", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address := "http://127.0.0.1:" + port
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if response, err := http.Get(address + "/moto-api/"); err == nil {
			response.Body.Close()
			return address
		}
		if time.Since(start) > time.Minute {
			t.Fatal("moto does not answer")
		}
	}
}
