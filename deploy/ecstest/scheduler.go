package ecstest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// wake has the scheduler look at s soon; once, however often it is asked.
func (d *Double) wake(s *service) {
	key := s.key
	if d.waking[key] || s.settings.controller != "ECS" && len(s.sets) == 0 {
		return
	}
	d.waking[key] = true
	d.after(d.timing.Schedule, func() {
		delete(d.waking, key)
		if s := d.world.services[key]; s != nil {
			d.reconcile(s)
		}
	})
}

// reconcile is one round of the service scheduler.
func (d *Double) reconcile(s *service) {
	if s.status == "INACTIVE" {
		return
	}
	if s.settings.controller != "ECS" {
		d.keepSets(s)
		return
	}
	p := s.primary()
	if r := s.record(p.record); r != nil {
		d.advance(s, p, r)
		p = s.primary() // a roll-back puts another one there
	}
	switch r := s.record(p.record); {
	case p.idle:
	case r != nil && r.shifts() && (r.status == "IN_PROGRESS" || r.status == "ROLLBACK_IN_PROGRESS"):
		d.shift(s, p, r)
	default:
		d.scale(s, p)
		d.complete(s, p)
	}
	d.dropReplaced(s)
	if s.status == "DRAINING" && len(s.deployments) == 1 && !slices.ContainsFunc(d.world.tasksOf(s, ""), (*task).occupied) {
		s.status, s.deployments = "INACTIVE", nil
	}
}

// scale starts and stops tasks within the limits of minimumHealthyPercent
// (rounded up) and maximumPercent (rounded down).
func (d *Double) scale(s *service, p *deployment) {
	var mine, old, stuck []*task
	healthy := 0
	for _, t := range d.world.tasksOf(s, "") {
		if t.wanted == "STOPPED" {
			continue
		}
		steady := t.steady(d.timing.Settle)
		if steady {
			healthy++
		}
		switch {
		case t.deployment == p.id:
			mine = append(mine, t)
		case steady:
			old = append(old, t)
		default:
			stuck = append(stuck, t)
		}
	}
	if p.rolloutState == "FAILED" && s.desired > 0 {
		return // stalled: nothing is launched, nothing more replaced
	}
	lower, upper := (s.desired*s.settings.minimum+99)/100, s.desired*s.settings.maximum/100
	stop := stuck // what is replaced and does not even run goes first
	if extra := len(mine) - s.desired; extra > 0 {
		for _, t := range mine[s.desired:] {
			stop = append(stop, t)
			if t.steady(d.timing.Settle) {
				healthy--
			}
		}
		mine = mine[:s.desired]
	}
	spare := healthy - lower
	if !d.allSteady(mine) || len(mine) < s.desired {
		// Old tasks give way one by one as new ones become healthy, or
		// where there is no room to start any.
		ready := 0
		for _, t := range mine {
			if t.steady(d.timing.Settle) {
				ready++
			}
		}
		room := upper - len(mine) - len(old)
		need := max(0, s.desired-len(mine)-room)
		spare = min(spare, max(len(old)+ready-s.desired, need))
	}
	for i := 0; i < min(spare, len(old)); i++ {
		stop = append(stop, old[i])
	}
	left := len(old) - max(0, min(spare, len(old)))
	d.stopTasks(s, stop)
	d.startTasks(s, p, min(s.desired-len(mine), upper-len(mine)-left))
}

func (d *Double) allSteady(tasks []*task) bool {
	for _, t := range tasks {
		if !t.steady(d.timing.Settle) {
			return false
		}
	}
	return true
}

// startTasks launches n tasks of p, later if too many in a row did not come up.
func (d *Double) startTasks(s *service, p *deployment, n int) {
	if n <= 0 {
		return
	}
	if wait := time.Until(p.notBefore); wait > 0 {
		d.after(wait, func() { d.wake(s) })
		return
	}
	if why := d.noRoom(s, p); why != "" {
		if now := time.Now(); now.Sub(p.placeless) >= sayAgain {
			p.placeless = now
			d.say(s, "(service %s) was unable to place a task because %s", s.key.name, why)
		}
		d.after(placeAgain, func() { d.wake(s) })
		return
	}
	var ids []string
	for range n {
		t, err := d.newTask(s, p)
		if err != nil {
			d.say(s, "(service %s) was unable to place a task. Reason: %v.", s.key.name, err)
			return
		}
		ids = append(ids, "(task "+t.id+")")
	}
	p.updated = time.Now()
	s.steady = false
	d.say(s, "(service %s) has started %d tasks: %s.", s.key.name, n, strings.Join(ids, " "))
}

// How often ECS tries to place a task for which there was no room, and says so.
const (
	placeAgain = 10 * time.Second
	sayAgain   = time.Minute
)

// noRoom says why a deployment's next task cannot be placed.
func (d *Double) noRoom(s *service, p *deployment) string {
	placer, ok := d.runtime.(Placer)
	def := definitionOf(d.world, p.definition)
	if !ok || def == nil {
		return ""
	}
	_, spec, err := d.prepare(def, s.key.cluster)
	if err != nil {
		return "" // newTask says it
	}
	return placer.Place(spec)
}

// stopTasks ends tasks that the service no longer wants.
func (d *Double) stopTasks(s *service, stop []*task) {
	var ids []string
	draining := 0
	for _, t := range stop {
		if t.last == "RUNNING" && t.target != nil {
			draining++
			d.say(s, "(service %s) deregistered 1 targets in (target-group %s)", s.key.name, t.targetGroup)
		}
		if p := s.deployment(t.deployment); p != nil {
			p.updated = time.Now()
		}
		d.stop(t, "ServiceSchedulerInitiated", "Scaling activity initiated by (deployment "+t.deployment+")")
		ids = append(ids, "(task "+t.id+")")
	}
	if draining > 0 {
		d.say(s, "(service %s) has begun draining connections on %d tasks.", s.key.name, draining)
	}
	if len(ids) > 0 {
		s.steady = false
		d.say(s, "(service %s) has stopped %d running tasks: %s.", s.key.name, len(ids), strings.Join(ids, " "))
	}
}

// say adds a service event; the newest 100 are kept.
func (d *Double) say(s *service, format string, args ...any) {
	e := event{id: d.uuid(), message: fmt.Sprintf(format, args...), at: time.Now()}
	s.events = append([]event{e}, s.events[:min(len(s.events), 99)]...)
}
