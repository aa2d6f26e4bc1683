package deploy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const notFound = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref registry/web@sha256:22: not found"

var (
	throttled   = &CallError{Call: "ecs:DescribeServices", Fate: Throttled, Err: errors.New("rate exceeded")}
	denied      = &CallError{Call: "ecs:ListServiceDeployments", Fate: Denied, Err: errors.New("not authorized to perform: ecs:ListServiceDeployments")}
	unsupported = &CallError{Call: "ecs:ListServiceDeployments", Fate: Unsupported, Err: errors.New("unknown operation")}
	expired     = &CallError{Call: "ecs:DescribeServices", Fate: Refused, Err: errors.New("the security token has expired")}
)

// TestStories tells the follower whole rollouts. by is the latest second at
// which it must know, given that it looks every 2.5 s, then every 5 s.
func TestStories(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
		moments []moment
		want    Outcome
		cause   string // part of Result.Cause; "" where it must be empty
		detail  string
		by      int
		told    string // an event that must be among those told, by %T and part of %+v
	}{
		{name: "success", moments: []moment{at(5, counts(0, 2), record("IN_PROGRESS", "")), at(40, counts(2, 0)), at(70, succeed)},
			want: Succeeded, by: 75, told: "deploy.State SUCCESSFUL"},
		{name: "successful, but the old tasks still drain", moments: []moment{at(40, counts(2, 0), record("SUCCESSFUL", ""), rollout("COMPLETED", "")), at(90, oldGone)},
			want: Succeeded, by: 95},
		{name: "successful, then a task short for a while", moments: []moment{at(40, succeed, counts(1, 1)), at(60, counts(2, 0))},
			want: Succeeded, by: 65},
		{name: "successful, but never whole", timeout: 5 * time.Minute, moments: []moment{at(40, succeed, counts(1, 1))},
			want: TimedOut, cause: "after 5m0s 1 of 2 tasks run", by: 301},
		{name: "desired count 0", moments: []moment{
			at(0, func(s *scene) {
				s.service.Desired = 0
				s.deployment(oursID).Desired = 0
				s.deployment("ecs-svc/1").Running = 0
			}),
			at(10, succeed, counts(0, 0))}, want: Succeeded, by: 13, told: "deploy.Unverified"},
		{name: "crash loop, breaker rolls back", moments: []moment{
			at(0, breaker(true)), at(20, stopped(1, crash(1))), at(60, stopped(2, crash(1))),
			at(90, tripped, record("ROLLBACK_REQUESTED", "ECS deployment circuit breaker"), rollout("FAILED", "ECS deployment circuit breaker: tasks failed to start.")),
			at(95, record("ROLLBACK_IN_PROGRESS", ""), primary("ecs-svc/3", oldTask, 0, "IN_PROGRESS", "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.", 2)),
			at(130, record("ROLLBACK_SUCCESSFUL", ""), gone(oursID))},
			want: RolledBack, cause: "container app exited with code 1 (task 000000000000, × 3)", detail: "runs 2 of 2 tasks of web:7", by: 135, told: "deploy.State ROLLBACK_IN_PROGRESS"},
		{name: "breaker without rollback", moments: []moment{
			at(0, breaker(false)), at(20, stopped(3, crash(137))),
			at(60, tripped, record("STOPPED", "Service deployment stopped because the circuit breaker threshold was exceeded."), rollout("FAILED", "circuit breaker"))},
			want: Failed, cause: "137: killed, or out of memory", detail: "2 tasks of web:7 still there", by: 70},
		{name: "first deployment, the way back fails too", moments: []moment{
			at(0, breaker(true), oldGone), at(20, stopped(3, crash(143))), at(60, tripped, record("ROLLBACK_FAILED", "nothing to roll back to"))},
			want: RollbackFailed, cause: "143: terminated", by: 76},
		{name: "crash loop without breaker", moments: []moment{
			at(20, counts(1, 0), stopped(2, crash(139))), at(80, stopped(2, crash(139))), at(160, counts(0, 2), stopped(2, crash(139)))},
			want: Failed, cause: "139: segmentation fault (task 000000000000, × 6)", detail: "no circuit breaker", by: 170},
		{name: "crash loop that escapes the breaker", moments: []moment{
			at(0, breaker(true)), at(20, stopped(4, crash(1)), rollout("IN_PROGRESS", "")), at(60, stopped(4, crash(1)), func(s *scene) { s.deployment(oursID).Failed = 0 }),
			at(100, stopped(4, crash(1)), func(s *scene) { s.deployment(oursID).Failed = 0 })},
			want: Failed, cause: "× 12", detail: "does not notice", by: 205},
		{name: "a crash, then it heals", moments: []moment{at(20, stopped(3, crash(1))), at(60, counts(2, 0)), at(90, succeed)},
			want: Succeeded, by: 95, told: "deploy.TaskFailed exited with code 1"},
		{name: "image not found, no breaker", moments: []moment{at(15, stopped(1, pullError(notFound))), at(45, stopped(1, pullError(strings.Replace(notFound, "1 time", "5 time", 1))))},
			want: Failed, cause: "the image cannot be pulled: " + notFound + " (task 000000000000, × 2)", by: 50},
		{name: "image not found, breaker", moments: []moment{
			at(0, breaker(true)), at(15, stopped(2, pullError(notFound)))},
			want: Failed, cause: "× 2", detail: "another try cannot cure it", by: 18},
		{name: "image not found, breaker without rollback", moments: []moment{
			at(0, breaker(false)), at(15, stopped(2, pullError(notFound))), at(60, stopped(2, pullError(notFound))),
			at(90, tripped, record("STOPPED", ""), rollout("FAILED", ""))},
			want: Failed, cause: "× 4", by: 125},
		{name: "the earliest distinct cause", moments: []moment{
			at(20, stopped(1, pullError("ResourceInitializationError: unable to pull secrets or registry auth: i/o timeout"))), at(50, stopped(7, crash(1)))},
			want: Failed, cause: "ResourceInitializationError", by: 60},
		{name: "unhealthy behind a load balancer", moments: []moment{
			at(55, event("(service web) (task 1) (port 8080) is unhealthy in (target-group arn:aws:elasticloadbalancing:x) due to (reason Health checks failed with these codes: [500])")),
			at(60, stopped(6, Task{StopCode: "ServiceSchedulerInitiated", StoppedReason: "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:x)", Containers: []Container{{Name: "app", Exit: new(int)}}}))},
			want: Failed, cause: "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:x): Health checks failed with these codes: [500]", by: 66},
		{name: "tasks that are scaled in are no failures", moments: []moment{
			at(10, stopped(9, Task{StopCode: "ServiceSchedulerInitiated", StoppedReason: "Scaling activity initiated by (deployment ecs-svc/2)", Containers: []Container{{Name: "app", Exit: new(int)}}})), at(50, succeed)},
			want: Succeeded, by: 55},
		{name: "tasks of others are no failures", moments: []moment{at(10, func(s *scene) {
			other := crash(1)
			other.StartedBy = "ecs-svc/1"
			stopped(9, other)(s)
		}), at(50, succeed)}, want: Succeeded, by: 55},
		{name: "superseded", moments: []moment{at(30, primary("ecs-svc/9", "x/web:9", 0, "IN_PROGRESS", "", 0), record("STOPPED", "a new deployment started"))},
			want: Superseded, cause: "deployment ecs-svc/9 of web:9 took over", by: 33},
		{name: "superseded, the other shows later", moments: []moment{at(30, record("STOPPED", "")), at(34, primary("ecs-svc/9", "x/web:9", 0, "IN_PROGRESS", "", 0))},
			want: Superseded, cause: "web:9", by: 38},
		{name: "superseded, our record lags", moments: []moment{at(30, primary("ecs-svc/9", newTask, 0, "IN_PROGRESS", "", 0))},
			want: Superseded, cause: "web:8", by: 57},
		{name: "superseded after success", moments: []moment{at(30, counts(2, 0), record("SUCCESSFUL", ""), primary("ecs-svc/9", "x/web:9", 0, "IN_PROGRESS", "", 0))},
			want: Superseded, cause: "web:9", by: 35},
		{name: "superseded while crashing keeps the other as its cause", moments: []moment{at(20, stopped(2, crash(1))), at(30, primary("ecs-svc/9", "x/web:9", 0, "IN_PROGRESS", "", 0), record("STOPPED", ""))},
			want: Superseded, cause: "took over", by: 33},
		{name: "a read from before the update", moments: []moment{
			at(0, primary("ecs-svc/1", oldTask, time.Hour, "COMPLETED", "", 2), gone(oursID)),
			at(40, func(s *scene) { *s = *fresh(s) }), at(60, succeed)},
			want: Succeeded, by: 65},
		{name: "stopped by somebody", moments: []moment{at(30, record("STOPPED", "Service deployment stopped by user"))},
			want: Stopped, cause: "stopped by user", by: 95},
		{name: "rolled back by somebody", moments: []moment{
			at(30, record("ROLLBACK_REQUESTED", "Rollback requested by user"), func(s *scene) { s.records[1].RollbackReason = "Rollback requested by user" }), at(60, record("ROLLBACK_SUCCESSFUL", "done"))},
			want: RolledBack, cause: "Rollback requested by user", by: 120},
		{name: "an alarm rolls back", moments: []moment{
			at(30, func(s *scene) { s.records[1].Alarms = []string{"web-5xx"} }, record("ROLLBACK_IN_PROGRESS", "alarm")), at(60, record("ROLLBACK_SUCCESSFUL", ""))},
			want: RolledBack, cause: "alarm web-5xx went off", by: 120},
		{name: "no room for the tasks", timeout: 3 * time.Minute, moments: []moment{at(10, event("(service web) was unable to place a task because no container instance met all of its requirements."))},
			want: TimedOut, cause: "after 3m0s 0 of 2 tasks run: (service web) was unable to place a task", by: 181, told: "deploy.Said unable to place"},
		{name: "breaker without a task to show", moments: []moment{
			at(10, event("(service web) was unable to place a task because no container instance met all of its requirements.")),
			at(60, tripped, record("STOPPED", "the circuit breaker threshold was exceeded"), rollout("FAILED", "circuit breaker"))},
			want: Failed, cause: "unable to place a task", by: 70},
		{name: "nothing moves", timeout: 10 * time.Minute, want: TimedOut, cause: "after 10m0s 0 of 2 tasks run", detail: "nothing was stopped", by: 601},
		{name: "new tasks run, old ones never go", timeout: 5 * time.Minute, moments: []moment{at(20, counts(2, 0))},
			want: TimedOut, cause: "2 of 2 tasks run and old ones have not gone", by: 301},
		{name: "a crash loop meets the deadline", timeout: time.Minute, moments: []moment{at(0, breaker(true)), at(30, stopped(1, crash(1)))},
			want: TimedOut, cause: "container app exited with code 1 (task 000000000000); after 1m0s", by: 61},
		{name: "the deadline comes while rolling back", timeout: time.Minute, moments: []moment{at(30, stopped(1, crash(1)), record("ROLLBACK_IN_PROGRESS", ""))},
			want: TimedOut, cause: "exited with code 1", detail: "goes on rolling back", by: 61},
		{name: "the service is deleted", moments: []moment{at(20, func(s *scene) { s.service.Status = "INACTIVE" })}, want: Failed, cause: "service web was deleted", by: 25},
		{name: "throttled for five minutes", moments: []moment{at(10, failing("service", throttled)), at(310, failing("service", nil), succeed)},
			want: Succeeded, by: 321, told: "deploy.Trouble rate exceeded"},
		{name: "credentials expire and are renewed", moments: []moment{at(10, failing("service", expired), failing("deployments", expired), failing("tasks", expired)),
			at(310, failing("service", nil), succeed), at(320, failing("deployments", nil), failing("tasks", nil))},
			want: Succeeded, by: 326},
		{name: "never readable", timeout: 5 * time.Minute, moments: []moment{at(0, failing("service", throttled))}, want: TimedOut, cause: "the service could not be read", by: 301},
		{name: "tasks may not be read", moments: []moment{
			at(0, breaker(true), failing("tasks", denied)), at(30, stopped(3, crash(1))), at(60, tripped, record("ROLLBACK_IN_PROGRESS", "health checks failed")), at(80, record("ROLLBACK_SUCCESSFUL", "health checks failed"))},
			want: RolledBack, cause: "health checks failed", by: 85, told: "deploy.Trouble log instead of its tasks"},
		{name: "the stopped task shows after the verdict", moments: []moment{at(30, record("ROLLBACK_SUCCESSFUL", "")), at(33, stopped(1, crash(1)))},
			want: RolledBack, cause: "exited with code 1", by: 52},
		{name: "our record shows late", moments: []moment{
			at(0, func(s *scene) { s.records = s.records[:1] }), at(30, func(s *scene) {
				s.records = append(s.records, ServiceDeployment{ARN: "sd/2", Status: "IN_PROGRESS", TaskDefinition: newTask, Created: clock0})
			}), at(60, succeed)}, want: Succeeded, by: 65},
		{name: "our record never shows", moments: []moment{at(0, func(s *scene) { s.records = s.records[:1] }), at(40, counts(2, 0), oldGone, rollout("COMPLETED", ""))},
			want: Succeeded, by: 68},

		// Without permission for service deployments.
		{name: "denied: success", moments: []moment{at(0, failing("deployments", denied)), at(40, counts(2, 0), rollout("COMPLETED", "")), at(60, oldGone)},
			want: Succeeded, by: 65, told: "deploy.Trouble rollout state is followed instead"},
		{name: "unsupported: a service without rollout states", moments: []moment{at(0, failing("deployments", unsupported), rollout("", "")), at(40, counts(2, 0)), at(60, oldGone)},
			want: Succeeded, by: 65},
		{name: "denied: breaker rolls back to a new deployment", moments: []moment{
			at(0, failing("deployments", denied), breaker(true)), at(20, stopped(3, crash(1))),
			at(60, rollout("FAILED", "ECS deployment circuit breaker: tasks failed to start.")),
			at(64, primary("ecs-svc/3", oldTask, 0, "IN_PROGRESS", "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.", 0)),
			at(120, primary("ecs-svc/3", oldTask, 0, "COMPLETED", "", 2), gone(oursID), oldGone)},
			want: RolledBack, cause: "exited with code 1", by: 125},
		{name: "denied: breaker promotes the old deployment", moments: []moment{
			at(0, failing("deployments", denied), breaker(true)), at(20, stopped(3, crash(1))), at(60, rollout("FAILED", "ECS deployment circuit breaker: tasks failed to start.")),
			at(64, primary("ecs-svc/1", oldTask, time.Hour, "COMPLETED", "", 2))},
			want: RolledBack, cause: "exited with code 1", by: 70},
		{name: "denied: the way back fails", moments: []moment{
			at(0, failing("deployments", denied), breaker(true)), at(60, stopped(3, crash(1)), rollout("FAILED", "")),
			at(64, primary("ecs-svc/3", oldTask, 0, "FAILED", "rolling back to deploymentId ecs-svc/1.", 0))},
			want: RollbackFailed, cause: "exited with code 1", by: 70},
		{name: "denied: breaker without rollback", moments: []moment{
			at(0, failing("deployments", denied), breaker(false)), at(50, stopped(3, crash(1))), at(60, rollout("FAILED", "tasks failed to start"))},
			want: Failed, cause: "exited with code 1", by: 65},
		{name: "denied: rollback that never begins", moments: []moment{
			at(0, failing("deployments", denied), breaker(true)), at(60, rollout("FAILED", "tasks failed to start"))},
			want: Failed, cause: "tasks failed to start", by: 95},
		{name: "denied: superseded", moments: []moment{at(0, failing("deployments", denied)), at(30, primary("ecs-svc/9", "x/web:9", 0, "IN_PROGRESS", "", 0))},
			want: Superseded, cause: "web:9", by: 43},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, r, end, told := watch(t, Options{Timeout: c.timeout}, c.moments)
			if r.Outcome != c.want || !strings.Contains(r.Cause, c.cause) || (c.cause == "") != (r.Cause == "") || !strings.Contains(r.Detail, c.detail) {
				t.Errorf("%s, cause %q, detail %q; want %s, %q, %q", r.Outcome, r.Cause, r.Detail, c.want, c.cause, c.detail)
			}
			if end > time.Duration(c.by)*time.Second {
				t.Errorf("known after %s, want by %ds", end, c.by)
			}
			if c.told != "" && !saw(told, c.told) {
				t.Errorf("no event %q in %+v", c.told, told)
			}
		})
	}
}

