// Package sandbox is the end of the road without an AWS account: a registry
// and an ECS of this process, on loopback, whose tasks really run. It lives in
// a project's .fastship/sandbox and leaves nothing there when it closes; what
// a killed one left, the next one clears.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/deploy/ecstest/containerruntime"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/runner"
)

// The sandbox's account: one cluster in one region.
const (
	cluster = "sandbox"
	region  = "us-east-1"
	account = "000000000000"
	port    = 8080 // what the service's load balancer asks for; any other port that the application opens will do
)

// stopTimeout is how long applications may take to end on SIGTERM.
const stopTimeout = 10 * time.Second

// Config says what a sandbox is for. All but Keep and Emit is required.
type Config struct {
	Dir   string       // the state's directory, absolute: .fastship/sandbox
	Cache *cache.Cache // keeps pushed blobs and unpacked layers
	App   string       // the application's name: service and container are called after it
	Keep  bool         // it serves until it is interrupted: other runs may use it
	Emit  func(runner.Body)
}

// Sandbox is a running one. The embedded Remote says where it is.
type Sandbox struct {
	*Remote
	config   Config
	lock     *os.File
	runtime  *containerruntime.Runtime
	double   *ecstest.Double
	registry *registryHandler
	servers  []*http.Server
}

// Check tells whether this machine can run a sandbox. It writes nothing; the
// error is of class fault.Missing.
func Check(ctx context.Context) error { return container.Available(ctx) }

// Start brings up the registry, the ECS with an idle service, and the proxy in
// front of the service's tasks. Errors are of class fault.Missing when this
// machine does not allow containers or another sandbox lives in the directory.
// Close must be called, also after ctx has ended.
func Start(ctx context.Context, config Config) (*Sandbox, error) {
	if err := Check(ctx); err != nil {
		return nil, err
	}
	if config.Emit == nil {
		config.Emit = func(runner.Body) {}
	}
	lock, err := acquire(config.Dir)
	if err != nil {
		return nil, err
	}
	s := &Sandbox{Remote: &Remote{}, config: config, lock: lock}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (s *Sandbox) open(ctx context.Context) error {
	if err := clearDir(s.config.Dir); err != nil {
		return fmt.Errorf("clear what an earlier sandbox left: %w", err)
	}
	tasks := filepath.Join(s.config.Dir, "tasks")
	if err := os.Mkdir(tasks, 0o755); err != nil {
		return err
	}
	s.runtime = containerruntime.New(containerruntime.Options{
		Cache: s.config.Cache.Blobs, Dir: tasks, AnyPort: true, Log: s.log,
	})
	s.double = ecstest.New(ecstest.Options{Runtime: s.runtime, Region: region, Account: account, Timing: ecstest.LocalTiming()})
	s.registry = newRegistry(s.config.Cache.Blobs)
	name := resourceName(s.config.App)
	s.state = state{
		PID: os.Getpid(), Keep: s.config.Keep,
		Cluster: cluster, Service: name, Container: name, Region: region, Repository: repositoryName(s.config.App),
	}
	front := &front{routes: func() []string {
		addresses, _ := s.double.Routes(cluster, name)
		return addresses
	}, service: name}
	var err error
	if s.state.Registry, err = s.serve(s.registry); err != nil {
		return err
	}
	if s.state.Endpoint, err = s.serve(s.endpoint()); err != nil {
		return err
	}
	if s.state.URL, err = s.serve(front.handler()); err != nil {
		return err
	}
	seed, err := s.seed(name)
	if err != nil {
		return err
	}
	if _, err := s.double.Seed(ctx, seed); err != nil {
		return err
	}
	return writeState(s.config.Dir, s.state)
}

// seed is a service as one would make it for a web application: one task
// behind a load balancer, the circuit breaker on, replaced without a gap.
func (s *Sandbox) seed(name string) (ecstest.ServiceSeed, error) {
	type object = map[string]any
	definition, err := json.Marshal(object{
		"family": name, "networkMode": "awsvpc", "requiresCompatibilities": []string{"FARGATE"}, "cpu": "1024", "memory": "2048",
		"containerDefinitions": []object{{
			"name": name, "image": s.state.Registry + "/" + s.state.Repository + ":none", "essential": true,
			"portMappings": []object{{"containerPort": port, "protocol": "tcp"}},
		}},
	})
	if err != nil {
		return ecstest.ServiceSeed{}, err
	}
	config, err := json.Marshal(object{
		"launchType": "FARGATE",
		"loadBalancers": []object{{
			"targetGroupArn": "arn:aws:elasticloadbalancing:" + region + ":" + account + ":targetgroup/sandbox/0123456789abcdef",
			"containerName":  name, "containerPort": port,
		}},
		"deploymentConfiguration": object{
			"deploymentCircuitBreaker": object{"enable": true, "rollback": true},
			"minimumHealthyPercent":    100, "maximumPercent": 200,
		},
	})
	return ecstest.ServiceSeed{Cluster: cluster, Service: name, TaskDefinition: definition, Desired: 1, Config: config, Idle: true}, err
}

// serve starts a server on a free port of the loopback device and returns its
// address.
func (s *Sandbox) serve(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen on loopback: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(l) }() // until Close
	return l.Addr().String(), nil
}

// logsPath serves what a task's container printed, beside the API of ECS.
const logsPath = "GET /fastship/logs/{task}/{container}"

func (s *Sandbox) endpoint() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.double)
	mux.HandleFunc(logsPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.runtime.Logs(r.PathValue("task"), r.PathValue("container")))
	})
	return mux
}

// log passes a line of an application on.
func (s *Sandbox) log(task, container, stream, line string) {
	s.config.Emit(runner.Log{Stream: stream, Line: task[:min(8, len(task))] + " " + line})
}

// Close ends the tasks, politely while ctx allows it and for as long as an
// application may take, and removes everything the sandbox had.
func (s *Sandbox) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout+5*time.Second)
	defer cancel()
	if s.runtime != nil {
		s.runtime.Shutdown(ctx, stopTimeout)
		_ = s.double.Close() // never fails
	}
	for _, server := range s.servers {
		server.Close()
	}
	if s.registry != nil {
		s.registry.close()
	}
	return release(s.config.Dir, s.lock)
}
