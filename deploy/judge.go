package deploy

import (
	"fmt"
	"strings"
	"time"
)

// judge decides on the outcome from what has been seen so far, or returns nil
// while it is open.
func (f *Follower) judge(now time.Time) *Result {
	if s := f.service.Status; s != "" && s != "ACTIVE" {
		return &Result{Outcome: Failed, Cause: fmt.Sprintf("service %s was deleted: it is %s", f.service.Name, s)}
	}
	if r := f.arrived(); r != nil {
		return r
	}
	if f.deployed != nil {
		return f.judgeByDeployment(now)
	}
	return f.judgeByService(now)
}

// judgeByDeployment goes by the service deployment's status.
func (f *Follower) judgeByDeployment(now time.Time) *Result {
	switch f.deployed.Status {
	case "SUCCESSFUL":
		return f.steady()
	case "ROLLBACK_SUCCESSFUL":
		return &Result{Outcome: RolledBack, Detail: f.runsNow()}
	case "ROLLBACK_FAILED":
		return &Result{Outcome: RollbackFailed, Detail: f.runsNow()}
	case "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS":
		return nil
	case "STOPPED":
		return f.stopped(now)
	case "STOP_REQUESTED":
		if other, ok := f.other(); ok {
			return f.superseded(other)
		}
		return nil
	}
	if other, ok := f.other(); ok && f.held(now, "other "+other.ID, settle) {
		return f.superseded(other)
	}
	return nil
}

// steady is success, once the service agrees: our deployment is the primary,
// it runs what it should and the old ones are gone. SUCCESSFUL alone is not
// enough, since early success criteria leave work behind it.
func (f *Follower) steady() *Result {
	if other, ok := f.other(); ok {
		return f.superseded(other)
	}
	primary, ok := f.service.Primary()
	if ok && primary.ID == f.begun.ID && primary.whole() && len(f.service.Deployments) == 1 {
		return &Result{Outcome: Succeeded}
	}
	return nil
}

// stopped tells the three meanings of STOPPED apart: a breaker or alarm
// without rollback, another deployment (which may take a read or two to
// show), a person.
func (f *Follower) stopped(now time.Time) *Result {
	if other, ok := f.other(); ok {
		return f.superseded(other)
	}
	if f.deployed.BreakerTriggered || len(f.deployed.Alarms) > 0 {
		return &Result{Outcome: Failed, Detail: f.runsNow()}
	}
	if !f.held(now, "stopped", settle/2) {
		return nil
	}
	if f.failures.total > 0 {
		return &Result{Outcome: Failed, Detail: f.runsNow()}
	}
	return &Result{Outcome: Stopped, Cause: orElse(f.cause, "the deployment was stopped"), Detail: f.runsNow()}
}

// judgeByService goes by the service's list alone: service deployments are
// not readable, or ours has not shown yet.
func (f *Follower) judgeByService(now time.Time) *Result {
	primary, ok := f.service.Primary()
	if !ok {
		return nil
	}
	ours, listed := f.ours()
	if listed && ours.RolloutState == "FAILED" {
		f.failed = true
	}
	if primary.ID == f.begun.ID {
		return f.judgePrimary(now, primary)
	}
	rolling := f.backTo[primary.ID] || strings.Contains(primary.RolloutReason, "rolling back")
	if rolling || f.failed && primary.TaskDefinition == f.begun.Previous {
		f.failed = true
		switch {
		case !f.patient(now, "rollback"):
		case primary.RolloutState == "FAILED":
			return &Result{Outcome: RollbackFailed, Detail: f.runsNow()}
		case primary.RolloutState != "IN_PROGRESS" && primary.whole():
			return &Result{Outcome: RolledBack, Detail: f.runsNow()}
		}
		return nil
	}
	wait := settle
	if f.noReads {
		wait = settle / 4 // only the signs of a rollback are still to come
	}
	if other, ok := f.other(); ok && f.held(now, "other "+other.ID, wait) {
		return f.superseded(other)
	}
	return nil
}

