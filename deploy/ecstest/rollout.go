package ecstest

import (
	"maps"
	"slices"
	"time"
)

// ongoing tells whether a service deployment has not ended yet.
func (r *serviceDeployment) ongoing() bool {
	switch r.status {
	case "PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS":
		return true
	}
	return false
}

func (r *serviceDeployment) move(status, reason string) {
	r.status, r.updated = status, time.Now()
	if reason != "" {
		r.reason = reason
	}
}

func (r *serviceDeployment) end(status, reason string, v Verdict) {
	r.move(status, reason)
	r.finished, r.verdict = r.updated, v
	if r.status == "STOPPED" {
		r.stopped = r.updated
	}
	if r.breakerStatus == "MONITORING" {
		r.breakerStatus = "MONITORING_COMPLETE"
	}
}

// deploy puts a new PRIMARY deployment in front of the others.
func (d *Double) deploy(s *service, v *revision) *deployment {
	now := time.Now()
	for _, p := range s.deployments {
		p.status, p.updated = "ACTIVE", now
	}
	p := &deployment{
		id: "ecs-svc/" + d.number(), status: "PRIMARY", definition: v.definition, revision: v.arn,
		created: now, updated: now, rolloutState: "IN_PROGRESS",
	}
	p.reason = "ECS deployment " + p.id + " in progress."
	s.deployments = append([]*deployment{p}, s.deployments...)
	s.definition, s.steady = v.definition, false
	d.wake(s)
	return p
}

// deployForward is a deployment that a user asked for: it has a record, and
// ends the one that was under way.
func (d *Double) deployForward(s *service) *deployment {
	now := time.Now()
	r := &serviceDeployment{
		arn: d.arn("service-deployment", s.key.cluster, s.key.name, d.shortID()), status: "PENDING",
		created: now, updated: now, config: s.config["deploymentConfiguration"],
		breakerStatus: "DISABLED", verdict: Ongoing,
	}
	if s.settings.breaker.Enable {
		r.breakerStatus, r.threshold = "MONITORING", s.settings.breaker.threshold(s.desired)
	}
	for _, p := range s.deployments {
		if s.revision(p.revision) != nil && !slices.Contains(r.sources, p.revision) {
			r.sources = append(r.sources, p.revision)
		}
	}
	for _, old := range s.history {
		if old.ongoing() {
			old.move("STOP_REQUESTED", "Service deployment is being replaced by a newer service deployment.")
		}
	}
	v := d.revise(s)
	p := d.deploy(s, v)
	p.record = r.arn
	r.deployment, r.target = p.id, v.arn
	s.history = append(s.history, r)
	return p
}

// revise makes a service revision of the service as it is configured now.
func (d *Double) revise(s *service) *revision {
	v := &revision{
		arn:        d.arn("service-revision", s.key.cluster, s.key.name, d.number()),
		definition: s.definition, created: time.Now(), config: s.config,
	}
	s.revisions = append(s.revisions, v)
	return v
}

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
		d.rollBack(s, p, r)
	case "IN_PROGRESS":
		if s.settings.breaker.Enable && p.failed >= s.settings.breaker.threshold(s.desired) {
			d.trip(s, p, r)
		}
	case "ROLLBACK_IN_PROGRESS":
		if s.settings.breaker.Enable && p.failed >= s.settings.breaker.threshold(s.desired) {
			d.fail(s, p)
			r.end("ROLLBACK_FAILED", "Service deployment roll-back failed: tasks failed to start.", RollbackFailed)
		}
	}
}

// trip is the circuit breaker.
func (d *Double) trip(s *service, p *deployment, r *serviceDeployment) {
	r.failures, r.breakerStatus = p.failed, "TRIGGERED"
	d.fail(s, p)
	if !s.settings.breaker.Rollback {
		r.end("STOPPED", "Service deployment stopped because the circuit breaker threshold was exceeded.", Failed)
		return
	}
	r.rollbackReason = "Service deployment rolled back because the circuit breaker threshold was exceeded."
	r.move("ROLLBACK_REQUESTED", r.rollbackReason)
	d.wake(s)
}