// fresh is the scene as it was after UpdateService, with s's account of looks.
func fresh(s *scene) *scene {
	n := newScene()
	n.looks, n.elapsed = s.looks, s.elapsed
	return n
}

func saw(told []Event, what string) bool {
	kind, part, _ := strings.Cut(what, " ")
	for _, e := range told {
		if fmt.Sprintf("%T", e) == kind && strings.Contains(fmt.Sprintf("%+v", e), part) {
			return true
		}
	}
	return false
}

// TestToldOnce: each state, service event and cause is told once.
func TestToldOnce(t *testing.T) {
	_, _, _, told := watch(t, Options{}, []moment{
		at(5, record("IN_PROGRESS", ""), event("(service web) has started 2 tasks")), at(20, stopped(2, crash(1))), at(60, event("(service web) is unhealthy")), at(100, succeed),
	})
	seen := map[string]int{}
	for _, e := range told {
		switch e := e.(type) {
		case State:
			seen["state "+e.Status]++
		case Said:
			seen["said "+e.Message]++
		case TaskFailed:
			seen[fmt.Sprint("failed ", e.Again)]++
		}
	}
	want := map[string]int{"state PENDING": 0, "state IN_PROGRESS": 1, "state SUCCESSFUL": 1, "said (service web) has started 2 tasks": 1, "said (service web) is unhealthy": 1, "failed false": 1, "failed true": 1}
	for what, n := range want {
		if seen[what] != n && what != "state PENDING" {
			t.Errorf("%s: told %d times, want %d", what, seen[what], n)
		}
	}
}

