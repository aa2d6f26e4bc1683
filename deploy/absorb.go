package deploy

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// failures are the tasks of our deployment that a fault ended.
type failures struct {
	seen   map[string]bool // task ids
	total  int
	first  *Failure // the earliest, with its count
	at     time.Time
	byKind map[string]*Failure
}

// readable keeps account of a call that may fail: the first failure in a row
// is told, and those that will not pass are told as final.
func (f *Follower) readable(call string, err error, emit func(Event)) bool {
	if err == nil {
		delete(f.troubled, call)
		return true
	}
	if !f.troubled[call] {
		f.troubled[call] = true
		emit(Trouble{Err: err})
	}
	return false
}

// listen tells the lines of the service's log that are new and belong to our
// time, oldest first.
func (f *Follower) listen(log []ServiceEvent, emit func(Event)) {
	for _, e := range slices.Backward(log) { // ECS lists the newest first
		if f.said[e.ID] || e.Created.Before(f.begun.Created) {
			continue
		}
		f.said[e.ID] = true
		f.failed = f.failed || strings.Contains(e.Message, "(deployment "+f.begun.ID+") deployment failed")
		if m := rollingBack.FindStringSubmatch(e.Message); m != nil {
			f.backTo[m[1]] = true
		}
		if m := unhealthyTarget.FindStringSubmatch(e.Message); m != nil {
			f.targets = m[1]
		}
		if startedTasks.MatchString(e.Message) {
			f.launches++
			f.launched = f.launches > 1
		}
		bad := alarming.MatchString(e.Message)
		f.trouble = f.trouble || bad
		emit(Said{Time: e.Created, Message: oneLine(e.Message), Alarming: bad})
	}
}

// alarming is what the service's log says when tasks have failed.
var alarming = regexp.MustCompile(`unable|unhealthy|failed|rolling back|health check`)

// startedTasks is how the service's log says that it launches tasks. More
// than once can mean that it replaces some that died unseen.
var startedTasks = regexp.MustCompile(`has started \d+ tasks`)

// unhealthyTarget holds what the load balancer saw, which the stopped task
// itself does not say.
var unhealthyTarget = regexp.MustCompile(`is unhealthy in \(target-group .*?\) due to \(reason (.+?)\)\.?$`)

// rollingBack names the deployment that a breaker or an alarm goes back to.
var rollingBack = regexp.MustCompile(`rolling back to deployment (ecs-svc/\w+)`)

func (f *Follower) absorbDeployments(o Observation, emit func(Event)) {
	if o.DeploymentsErr != nil {
		if !final(o.DeploymentsErr) {
			f.readable("ecs:DescribeServiceDeployments", o.DeploymentsErr, emit)
			return
		}
		f.noReads, f.deployed = true, nil
		emit(Trouble{Err: o.DeploymentsErr, Without: "the service's own rollout state is followed instead"})
		return
	}
	if o.Deployments == nil {
		return
	}
	f.readable("ecs:DescribeServiceDeployments", nil, emit)
	found := f.pick(o.Deployments)
	if found == nil {
		return
	}
	f.deployed, f.read = found, f.marks()
	f.tellShift(emit)
	if strings.HasPrefix(found.Status, "ROLLBACK") || found.BreakerTriggered {
		f.failed = true
	}
	for _, reason := range []string{found.RollbackReason, found.Reason} {
		if reason != "" {
			f.cause = oneLine(reason)
			break
		}
	}
}

// tellShift tells what changed in a deployment that shifts traffic.
func (f *Follower) tellShift(emit func(Event)) {
	d := f.deployed
	if d.Stage != "" && d.Stage != f.stage && d.ongoing() {
		f.stage = d.Stage
		emit(Stage{d.Stage})
	}
	if now := (Traffic{d.Production, d.Test}); now != f.traffic {
		f.traffic = now
		emit(now)
	}
	for _, h := range d.Hooks {
		if key := h.ID + h.Status; (h.Paused() || h.Status == "FAILED" || h.Status == "TIMED_OUT") && !f.said[key] {
			f.said[key] = true
			emit(HookWaits{Deployment: d.ARN, Hook: h})
		}
	}
}

