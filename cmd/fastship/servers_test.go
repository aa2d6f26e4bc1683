package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"
)

// startRegistry is "registry [-user U -password P] [-refuse METHOD]": a
// registry on loopback; REGISTRY is its host:port. -refuse answers 503 to
// every request of that method, as a registry does whose storage is down.
func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	user := flags.String("user", "", "")
	password := flags.String("password", "", "")
	refuse := flags.String("refuse", "", "")
	ts.Check(flags.Parse(args))
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != *user || p != *password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		if r.Method == *refuse {
			http.Error(w, `{"errors":[{"code":"UNAVAILABLE","message":"storage is down"}]}`, http.StatusServiceUnavailable)
			return
		}
		images.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("REGISTRY", strings.TrimPrefix(server.URL, "http://"))
}

// startECS is "ecs STORY [NAME=VALUE...]": the ECS double on loopback with a
// service "orders" in the cluster "shop" that runs an old image; its next
// tasks live the story. Pairs are keys of the deployment's configuration.
// The AWS variables of the script point at it.
func startECS(ts *testscript.TestScript, neg bool, args []string) {
	stories := map[string]ecstest.Story{
		"healthy":  {},
		"crash":    {Crash: true, After: 20 * time.Millisecond, Code: 1},
		"no-image": {PullError: "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref registry.example/orders: not found"},
		"stuck":    {Pull: time.Hour},
		"expired":  {},
		"intruder": {Pull: time.Hour}, // and somebody else deploys meanwhile
	}
	story, known := stories[args[0]]
	if neg || !known {
		ts.Fatalf("usage: ecs STORY [breaker] [rollback]")
	}
	var server *httptest.Server
	intrude := sync.OnceFunc(func() { go redeploy(server.URL) })
	double := ecstest.New(ecstest.Options{Timing: ecstest.LocalTiming(), Runtime: ecstest.ScriptFunc(func(spec ecstest.TaskSpec) ecstest.Story {
		if spec.Revision == 1 {
			return ecstest.Story{}
		}
		if args[0] == "intruder" {
			intrude()
		}
		return story
	})})
	server = httptest.NewServer(double)
	ts.Defer(func() { server.Close(); double.Close() })
	config := map[string]any{"deploymentConfiguration": map[string]any{
		"deploymentCircuitBreaker": map[string]bool{"enable": len(args) > 1, "rollback": len(args) > 2},
	}}
	raw, err := json.Marshal(config)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err = double.Seed(ctx, ecstest.ServiceSeed{
		Cluster: "shop", Service: "orders", Desired: 1, Config: raw,
		TaskDefinition: json.RawMessage(`{"family":"orders","networkMode":"awsvpc","requiresCompatibilities":["FARGATE"],"cpu":"256","memory":"512","containerDefinitions":[{"name":"app","image":"registry.example/orders:old","essential":true}]}`),
	})
	ts.Check(err)
	if args[0] == "expired" {
		double.Fault(func(string, int) ecstest.Fault {
			return ecstest.Fault{Status: http.StatusBadRequest, Type: "ExpiredTokenException", Text: "The security token included in the request is expired"}
		})
	}
	ts.Setenv("AWS_ENDPOINT_URL_ECS", server.URL)
	ts.Setenv("AWS_REGION", "us-east-1")
	ts.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
}

// redeploy goes back to the first revision, as another pipeline would.
func redeploy(endpoint string) {
	body := `{"cluster":"shop","service":"orders","taskDefinition":"orders:1"}`
	request, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		return
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.UpdateService")
	if answer, err := http.DefaultClient.Do(request); err == nil {
		answer.Body.Close()
	}
}