// fail ends a deployment: it launches no more tasks.
func (d *Double) fail(s *service, p *deployment) {
	p.rolloutState, p.updated = "FAILED", time.Now()
	p.reason = "ECS deployment circuit breaker: tasks failed to start."
	d.say(s, "(service %s) (deployment %s) deployment failed: tasks failed to start.", s.key.name, p.id)
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

// complete ends a rollout whose tasks all run and whose predecessors are gone.
func (d *Double) complete(s *service, p *deployment) {
	healthy, mine := 0, 0
	othersGone := true
	for _, t := range d.world.tasksOf(s, "") {
		switch {
		case t.deployment != p.id:
			othersGone = othersGone && !t.occupied()
		case t.wanted != "STOPPED":
			mine++
			if t.steady(d.timing.Settle) {
				healthy++
			}
		}
	}
	full := healthy == s.desired && mine == s.desired && othersGone
	if p.rolloutState == "IN_PROGRESS" && d.succeeded(s, p, healthy, full, othersGone) {
		d.finish(s, p)
	}
	if full && !s.steady && p.rolloutState == "COMPLETED" {
		s.steady = true
		d.say(s, "(service %s) has reached a steady state.", s.key.name)
	}
}

// succeeded applies earlySuccessCriteria and the bake time; without them a
// rollout succeeds when it is full.
func (d *Double) succeeded(s *service, p *deployment, healthy int, full, othersGone bool) bool {
	ok := full
	if e := s.settings.early; e != nil {
		ok = healthy*100 >= e.Percent*s.desired && (othersGone || e.CleanUp == "DEFERRED")
	}
	if !ok {
		p.bakeUntil = time.Time{}
		return false
	}
	if s.settings.bake == 0 {
		return true
	}
	if p.bakeUntil.IsZero() {
		p.bakeUntil = time.Now().Add(s.settings.bake)
		d.after(s.settings.bake, func() { d.wake(s) })
	}
	return !time.Now().Before(p.bakeUntil)
}

func (d *Double) finish(s *service, p *deployment) {
	p.rolloutState, p.updated = "COMPLETED", time.Now()
	p.reason = "ECS deployment " + p.id + " completed."
	d.say(s, "(service %s) (deployment %s) deployment completed.", s.key.name, p.id)
	s.lastCompleted = p.revision
	r := s.record(p.record)
	switch {
	case r == nil || !r.ongoing():
	case p.rollback:
		r.end("ROLLBACK_SUCCESSFUL", "", RolledBack)
	default:
		r.failures = p.failed
		r.end("SUCCESSFUL", "", Succeeded)
	}
}

// dropReplaced removes ACTIVE deployments that have no tasks left.
func (d *Double) dropReplaced(s *service) {
	s.deployments = slices.DeleteFunc(s.deployments, func(p *deployment) bool {
		return p.status != "PRIMARY" && !slices.ContainsFunc(d.world.tasksOf(s, p.id), (*task).occupied)
	})
}

// countFailure adds an ended task to its deployment's failedTasks.
func (d *Double) countFailure(t *task) {
	s := d.world.services[t.service]
	if s == nil || !t.failed || t.counted {
		return
	}
	t.counted = true
	p := s.deployment(t.deployment)
	if p == nil {
		return
	}
	p.updated = time.Now()
	if t.started.IsZero() {
		d.backOff(s, p)
	}
	if p.rolloutState == "IN_PROGRESS" {
		p.failed++
		if r := s.record(p.record); r != nil && !p.rollback {
			r.failures, r.updated = p.failed, p.updated
		}
	}
	d.wake(s)
}

// backOff delays the next launch once as many tasks in a row as the smallest
// breaker counts did not come up.
func (d *Double) backOff(s *service, p *deployment) {
	p.launchFailures++
	over := p.launchFailures - 3
	if over < 0 {
		return
	}
	wait := d.timing.BackoffMax
	if over < 20 {
		wait = min(wait, d.timing.Backoff<<over)
	}
	p.notBefore = time.Now().Add(wait)
	if over == 0 {
		d.say(s, "(service %s) is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.", s.key.name)
	}
}

// succeed notes that a task runs well, which resets its deployment's count of
// failures unless resetOnHealthyTask is off.
func (d *Double) succeed(t *task) {
	s := d.world.services[t.service]
	if t.succeeded || s == nil {
		return
	}
	t.succeeded = true
	p := s.deployment(t.deployment)
	if p == nil || s.settings.breaker.Reset != nil && !*s.settings.breaker.Reset {
		return
	}
	p.failed = 0
	if r := s.record(p.record); r != nil && r.ongoing() && !p.rollback {
		r.failures = 0
	}
}
