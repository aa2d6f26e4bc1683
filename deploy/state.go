package deploy

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// Target names a service: names or ARNs, as ECS takes them.
type Target struct {
	Cluster string
	Service string
}

// Reader reads from ECS. Its errors are *CallError where ECS or the way to it
// is at fault, and of class fault.Missing or fault.BadInput where the user
// has to act: credentials, a service that does not exist.
type Reader interface {
	// Service reads the target.
	Service(ctx context.Context, t Target) (Service, error)
	// TaskDefinition reads a revision by ARN, or a family's latest by name.
	TaskDefinition(ctx context.Context, name string) (TaskDefinition, error)
	// ServiceDeployments reads the one with this ARN or, when arn is empty,
	// those created at since or later, oldest first.
	ServiceDeployments(ctx context.Context, t Target, arn string, since time.Time) ([]ServiceDeployment, error)
	// History reads the newest service deployments, newest first, at most
	// limit. ECS keeps them for 90 days.
	History(ctx context.Context, t Target, limit int) ([]ServiceDeployment, error)
	// Tasks reads the tasks that a query asks for, in no order.
	Tasks(ctx context.Context, t Target, q TaskQuery) ([]Task, error)
}

// Writer changes ECS. Register and Update send one request and never repeat
// it: neither has a client token, so only the caller, who can read back, may
// decide to send it again. Errors are those of Reader.
type Writer interface {
	// Register registers a definition, given as RegisterTaskDefinition's
	// body, and returns the new revision's ARN.
	Register(ctx context.Context, definition json.RawMessage) (string, error)
	// Update makes the service run a revision and returns the service as
	// ECS answered. force starts a deployment even without a change.
	Update(ctx context.Context, t Target, taskDefinition string, force bool) (Service, error)
	// StopDeployment has ECS roll a service deployment back, given by its ARN,
	// while it goes on. Doing it twice changes nothing.
	StopDeployment(ctx context.Context, arn string) error
}

// TargetReader reads what load balancers do to a rollout's time.
type TargetReader interface {
	// TargetGroups reads the groups with these ARNs.
	TargetGroups(ctx context.Context, arns []string) ([]TargetGroup, error)
	// Tagged is Service with its tags read, which is a permission of its own.
	Tagged(ctx context.Context, t Target) (Service, error)
}

// API is all of it.
type API interface {
	Reader
	Writer
	LogReader
	TargetReader
	TaskRunner
}

// TargetGroup is what of a target group takes time.
type TargetGroup struct {
	ARN      string
	Interval time.Duration // between two health checks
	Healthy  int           // successes in a row that make a target healthy
	Draining time.Duration // the deregistration delay
}

// TaskQuery chooses tasks of one deployment. Listing costs a call for each of
// the two lists, and describing one for every 100 tasks.
type TaskQuery struct {
	StartedBy string   // the deployment's id; empty: of whatever started them
	Known     []string // ARNs to describe, whatever the lists say
	Listed    bool     // those that are to run, by the service's list,
	Stopped   bool     // and those that stopped within the last hour or so
}

// Service is a service as DescribeServices shows it.
type Service struct {
	ARN              string
	Name             string
	Cluster          string        // ARN
	Status           string        // ACTIVE, DRAINING, INACTIVE
	Controller       string        // ECS, CODE_DEPLOY, EXTERNAL; empty means ECS
	Strategy         string        // ROLLING, BLUE_GREEN, LINEAR, CANARY; empty means ROLLING
	Breaker          bool          // the deployment circuit breaker or an alarm can fail a deployment
	Rollback         bool          // and then ECS rolls back
	Bake             time.Duration // that a rollout waits by configuration, all steps together
	TaskDefinition   string        // ARN
	Desired          int
	Minimum, Maximum int           // percent of the desired count while rolling
	EarlySuccess     bool          // successful before the old tasks are gone
	Grace            time.Duration // health checks of new tasks are ignored that long
	TargetGroups     []string      // ARNs
	Stack            string        // of CloudFormation, where the tags were read
	Terraform        bool          // a tag says that Terraform manages it
	// Where its tasks run, as the service asks for it. LaunchType (FARGATE, EC2,
	// EXTERNAL) is empty with CapacityProviders, which then say it: FARGATE,
	// FARGATE_SPOT, or names of the account's own. PlatformVersion is Fargate's:
	// LATEST, 1.4.0, …; empty on others.
	LaunchType        string
	PlatformVersion   string
	CapacityProviders []string
	// Of a service that CodeDeploy deploys: the id of the deployment that made
	// its primary task set; and where its load balancer sends requests.
	TaskSetOf       string
	TargetContainer string
	TargetPort      int
	Deployments     []Deployment
	Events          []ServiceEvent
}

