package sandbox_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestFromOneRevisionToTheNextWithoutAGap(t *testing.T) {
	project := t.TempDir()
	s := start(t, project)
	defer closed(t, s, project)
	if s.Service() != "My-App" || !strings.HasSuffix(s.Repository(), "/my-app") {
		t.Error(s.Service(), s.Repository())
	}
	response, err := http.Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != 503 || !strings.Contains(string(body), "service My-App has no healthy task yet") {
		t.Errorf("%d %s", response.StatusCode, body)
	}

	image := pushGreeter(t, s.Remote, "VERSION=1")
	begin := time.Now()
	rollOut(t, s.Remote, image)
	if a := firstAnswer(t, s.Remote); a.Status != 200 || a.Body != "version 1 for "+strings.TrimPrefix(s.URL(), "http://")+"\n" {
		t.Errorf("%+v", a)
	}
	t.Logf("first answer after %v", time.Since(begin))
	until(t, s.Remote, types.DeploymentRolloutStateCompleted)

	// Somebody goes on asking during the second rollout.
	stop, bad, seen := make(chan struct{}), make(chan string, 100), map[string]bool{}
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			response, err := http.Get(s.URL())
			if err != nil {
				bad <- err.Error()
				return
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != 200 {
				bad <- fmt.Sprint(response.StatusCode, string(body), err)
			}
			seen[string(body[:9])] = true
			time.Sleep(2 * time.Millisecond)
		}
	})
	rollOut(t, s.Remote, pushGreeter(t, s.Remote, "VERSION=2"))
	until(t, s.Remote, types.DeploymentRolloutStateCompleted)
	if a := firstAnswer(t, s.Remote); !strings.HasPrefix(a.Body, "version 2") {
		t.Errorf("%+v", a)
	}
	close(stop)
	asking.Wait()
	if len(bad) > 0 || !seen["version 1"] || !seen["version 2"] {
		t.Errorf("%d requests failed, the first: %s; seen %v", len(bad), <-bad, seen)
	}
}

func TestLogsOfAFailedTask(t *testing.T) {
	project := t.TempDir()
	s := start(t, project)
	defer closed(t, s, project)
	rollOut(t, s.Remote, pushGreeter(t, s.Remote, "EXIT=4"))
	until(t, s.Remote, types.DeploymentRolloutStateFailed)
	api := client(s.Remote)
	list, err := api.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String(s.Cluster()), ServiceName: aws.String(s.Service()), DesiredStatus: types.DesiredStatusStopped})
	if err != nil || len(list.TaskArns) == 0 {
		t.Fatal(list, err)
	}
	if log := s.Logs(list.TaskArns[0], s.Container()); !slices.Equal(log, []string{"leaving with 4"}) {
		t.Errorf("%q", log)
	}
	if log := s.Logs("none", "none"); len(log) > 0 {
		t.Errorf("%q", log)
	}
}

func TestCloseWhileATaskStarts(t *testing.T) {
	project := t.TempDir()
	s := start(t, project)
	rollOut(t, s.Remote, pushGreeter(t, s.Remote, "VERSION=1"))
	closed(t, s, project)
}