// judgePrimary is judgeByService while our deployment is the primary one.
func (f *Follower) judgePrimary(now time.Time, primary Deployment) *Result {
	switch primary.RolloutState {
	case "FAILED":
		// The rollback, where there is one, takes a moment to become primary.
		if !f.service.Rollback || f.held(now, "failed", settle) {
			if f.patient(now, "failed for good") {
				return &Result{Outcome: Failed, Detail: f.runsNow()}
			}
		}
	case "IN_PROGRESS":
	default: // COMPLETED; empty in old services
		if primary.whole() && len(f.service.Deployments) == 1 && f.patient(now, "complete") {
			return &Result{Outcome: Succeeded}
		}
	}
	return nil
}

// patient lets the service deployment, which knows better, show up first
// where it can be read.
func (f *Follower) patient(now time.Time, what string) bool {
	return f.noReads || f.held(now, what, settle)
}

// other is a primary deployment that came after ours and is not ECS's way back
// from it. One that is older is a read that lags behind.
func (f *Follower) other() (Deployment, bool) {
	primary, ok := f.service.Primary()
	if !ok || primary.ID == f.begun.ID || f.backTo[primary.ID] || primary.Created.Before(f.begun.Created) {
		return Deployment{}, false
	}
	return primary, true
}

func (f *Follower) superseded(other Deployment) *Result {
	return &Result{
		Outcome: Superseded,
		Cause:   fmt.Sprintf("deployment %s of %s took over", other.ID, ShortName(other.TaskDefinition)),
		Detail:  "ECS goes on with that one",
	}
}

// giveUp gives the end of a deployment that cannot become well by itself.
// What another try with the same definition cannot cure ends after two tasks
// that show the same, unless the service's breaker is to do it. Other failures
// are left to the breaker or the alarm; without one they would go on for ever.
func (f *Follower) giveUp(now time.Time) *Result {
	ours, ok := f.ours()
	if f.asked || !ok || f.failures.first == nil || ours.Running >= ours.Desired || ours.RolloutState == "FAILED" {
		return nil
	}
	if f.deployed != nil && !f.deployed.ongoing() {
		return nil
	}
	limit := min(max((ours.Desired+1)/2, 3), 200) // ECS's own arithmetic for its breaker
	unhealable := f.failures.unhealable()
	if f.service.Breaker {
		if f.deployed != nil {
			limit = max(limit, f.deployed.BreakerThreshold)
		}
		switch {
		case unhealable && f.policy() != Never:
			return f.givenUp(ours, "another try cannot cure it")
		case f.failures.total >= 3*limit && f.held(now, "escaped", settle):
			// A task that runs for a moment resets ECS's count, not this one.
			return f.givenUp(ours, "the circuit breaker does not notice")
		}
		return nil
	}
	if unhealable || f.failures.total >= 2*limit {
		return f.givenUp(ours, "no circuit breaker ends it")
	}
	return nil
}

// unhealable reports whether two tasks showed the same cause, and it is one
// that stays.
func (f *failures) unhealable() bool {
	for _, kind := range f.byKind {
		if kind.Unhealable && kind.Count >= 2 {
			return true
		}
	}
	return false
}

// suspicious reports whether one task showed a cause that stays, and the next
// one will decide.
func (f *failures) suspicious() bool {
	return f.total == 1 && f.first.Unhealable
}

func (f *Follower) givenUp(ours Deployment, why string) *Result {
	return &Result{Outcome: Failed, Detail: fmt.Sprintf("ECS goes on starting tasks of %s (%s)%s", ShortName(ours.TaskDefinition), why, f.oldTasks())}
}

// oldTasks says what still serves beside our deployment.
func (f *Follower) oldTasks() string {
	for _, d := range f.service.Deployments {
		if d.ID != f.begun.ID && d.Running > 0 {
			return fmt.Sprintf("; %s of %s still there", tasks(d.Running), ShortName(d.TaskDefinition))
		}
	}
	return ""
}

// runsNow says what the service is left with.
func (f *Follower) runsNow() string {
	primary, ok := f.service.Primary()
	if !ok {
		return ""
	}
	if primary.ID == f.begun.ID {
		return fmt.Sprintf("the service is left with %d of %d tasks of %s%s", primary.Running, primary.Desired, ShortName(primary.TaskDefinition), f.oldTasks())
	}
	return fmt.Sprintf("the service runs %d of %d tasks of %s", primary.Running, primary.Desired, ShortName(primary.TaskDefinition))
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
