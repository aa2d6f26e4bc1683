package ecstest

import (
	"maps"
	"time"
)

// advance moves the primary's service deployment by one step.
func (d *Double) advance(s *service, p *deployment, r *serviceDeployment) {
	for _, old := range s.history {
		if old.status == "STOP_REQUESTED" {
			old.end("STOPPED", "Service deployment was replaced by a newer service deployment.", Superseded)
		}
	}
	switch r.status {
	case "PENDING":
		r.move("IN_PROGRESS", "")
		r.started = r.updated
	case "ROLLBACK_REQUESTED":
		if r.shifts() {
			d.shiftBack(s, p, r)
			return
		}
		d.rollBack(s, p, r)
	case "IN_PROGRESS":
		if d.alarmed(s, p, r) {
			return
		}
		if s.settings.breaker.Enable && p.failed >= s.settings.breaker.threshold(s.desired) {
			d.trip(s, p, r)
		}
	case "ROLLBACK_IN_PROGRESS":
		if s.settings.breaker.Enable && p.failed >= s.settings.breaker.threshold(s.desired) {
			d.fail(s, p, "tasks failed to start")
			r.end("ROLLBACK_FAILED", "Service deployment roll-back failed: tasks failed to start.", RollbackFailed)
		}
	}
}

// trip is the circuit breaker.
func (d *Double) trip(s *service, p *deployment, r *serviceDeployment) {
	r.failures, r.breakerStatus = p.failed, "TRIGGERED"
	d.fail(s, p, "tasks failed to start")
	if !s.settings.breaker.Rollback {
		r.end("STOPPED", "Service deployment stopped because the circuit breaker threshold was exceeded.", Failed)
		return
	}
	r.rollbackReason = "Service deployment rolled back because the circuit breaker threshold was exceeded."
	r.move("ROLLBACK_REQUESTED", r.rollbackReason)
	d.wake(s)
}

// fail ends a deployment: it launches no more tasks.
func (d *Double) fail(s *service, p *deployment, why string) {
	p.rolloutState, p.updated = "FAILED", time.Now()
	p.reason = "ECS deployment circuit breaker: " + why + "."
	d.say(s, "(service %s) (deployment %s) deployment failed: %s.", s.key.name, p.id, why)
}

// rollBack goes back to the last deployment that completed, under a new id,
// as ECS does; without one the service stays as it is.
func (d *Double) rollBack(s *service, p *deployment, r *serviceDeployment) {
	r.rollbackStarted = time.Now()
	if p.rolloutState != "FAILED" {
		p.rolloutState, p.reason = "FAILED", "ECS deployment "+p.id+" stopped by user."
	}
	v := s.revision(s.lastCompleted)
	if v == nil {
		r.end("ROLLBACK_FAILED", "No rollback candidate was found to run the rollback.", RollbackFailed)
		return
	}
	r.rollbackRevision = v.arn
	r.move("ROLLBACK_IN_PROGRESS", "")
	s.restore(v)
	undo := d.deploy(s, v)
	undo.record, undo.rollback = r.arn, true
	undo.reason = "ECS deployment circuit breaker: rolling back to deploymentId " + undo.id + "."
	r.rollbackRun = undo.id
	d.say(s, "(service %s) rolling back to deployment %s.", s.key.name, undo.id)
}

// restore gives the service back what a revision holds; how it is deployed is
// no part of that.
func (s *service) restore(v *revision) {
	how := s.config["deploymentConfiguration"]
	s.config = maps.Clone(v.config)
	s.config["deploymentConfiguration"] = how
	if parsed, err := parseSettings(s.config); err == nil {
		s.settings = parsed
	}
}
