package ecstest

import "time"

// judge takes a change of health.
func (d *Double) judge(t *task, e Health) {
	status := "UNHEALTHY"
	if e.Healthy {
		status = "HEALTHY"
	}
	if e.Container == "" {
		t.targetHealth, t.targetReason = status, e.Reason
	} else if c := t.container(e.Container); c != nil && c.checked {
		c.health = status
	}
	d.recheck(t)
}

// recheck acts upon the task's health as it stands: reported while the task
// was still activating, or ignored within the grace period, it counts later.
func (d *Double) recheck(t *task) {
	s := d.world.services[t.service]
	if s == nil || t.last != "RUNNING" || t.wanted == "STOPPED" {
		return
	}
	if t.healthy() {
		d.succeed(t)
		d.wake(s)
		return
	}
	if t.health() != "UNHEALTHY" && t.targetHealth != "UNHEALTHY" {
		return
	}
	if left := t.grace - time.Since(t.started); left > 0 {
		d.after(left, func() { d.recheck(t) })
		return
	}
	if t.health() == "UNHEALTHY" {
		d.say(s, "(service %s) (task %s) failed container health checks.", s.key.name, t.id)
		d.retire(t, "ServiceSchedulerInitiated", "Task failed container health checks")
	} else {
		d.say(s, "(service %s) (task %s) (port %d) is unhealthy in (target-group %s) due to (reason %s)",
			s.key.name, t.id, t.target.Port, t.targetGroup, t.targetReason)
		d.retire(t, "ServiceSchedulerInitiated", "Task failed ELB health checks in (target-group "+t.targetGroup+")")
	}
	d.say(s, "(service %s) has stopped 1 running tasks: (task %s).", s.key.name, t.id)
	t.failed = true
	d.shutDown(t)
	d.countFailure(t)
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
