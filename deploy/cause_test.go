package deploy

import (
	"strings"
	"testing"
)

func TestFailureOf(t *testing.T) {
	exit := func(name string, code int, reason string) Container {
		return Container{Name: name, Exit: &code, Reason: reason}
	}
	essential := map[string]bool{"app": true, "proxy": true, "log": false}
	for _, c := range []struct {
		name       string
		task       Task
		none       bool // no failure
		text       string
		container  string
		unhealable bool
	}{
		{name: "exit 1", task: Task{StopCode: "EssentialContainerExited", Containers: []Container{exit("app", 1, "")}}, text: "container app exited with code 1", container: "app"},
		{name: "exit 0", task: Task{StopCode: "EssentialContainerExited", Containers: []Container{exit("app", 0, "")}}, text: "container app exited with code 0: it ended by itself", container: "app"},
		{name: "exit 126", task: Task{Containers: []Container{exit("app", 126, "")}}, text: "126: the entrypoint cannot be executed", container: "app"},
		{name: "exit 127", task: Task{Containers: []Container{exit("app", 127, "")}}, text: "127: the entrypoint was not found", container: "app"},
		{name: "exit 134", task: Task{Containers: []Container{exit("app", 134, "")}}, text: "134: aborted", container: "app"},
		{name: "exit 137", task: Task{Containers: []Container{exit("app", 137, "")}}, text: "137: killed, or out of memory", container: "app"},
		{name: "exit 139", task: Task{Containers: []Container{exit("app", 139, "")}}, text: "139: segmentation fault", container: "app"},
		{name: "exit 143", task: Task{Containers: []Container{exit("app", 143, "")}}, text: "143: terminated", container: "app"},
		{name: "exit by another signal", task: Task{Containers: []Container{exit("app", 135, "")}}, text: "135: signal 7", container: "app"},
		{name: "exit 255", task: Task{Containers: []Container{exit("app", 255, "")}}, text: "exited with code 255", container: "app"},
		{name: "out of memory", task: Task{Containers: []Container{exit("app", 137, "OutOfMemoryError: Container killed due to memory usage")}}, text: "container app ran out of memory (OutOfMemoryError", container: "app"},
		{name: "the sidecar was killed after the app died", task: Task{Containers: []Container{exit("proxy", 143, ""), exit("app", 3, "")}}, text: "container app exited with code 3", container: "app"},
		{name: "the app was killed after the sidecar died", task: Task{Containers: []Container{exit("app", 143, ""), exit("proxy", 2, "")}}, text: "container proxy exited with code 2", container: "proxy"},
		{name: "the app ended well, which ends the task", task: Task{Containers: []Container{exit("proxy", 137, ""), exit("app", 0, "")}}, text: "container app exited with code 0", container: "app"},
		{name: "a container that is not essential", task: Task{Containers: []Container{exit("log", 9, ""), exit("app", 1, "")}}, text: "container app exited", container: "app"},
		{name: "image not found", task: Task{StopCode: "TaskFailedToStart", StoppedReason: "CannotPullContainerError: failed to resolve ref x:\n2: not found", Containers: []Container{{Name: "app"}}},
			text: "the image cannot be pulled: CannotPullContainerError: failed to resolve ref x: 2: not found", unhealable: true},
		{name: "registry slow", task: Task{StopCode: "TaskFailedToStart", Containers: []Container{{Name: "app", Reason: "CannotPullContainerError: dial tcp: i/o timeout"}}},
			text: "the image cannot be pulled: CannotPullContainerError: dial tcp: i/o timeout", container: "app"},
		{name: "no such secret", task: Task{StopCode: "TaskFailedToStart", StoppedReason: "ResourceInitializationError: unable to pull secrets: ResourceNotFoundException: Secrets Manager can't find the specified secret."},
			text: "the task's resources cannot be set up: ResourceInitializationError", unhealable: true},
		{name: "other platform", task: Task{StopCode: "TaskFailedToStart", Containers: []Container{{Name: "app", Reason: "CannotStartContainerError: exec /java: exec format error"}}},
			text: "the image is for another platform", container: "app", unhealable: true},
		{name: "other platform, by exit", task: Task{Containers: []Container{exit("app", 1, "exec /java: exec format error")}}, text: "the image is for another platform", container: "app", unhealable: true},
		{name: "did not start, no word why", task: Task{StopCode: "TaskFailedToStart"}, text: "the task did not start"},
		{name: "target health", task: Task{StopCode: "ServiceSchedulerInitiated", StoppedReason: "Task failed ELB health checks in (target-group x)", Containers: []Container{exit("app", 143, "")}},
			text: "the task is unhealthy: Task failed ELB health checks in (target-group x)", container: "app"},
		{name: "container health", task: Task{StopCode: "ServiceSchedulerInitiated", StoppedReason: "Task failed container health checks", Containers: []Container{{Name: "proxy", Health: "HEALTHY"}, {Name: "app", Health: "UNHEALTHY"}}},
			text: "container app is unhealthy: Task failed container health checks", container: "app"},
		{name: "health without a stop code", task: Task{StoppedReason: "Task failed container health checks", Containers: []Container{exit("app", 143, "")}}, text: "the task is unhealthy", container: "app"},
		{name: "somebody", task: Task{StopCode: "UserInitiated", StoppedReason: "Task stopped by user", Containers: []Container{exit("app", 143, "")}}, text: "somebody stopped the task: Task stopped by user"},
		{name: "scaled in", task: Task{StopCode: "ServiceSchedulerInitiated", StoppedReason: "Scaling activity initiated by (deployment ecs-svc/1)", Containers: []Container{exit("app", 143, "")}}, none: true},
		{name: "spot", task: Task{StopCode: "SpotInterruption", Containers: []Container{exit("app", 143, "")}}, none: true},
		{name: "nothing known", task: Task{}, none: true},
		{name: "only a reason", task: Task{StoppedReason: "Timeout waiting for network interface provisioning to complete."}, text: "Timeout waiting for network interface"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, failed := failureOf(c.task, essential)
			if failed == c.none {
				t.Fatalf("failed: %v, %+v", failed, f)
			}
			if !strings.Contains(f.Text, c.text) || f.Container != c.container || f.Unhealable != c.unhealable || strings.Contains(f.Text, "\n") {
				t.Errorf("%q of container %q, unhealable %v; want %q, %q, %v", f.Text, f.Container, f.Unhealable, c.text, c.container, c.unhealable)
			}
		})
	}
}

// TestSameCause: ids, addresses and counts do not make another cause of it.
func TestSameCause(t *testing.T) {
	f := func(text string) Failure { return Failure{Container: "app", Text: text} }
	same := [][2]string{
		{"pull has been retried 1 time(s): dial tcp 10.0.0.1:443", "pull has been retried 5 time(s): dial tcp 10.0.7.23:443"},
		{"request id: 0f8fad5b-d9cb-469f-a165-70867728950e", "request id: 7c9e6679-7425-40de-944b-e07fc1f90ae7"},
	}
	for _, pair := range same {
		if f(pair[0]).kind() != f(pair[1]).kind() {
			t.Errorf("two causes: %q and %q", pair[0], pair[1])
		}
	}
	for _, pair := range [][2]string{{"exited with code 1", "ran out of memory"}, {"cannot be pulled: not found", "cannot be pulled: denied"}} {
		if f(pair[0]).kind() == f(pair[1]).kind() {
			t.Errorf("one cause: %q and %q", pair[0], pair[1])
		}
	}
}
