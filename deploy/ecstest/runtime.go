package ecstest

import (
	"context"
	"encoding/json"
	"time"
)

// TaskRuntime starts tasks and tells what becomes of them. The Double owns
// every decision (when a task starts, what its events mean, when it stops);
// the runtime owns the doing: pulling, starting, probing, signalling.
type TaskRuntime interface {
	// Start begins one task and returns without waiting for any of it. What
	// happens then goes to report: one call at a time, in order, from any
	// goroutine, possibly before Start has returned. report never blocks for
	// long and may be called after Stop; it calls nothing of the runtime's.
	//
	// A task that came up reports PullStarted, PullStopped, Started for each
	// container, then Listening and Health as they come, and ends with one
	// Exited for each container that Started. A task that cannot come up
	// reports FailedToStart, and Exited for whatever had Started, in whichever
	// order it learns of them.
	//
	// The end of ctx kills the task at once, without grace; the ends are
	// still reported. An error means that nothing was started and nothing
	// will be reported; its text becomes the task's stopped reason.
	Start(ctx context.Context, spec TaskSpec, report func(TaskEvent)) (Task, error)
}

// Placer is what a TaskRuntime may be beside: one that has no room for every
// task, as a cluster of EC2 instances.
type Placer interface {
	// Place says why a task cannot be placed, in ECS's words, or the empty
	// string. It is asked before each start, and again after a while.
	Place(TaskSpec) string
}

// Task is a task that a TaskRuntime started.
type Task interface {
	// Stop sends SIGTERM to every container, and SIGKILL to those that still
	// run after their StopTimeout, or after timeout where that is zero. It
	// returns at once; the ends are reported. A pull is broken off: what has
	// not started never will, and one FailedToStart without a Reason is
	// reported for it. Stopping twice, or after the end, does nothing.
	Stop(timeout time.Duration)
	// Done is closed when nothing of the task is left: no process, no mount,
	// no listener, and no call of report still to come.
	Done() <-chan struct{}
}

// TaskSpec is one task as ECS would hand it to its agent.
type TaskSpec struct {
	ID         string            // 32 hexadecimal digits, unique
	Cluster    string            // name
	Service    string            // name; empty for RunTask
	Deployment string            // "ecs-svc/N"; empty for RunTask
	Family     string            // of the task definition
	Revision   int               // of the task definition
	Definition json.RawMessage   // the whole task definition as DescribeTaskDefinition gives it
	Containers []ContainerSpec   // in the definition's order
	Target     *Target           // what the service's load balancer sends requests to; nil without one
	MemoryMiB  int               // the task's limit; 0: none
	CPUUnits   int               // 1024 is one processor; 0: none
	Tags       map[string]string // the task's tags
}

// Target is the port behind the service's (first) load balancer. The runtime
// judges its health and reports it as Health with an empty Container.
type Target struct {
	Container string // name
	Port      int    // inside the container
	// Interval is the time between two checks, Unhealthy how many failures
	// make the target unhealthy: its target group's settings.
	Interval  time.Duration
	Unhealthy int
}

// ContainerSpec is one container of a task, defaults of ECS filled in.
type ContainerSpec struct {
	Name             string
	Image            string // reference as registered, by tag or digest
	Essential        bool
	EntryPoint       []string // nil: the image's
	Command          []string // nil: the image's, unless EntryPoint is set
	Environment      map[string]string
	User             string // "", "user", "user:group", "uid", "uid:gid"
	WorkingDirectory string // empty: the image's
	HealthCheck      *HealthCheck
	PortMappings     []PortMapping
	StopTimeout      time.Duration // 0: none asked for
	ReadonlyRoot     bool
	MemoryMiB        int // hard limit; 0: none
}

// HealthCheck is a container health check with ECS's defaults filled in:
// interval 30 s, timeout 5 s, 3 retries, no start period.
type HealthCheck struct {
	Command     []string // "CMD", argv… or "CMD-SHELL", line; never "NONE"
	Interval    time.Duration
	Timeout     time.Duration
	Retries     int
	StartPeriod time.Duration
}

// PortMapping is a port that a container offers.
type PortMapping struct {
	Name          string
	ContainerPort int
	HostPort      int    // 0: any
	Protocol      string // tcp, udp
}

// TaskEvent is one of PullStarted, PullStopped, Started, Listening, Health,
// Exited and FailedToStart.
type TaskEvent interface{ taskEvent() }

// PullStarted: the first image's pull began.
type PullStarted struct{}

// PullStopped: all images are here. Digests, where known, are the manifest
// digests ("sha256:…") by container name.
type PullStopped struct{ Digests map[string]string }

// Started: a container's process runs. PID is 0 where there is none.
type Started struct {
	Container string
	PID       int
}

// Listening: the task's target (or, without one, its first mapped port)
// accepts connections at Address, where a proxy on this machine can reach it:
// "unix:/path" or "127.0.0.1:port".
type Listening struct{ Address string }

// Health is a change of health: of a container's own health check, or, with
// an empty Container, of the target behind the load balancer. Reason is the
// target's or the check's own words for an unhealthy one, as ELB puts them
// ("Health checks failed with these codes: [503]").
type Health struct {
	Container string
	Healthy   bool
	Reason    string
}

// Exited: a container's process ended. Code is its exit code, 128 + signal
// when one killed it. Reason is empty or what ECS would put into the
// container's reason ("OutOfMemoryError: Container killed due to memory usage").
type Exited struct {
	Container string
	Code      int
	Reason    string
}

// Printed: a container wrote a line. A runtime that keeps the output by
// itself need not report it; what is reported goes where the container's
// awslogs configuration says, and CloudWatch Logs' GetLogEvents shows it.
type Printed struct{ Container, Line string }

// FailedToStart: the task will not come up. Reason begins with ECS's word:
// "CannotPullContainerError: …", "CannotStartContainerError: …",
// "ResourceInitializationError: …". Container names the culprit, where there
// is one.
type FailedToStart struct {
	Container string
	Reason    string
}

func (PullStarted) taskEvent()   {}
func (PullStopped) taskEvent()   {}
func (Started) taskEvent()       {}
func (Listening) taskEvent()     {}
func (Health) taskEvent()        {}
func (Exited) taskEvent()        {}
func (Printed) taskEvent()       {}
func (FailedToStart) taskEvent() {}
