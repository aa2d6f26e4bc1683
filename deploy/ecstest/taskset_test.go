package ecstest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/deploy/ecstest"
)

// TestTaskSet: the tasks of a set really start, are replaced when they end, and
// go when the set is ended; services that ECS itself deploys have none.
func TestTaskSet(t *testing.T) {
	definition := []byte(`{"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
		"containerDefinitions": [{"name": "app", "image": "web:1"}]}`)
	for _, c := range []struct {
		name            string
		story           ecstest.Story
		steady          bool
		running         int
		atLeast, atMost int // tasks that died within ten minutes
	}{
		{"well", ecstest.Story{}, true, 2, 0, 0},
		{"no such image", ecstest.Story{PullError: "CannotPullContainerError: not found"}, false, 0, 8, 40},
		{"crash", ecstest.Story{Start: time.Second, Crash: true, After: 30 * time.Second, Code: 1}, true, 0, 10, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				started := 0
				d := ecstest.New(ecstest.Options{Runtime: ecstest.ScriptFunc(func(ecstest.TaskSpec) ecstest.Story { started++; return c.story })})
				defer d.Close()
				arn, err := d.Seed(t.Context(), ecstest.ServiceSeed{Service: "web", TaskDefinition: definition, Desired: 2, Config: []byte(`{"deploymentController": {"type": "CODE_DEPLOY"}}`)})
				if err != nil {
					t.Fatal(err)
				}
				id, err := d.StartTaskSet("", "web", arn, 2)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				got := d.TaskSet("", "web", id)
				if died := started - got.Running; got.Desired != 2 || got.Steady.IsZero() == c.steady || died < c.atLeast || died > c.atMost+2 || c.running > 0 && got.Running != c.running {
					t.Errorf("%+v, %d started", got, started)
				}
				d.StopTaskSet("", "web", id)
				time.Sleep(time.Hour)
				synctest.Wait()
				before := started
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := d.TaskSet("", "web", id); got.Running+got.Pending != 0 || started != before {
					t.Errorf("ended: %+v, %d started", got, started-before)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		d := ecstest.New(ecstest.Options{Runtime: ecstest.Script{}})
		defer d.Close()
		arn, err := d.Seed(t.Context(), ecstest.ServiceSeed{Service: "web", TaskDefinition: definition, Desired: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.StartTaskSet("", "web", arn, 1); err == nil {
			t.Error("a task set for a service that ECS deploys")
		}
	})
}