// TestPhases: the tasks are counted by phase while they come up.
func TestPhases(t *testing.T) {
	phase := func(edit func(*Task)) func(*scene) {
		return func(s *scene) {
			s.tasks = []Task{{ARN: "x/1", StartedBy: oursID}, {ARN: "x/2", StartedBy: "ecs-svc/1", LastStatus: "RUNNING"}}
			edit(&s.tasks[0])
			s.deployment(oursID).Pending++ // something changed: a reason to look
		}
	}
	_, _, _, told := watch(t, Options{}, []moment{
		at(4, phase(func(t *Task) { t.LastStatus = "PROVISIONING" })),
		at(14, phase(func(t *Task) { t.LastStatus, t.PullStarted = "PENDING", clock0 })),
		at(24, phase(func(t *Task) { t.LastStatus, t.PullStarted, t.PullStopped = "PENDING", clock0, clock0 })),
		at(34, phase(func(t *Task) { t.LastStatus, t.Health = "RUNNING", "UNKNOWN" })),
		at(44, phase(func(t *Task) { t.LastStatus, t.Health = "RUNNING", "HEALTHY" })),
		at(54, succeed),
	})
	var got []Tasks
	for _, e := range told {
		if c, ok := e.(Tasks); ok {
			got = append(got, c)
		}
	}
	want := []Tasks{{Desired: 2, Provisioning: 1}, {Desired: 2, Pulling: 1}, {Desired: 2, Starting: 1}, {Desired: 2, Running: 1}, {Desired: 2, Healthy: 1}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("told %+v, want %+v", got, want)
	}
}

