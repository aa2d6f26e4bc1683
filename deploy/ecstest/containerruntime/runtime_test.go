package containerruntime_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/deploy/ecstest/containerruntime"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestLifeOfAHealthyTask(t *testing.T) {
	b := newBench(t)
	image := b.push(v1.Config{Entrypoint: []string{"/app", "serve"}, Cmd: []string{"from", "image"}, User: "web", Env: []string{"VERSION=1", "KEPT=yes"}, WorkingDir: "/srv"}, appLayer(t))
	spec := one(image)
	spec.Containers[0].Environment = map[string]string{"VERSION": "2"}
	s := b.start(b.runtime, spec)
	wait(b, s, func(h ecstest.Health) bool { return h.Healthy && h.Container == "" })
	address := wait(b, s, anything[ecstest.Listening]).Address
	response, err := http.Get("http://" + address + "/there")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || string(body) != "hello from 2 /there\n" {
		t.Errorf("%s %v", body, err)
	}
	s.task.Stop(10 * time.Second)
	s.task.Stop(10 * time.Second)
	<-s.task.Done()
	var kinds []string
	for _, e := range s.all() {
		kinds = append(kinds, strings.TrimPrefix(fmt.Sprintf("%T", e), "ecstest."))
	}
	if want := []string{"PullStarted", "PullStopped", "Started", "Listening", "Health", "Exited"}; !slices.Equal(kinds, want) {
		t.Errorf("%+v", s.all())
	}
	if e := wait(b, s, anything[ecstest.Exited]); e != (ecstest.Exited{Container: "web"}) {
		t.Errorf("%+v", e)
	}
	_, digest, _ := strings.Cut(image, "@")
	if got := wait(b, s, anything[ecstest.PullStopped]).Digests["web"]; got != digest {
		t.Error(got)
	}
	if log := b.runtime.Logs(s.id, "web"); !slices.Equal(log, []string{"app [serve from image] uid 65532", "listening on [::]:8080", "stopping"}) {
		t.Errorf("%q", log)
	}
}

func TestExitIsReported(t *testing.T) {
	b := newBench(t)
	s := b.start(b.runtime, one(b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"EXIT=7"}}, appLayer(t))))
	if e := wait(b, s, anything[ecstest.Exited]); e.Code != 7 {
		t.Errorf("%+v", e)
	}
	<-s.task.Done()
	if log := b.runtime.Logs(s.id, "web"); !slices.Contains(log, "leaving with 7") {
		t.Errorf("%q", log)
	}
}

func TestStopKillsAfterItsTimeout(t *testing.T) {
	b := newBench(t)
	spec := one(b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"STUBBORN=1"}}, appLayer(t)))
	spec.Containers[0].StopTimeout = 300 * time.Millisecond
	s := b.start(b.runtime, spec)
	wait(b, s, func(h ecstest.Health) bool { return h.Healthy })
	begin := time.Now()
	s.task.Stop(time.Hour) // the container's own comes first
	<-s.task.Done()
	if took := time.Since(begin); took < 300*time.Millisecond || took > 10*time.Second {
		t.Error(took)
	}
	if e := wait(b, s, anything[ecstest.Exited]); e.Code != 137 {
		t.Errorf("%+v", e)
	}
}

func TestTargetHealth(t *testing.T) {
	b := newBench(t)
	image := b.push(v1.Config{Entrypoint: []string{"/app"}}, appLayer(t))
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"errors":       {map[string]string{"STATUS": "503"}, "Health checks failed with these codes: [503]"},
		"silent":       {map[string]string{"LISTEN": "none"}, "Health checks failed: nothing listens on a TCP port"},
		"other port":   {map[string]string{"LISTEN": ":9090"}, "Health checks failed: nothing listens on port 8080, but on 9090"},
		"local only":   {map[string]string{"LISTEN": "127.0.0.1:8080"}, "Health checks failed: the application listens on 127.0.0.1:8080 only, where no load balancer reaches it"},
		"not found":    {map[string]string{"STATUS": "404"}, ""},
		"late":         {map[string]string{"DELAY": "500ms"}, ""},
		"redirects":    {map[string]string{"STATUS": "302"}, ""},
		"unauthorized": {map[string]string{"STATUS": "401"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{t, b.dir, b.runtime, b.registry, b.requests}
			spec := one(image)
			spec.Containers[0].Environment = test.env
			s := b.start(b.runtime, spec)
			if h := wait(b, s, anything[ecstest.Health]); h.Healthy != (test.want == "") || h.Reason != test.want {
				t.Errorf("%+v", h)
			}
			if log := b.runtime.Logs(s.id, "web"); test.want != "" && !slices.Contains(log, test.want) {
				t.Errorf("the reason is not in the log: %q", log)
			}
		})
	}
}