// pick finds our service deployment: the one known, else the earliest of our
// revision. A revision that we registered belongs to nobody earlier; else the
// deployment must not be older than ours.
func (f *Follower) pick(all []ServiceDeployment) *ServiceDeployment {
	for i, d := range all {
		if f.deployed != nil {
			if d.ARN == f.deployed.ARN {
				return &all[i]
			}
			continue
		}
		mine := d.TaskDefinition == f.begun.TaskDefinition || d.TaskDefinition == ""
		if mine && (f.begun.Fresh && d.TaskDefinition != "" || !d.Created.Before(f.begun.Created.Add(-clocks))) {
			return &all[i]
		}
	}
	return nil
}

func (f *Follower) absorbTasks(o Observation, emit func(Event)) {
	if o.TasksErr != nil {
		if !final(o.TasksErr) {
			f.readable("ecs:DescribeTasks", o.TasksErr, emit)
			f.trouble = true // look again
			return
		}
		f.noTasks = true
		emit(Trouble{Err: o.TasksErr, Without: "causes are taken from the service's log instead of its tasks"})
		return
	}
	if o.Tasks == nil {
		return
	}
	f.readable("ecs:DescribeTasks", nil, emit)
	counts, before := Tasks{}, f.failures.total
	for _, arn := range f.query.Known {
		delete(f.alive, arn) // those that are not shown any more have gone
	}
	mine := filter(o.Tasks, func(t Task) bool { return t.StartedBy == f.begun.ID })
	slices.SortStableFunc(mine, func(a, b Task) int { return a.end().Compare(b.end()) })
	for _, t := range mine {
		f.note(t)
		if t.over() || t.condemned() {
			delete(f.alive, t.ARN)
			f.fail(t, emit)
			continue
		}
		f.alive[t.ARN] = true
		if t.DesiredStatus != "STOPPED" { // it is being stopped
			counts.add(t)
		}
	}
	switch found := f.failures.total > before; {
	case found:
		f.owed, f.fruitless = false, 0
	case f.query.Stopped:
		f.fruitless++
	}
	counts.Failed = f.failures.total
	if d, ok := f.ours(); ok {
		counts.Desired = d.Desired
	}
	if counts != f.counts {
		f.counts = counts
		emit(counts)
	}
}

func (c *Tasks) add(t Task) {
	switch {
	case t.LastStatus == "RUNNING" && t.Health == "HEALTHY":
		c.Healthy++
	case t.LastStatus == "RUNNING" && t.Health == "UNHEALTHY":
		c.Unhealthy++
	case t.LastStatus == "RUNNING":
		c.Running++
	case t.LastStatus == "PROVISIONING" || t.LastStatus == "PENDING" && t.PullStarted.IsZero():
		c.Provisioning++
	case t.LastStatus == "PENDING" && t.PullStopped.IsZero():
		c.Pulling++
	case t.LastStatus == "PENDING" || t.LastStatus == "ACTIVATING":
		c.Starting++
	}
}

// fail counts a stopped task once, if a fault ended it. The deployment's own
// failedTasks goes back to 0 when a task runs, so it cannot be relied on.
func (f *Follower) fail(t Task, emit func(Event)) {
	if f.failures.seen[t.ID()] {
		return
	}
	failure, ok := failureOf(t, f.essential)
	if !ok {
		f.failures.seen[t.ID()] = true
		return
	}
	if f.targets != "" && strings.Contains(t.StoppedReason, "ELB health checks") {
		failure.Text += ": " + f.targets
	}
	f.failures.seen[t.ID()] = true
	f.failures.total++
	known, again := f.failures.byKind[failure.kind()]
	if again {
		known.Count++
		failure.Count = known.Count
	} else {
		known = &failure
		f.failures.byKind[failure.kind()] = known
	}
	if f.failures.first == nil || !again && t.end().Before(f.failures.at) {
		f.failures.first, f.failures.at = known, t.end()
	}
	emit(TaskFailed{Failure: failure, Again: again})
}

// tell emits the deployment's state when it has changed.
func (f *Follower) tell(emit func(Event)) {
	state, reason := "", f.cause
	if f.deployed != nil {
		state = f.deployed.Status
	} else if d, ok := f.ours(); ok {
		state, reason = d.RolloutState, oneLine(d.RolloutReason)
		if state == "FAILED" {
			f.cause = reason
		}
	}
	if state != "" && state != f.state {
		f.state = state
		emit(State{Status: state, Reason: reason})
	}
}