// TestCalls bounds what a quiet rollout of five minutes costs: looks at the
// tasks take two calls when one is listed, else one.
func TestCalls(t *testing.T) {
	s, r, _, _ := watch(t, Options{}, []moment{
		at(10, counts(0, 2), record("IN_PROGRESS", ""), func(s *scene) {
			s.tasks = []Task{{ARN: "x/1", StartedBy: oursID, LastStatus: "PENDING"}, {ARN: "x/2", StartedBy: oursID, LastStatus: "PENDING"}}
		}), at(200, counts(2, 0)), at(300, succeed)})
	if r.Outcome != Succeeded {
		t.Fatal(r)
	}
	if n := s.looks["service"]; n > 80 {
		t.Errorf("%d DescribeServices in 5 minutes", n)
	}
	if n := s.looks["deployments"]; n > 10 {
		t.Errorf("%d DescribeServiceDeployments in 5 minutes", n)
	}
	if n := s.looks["tasks"]; n > 10 {
		t.Errorf("%d looks at the tasks in 5 minutes", n)
	}
}

// TestPace: below 3 s in the first minute, then below 5 s, or as the options say.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		jitter  float64
		elapsed time.Duration
		every   time.Duration
		want    time.Duration
	}{
		{0, 0, 0, 2550 * time.Millisecond},
		{0.99, 59 * time.Second, 0, 2847 * time.Millisecond},
		{0, time.Minute, 0, 4300 * time.Millisecond},
		{0.99, time.Hour, 0, 4795 * time.Millisecond},
		{0.99, time.Hour, 200 * time.Millisecond, 200 * time.Millisecond},
	} {
		f := NewFollower(Begun{ID: oursID}, nil, Options{PollEvery: c.every, Jitter: func() float64 { return c.jitter }}, local0)
		if got := f.pace(local0.Add(c.elapsed)); got != c.want {
			t.Errorf("pace after %s with jitter %v: %s, want %s", c.elapsed, c.jitter, got, c.want)
		}
	}
}