func TestAnyPort(t *testing.T) {
	b := newBench(t)
	r := b.with(containerruntime.Options{AnyPort: true})
	spec := one(b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"LISTEN=:9090"}}, appLayer(t)))
	s := b.start(r, spec)
	if h := wait(b, s, anything[ecstest.Health]); !h.Healthy {
		t.Errorf("%+v", h)
	}
}

func TestContainerHealthCheck(t *testing.T) {
	b := newBench(t)
	image := b.push(v1.Config{Entrypoint: []string{"/app"}, User: "web"}, appLayer(t))
	spec := one(image)
	spec.Containers[0].HealthCheck = &ecstest.HealthCheck{Command: []string{"CMD", "/app", "check"}, Interval: 50 * time.Millisecond, Timeout: time.Second, Retries: 2, StartPeriod: time.Second}
	s := b.start(b.runtime, spec)
	get := func(path string) {
		response, err := http.Get("http://" + wait(b, s, anything[ecstest.Listening]).Address + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	get("/healthy")
	wait(b, s, func(h ecstest.Health) bool { return h.Container == "web" && h.Healthy })
	get("/unhealthy")
	if h := wait(b, s, func(h ecstest.Health) bool { return h.Container == "web" && !h.Healthy }); h.Reason != "Health check exited with code 1: app [check] uid 65532\nno /tmp/healthy\n" {
		t.Errorf("%q", h.Reason)
	}
}

func TestHealthCheckThatCannotRun(t *testing.T) {
	b := newBench(t)
	image := b.push(v1.Config{Entrypoint: []string{"/app"}}, appLayer(t))
	for want, command := range map[string][]string{
		"CMD-SHELL needs /bin/sh": {"CMD-SHELL", "curl -f localhost"},
		"the image has no curl":   {"CMD", "curl"},
	} {
		spec := one(image)
		spec.Containers[0].HealthCheck = &ecstest.HealthCheck{Command: command, Interval: time.Hour, Timeout: time.Second, Retries: 3}
		s := b.start(b.runtime, spec)
		if h := wait(b, s, func(h ecstest.Health) bool { return h.Container == "web" }); h.Healthy || !strings.Contains(h.Reason, want) {
			t.Errorf("%+v", h)
		}
		s.task.Stop(0)
		<-s.task.Done()
	}
}

func TestStopBreaksOffAPull(t *testing.T) {
	b := newBench(t)
	released := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-released }))
	defer server.Close()
	defer close(released)
	s := b.start(b.runtime, one(strings.TrimPrefix(server.URL, "http://")+"/web:1"))
	wait(b, s, anything[ecstest.PullStarted])
	s.task.Stop(time.Hour)
	<-s.task.Done()
	if _, ok := s.all()[len(s.all())-1].(ecstest.FailedToStart); !ok {
		t.Errorf("%+v", s.all())
	}
}

func TestSecondContainerThatCannotStartEndsTheFirst(t *testing.T) {
	b := newBench(t)
	image := b.push(v1.Config{Entrypoint: []string{"/app"}}, appLayer(t))
	spec := one(image)
	spec.Containers = append(spec.Containers, ecstest.ContainerSpec{Name: "side", Image: image, EntryPoint: []string{"/none"}})
	s := b.start(b.runtime, spec)
	<-s.task.Done()
	all := s.all()
	exited, ok1 := all[len(all)-2].(ecstest.Exited)
	failed, ok2 := all[len(all)-1].(ecstest.FailedToStart)
	if !ok1 || !ok2 || exited.Container != "web" || failed.Container != "side" {
		t.Errorf("%+v", all)
	}
}

func TestLogKeepsTheLastLines(t *testing.T) {
	b := newBench(t)
	var mu sync.Mutex
	var streamed []string
	r := b.with(containerruntime.Options{Log: func(task, container, stream, line string) {
		mu.Lock()
		defer mu.Unlock()
		streamed = append(streamed, container+" "+stream+" "+line)
	}})
	s := b.start(r, one(b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"EXIT=2"}}, appLayer(t))))
	<-s.task.Done()
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(streamed, "web stderr leaving with 2") {
		t.Errorf("%q", streamed)
	}
	if r.Logs("unknown", "web") != nil {
		t.Error("an unknown task has a log")
	}
}