// Primary is the deployment that the service is moving to or has reached.
func (s Service) Primary() (Deployment, bool) {
	for _, d := range s.Deployments {
		if d.Status == "PRIMARY" {
			return d, true
		}
	}
	return Deployment{}, false
}

// Fargate reports whether Fargate alone runs the service's tasks: what then
// pulls images is containerd.
func (s Service) Fargate() bool {
	for _, p := range s.CapacityProviders {
		if p != "FARGATE" && p != "FARGATE_SPOT" {
			return false
		}
	}
	return s.LaunchType == "FARGATE" || s.LaunchType == "" && len(s.CapacityProviders) > 0
}

// Deployment is one entry of a service's list.
type Deployment struct {
	ID             string // ecs-svc/…
	Status         string // PRIMARY, ACTIVE, INACTIVE
	TaskDefinition string // ARN
	Desired        int
	Pending        int
	Running        int
	Failed         int    // goes back to 0 once a task runs
	RolloutState   string // IN_PROGRESS, COMPLETED, FAILED
	RolloutReason  string
	Created        time.Time // ECS's clock
}

// whole reports whether the deployment runs what it should.
func (d Deployment) whole() bool { return d.Running == d.Desired && d.Pending == 0 }

// ServiceEvent is a line of the service's event log, of which ECS keeps 100.
type ServiceEvent struct {
	ID      string
	Created time.Time
	Message string
}

// ServiceDeployment is what DescribeServiceDeployments shows.
type ServiceDeployment struct {
	ARN              string
	Status           string // PENDING … ROLLBACK_FAILED
	Reason           string
	TaskDefinition   string // ARN of the target revision's; empty when it cannot be read
	Created          time.Time
	Finished         time.Time // zero while it goes on
	RollbackReason   string
	Stage            string  // of a deployment that shifts traffic: PRE_SCALE_UP … CLEAN_UP
	Production, Test float64 // percent of the traffic that goes to the new revision
	Hooks            []Hook  // of the present stage
	BreakerTriggered bool
	BreakerThreshold int // 0 while unknown
	Alarms           []string
}

// Hook is a lifecycle hook at work.
type Hook struct {
	ID       string
	Status   string // AWAITING_ACTION, IN_PROGRESS, SUCCEEDED, FAILED, TIMED_OUT
	Function string // ARN; empty for one that pauses
	Expires  time.Time
	After    string // what ECS does then: CONTINUE, ROLLBACK
}

// Paused reports whether it waits for a person.
func (h Hook) Paused() bool { return h.Status == "AWAITING_ACTION" }

// shifts reports whether a strategy shifts traffic from one revision to
// another.
func shifts(strategy string) bool {
	return strategy == "BLUE_GREEN" || strategy == "LINEAR" || strategy == "CANARY"
}

// ongoing reports whether the deployment is still on its way forward.
func (d ServiceDeployment) ongoing() bool { return d.Status == "PENDING" || d.Status == "IN_PROGRESS" }

// Task is what DescribeTasks shows. Times are zero until they come.
type Task struct {
	ARN           string
	StartedBy     string
	LastStatus    string // PROVISIONING … STOPPED
	DesiredStatus string // RUNNING, STOPPED
	Health        string // HEALTHY, UNHEALTHY, UNKNOWN
	StopCode      string
	StoppedReason string
	Definition    string // ARN
	Created       time.Time
	PullStarted   time.Time
	PullStopped   time.Time
	Started       time.Time
	Stopping      time.Time // its end was decided
	Ended         time.Time // the containers have: what they leave is known
	Stopped       time.Time // the task is cleared away, too
	Containers    []Container
}

// ID is the last part of the task's ARN.
func (t Task) ID() string { return afterSlash(t.ARN) }

// over reports whether the task has ended, though it may not be cleared away.
func (t Task) over() bool {
	return t.LastStatus == "STOPPED" || t.LastStatus == "DEPROVISIONING" || !t.Stopped.IsZero() || !t.Ended.IsZero()
}

// condemned reports whether ECS is ending the task for its health: the cause
// is known, though the task drains for minutes.
func (t Task) condemned() bool {
	return t.DesiredStatus == "STOPPED" && t.StopCode == "ServiceSchedulerInitiated" && strings.Contains(t.StoppedReason, "health check")
}

// end is when its end began, by ECS's clock, as far as that is known.
func (t Task) end() time.Time {
	for _, at := range []time.Time{t.Stopping, t.Ended} {
		if !at.IsZero() {
			return at
		}
	}
	return t.Stopped
}

// Container is one container of a task.
type Container struct {
	Name   string
	Exit   *int // nil while it runs or if it never started
	Reason string
	Health string
	// Runtime is its id on the host, empty if it never started.
	Runtime string
}

// ShortName is what people call an ARN: "web:7" for a task definition,
// "web" for a service.
func ShortName(arn string) string { return afterSlash(arn) }

func afterSlash(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
