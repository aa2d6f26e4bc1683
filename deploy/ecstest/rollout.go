package ecstest

import (
	"slices"
	"time"
)

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
		breakerStatus: "DISABLED", verdict: Ongoing, strategy: s.settings.strategy, alarms: s.settings.alarms,
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
	s.lastCompleted, s.serving = p.revision, p.id
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

// dropReplaced removes ACTIVE deployments that have no tasks left. The one that
// serves stays until another does, though it may have none.
func (d *Double) dropReplaced(s *service) {
	shifting := s.settings.strategy != rolling
	s.deployments = slices.DeleteFunc(s.deployments, func(p *deployment) bool {
		return p.status != "PRIMARY" && !(shifting && p.id == s.serving) && !slices.ContainsFunc(d.world.tasksOf(s, p.id), (*task).occupied)
	})
}
