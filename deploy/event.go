package deploy

import "time"

// Event is something that happened in a rollout, said once: one of the types
// below.
type Event interface{ event() }

// Registered is a new task definition revision.
type Registered struct{ TaskDefinition string }

// Began is a deployment that was started, or found going on.
type Began struct {
	Deployment     string // ecs-svc/…
	TaskDefinition string
	Found          bool // it was going on already
	Resumed        bool // an earlier run began it, and did not come to its end
}

// State is a new state of the deployment, in ECS's words.
type State struct {
	Status string // IN_PROGRESS, ROLLBACK_IN_PROGRESS, … or COMPLETED, FAILED
	Reason string
}

// Stage is a new stage of a deployment that shifts traffic.
type Stage struct{ Name string }

// Traffic is how much of the traffic goes to the new revision, in percent.
type Traffic struct{ Production, Test float64 }

// HookWaits is a lifecycle hook that pauses the deployment until a person
// says how to go on, or has failed.
type HookWaits struct {
	Deployment string // ARN of the service deployment
	Hook       Hook
}

// Tasks counts the deployment's tasks by phase. Sent when a count changed.
type Tasks struct {
	Desired      int
	Provisioning int
	Pulling      int
	Starting     int
	Running      int // started, and without a health verdict
	Healthy      int
	Unhealthy    int
	Failed       int // stopped by a fault, all since the deployment began
}

// TaskFailed is the first task that shows a cause, or shows it again.
type TaskFailed struct {
	Failure Failure
	Again   bool // the same cause was seen before
}

// GaveUp is a rollout that cannot become well by itself, and is rolled back.
type GaveUp struct {
	Cause string
	To    string // ARN of the task definition that is gone back to
	By    string // by which means, in words
}

// Said is a line of the service's event log.
type Said struct {
	Time     time.Time // ECS's clock
	Message  string
	Alarming bool // it speaks of a failure
}

// Trouble is a read that failed. The wait goes on.
type Trouble struct {
	Err error
	// Without says what is done instead, when it is given up for good.
	Without string
}

// LeftEarly says what goes on in ECS when the wait ends before the rollout is
// steady, as was asked for.
type LeftEarly struct{ What string }

// Unverified says that success proves nothing: no task was asked for.
type Unverified struct{}

func (Registered) event() {}
func (Began) event()      {}
func (State) event()      {}
func (Tasks) event()      {}
func (TaskFailed) event() {}
func (Stage) event()      {}
func (Traffic) event()    {}
func (HookWaits) event()  {}
func (GaveUp) event()     {}
func (Said) event()       {}
func (Trouble) event()    {}
func (LeftEarly) event()  {}
func (Unverified) event() {}
