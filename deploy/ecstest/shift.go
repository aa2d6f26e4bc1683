package ecstest

import (
	"math"
	"slices"
	"time"
)

// The stages of a deployment that shifts traffic, by the service model's
// documentation of LifecycleStage. The one before each shift is a hook's stage
// only: it is shown as the shift itself.
const (
	stageReconcile  = "RECONCILE_SERVICE"
	stagePreScale   = "PRE_SCALE_UP"
	stageScale      = "SCALE_UP"
	stagePostScale  = "POST_SCALE_UP"
	stageTest       = "TEST_TRAFFIC_SHIFT"
	stagePostTest   = "POST_TEST_TRAFFIC_SHIFT"
	stagePreShift   = "PRE_PRODUCTION_TRAFFIC_SHIFT"
	stageShift      = "PRODUCTION_TRAFFIC_SHIFT"
	stagePostShift  = "POST_PRODUCTION_TRAFFIC_SHIFT"
	stageBake       = "BAKE_TIME"
	stageCleanUp    = "CLEAN_UP"
	rolling         = "ROLLING"
	wholeProduction = 100.0
)

// shift moves a BLUE_GREEN, LINEAR or CANARY deployment as far as it gets now.
// Green is p; blue is the deployment that serves.
func (d *Double) shift(s *service, p *deployment, r *serviceDeployment) {
	d.staff(s, p, r)
	if r.status == "ROLLBACK_IN_PROGRESS" {
		if d.ready(s, p) && d.alone(s, p) {
			d.finish(s, p)
		}
		return
	}
	for r.status == "IN_PROGRESS" && d.stepStage(s, p, r) {
		d.staff(s, p, r)
	}
}

// staff starts and stops tasks: green has its whole count from SCALE_UP on,
// blue until CLEAN_UP, and what is neither goes.
func (d *Double) staff(s *service, p *deployment, r *serviceDeployment) {
	green := r.status == "ROLLBACK_IN_PROGRESS" || !slices.Contains([]string{"", stageReconcile, stagePreScale}, r.stage)
	for _, each := range slices.Clone(s.deployments) {
		wanted := 0
		switch {
		case each == p && green, each != p && each.id == s.serving && r.stage != stageCleanUp && r.status != "ROLLBACK_IN_PROGRESS":
			wanted = s.desired
		}
		var live []*task
		for _, t := range d.world.tasksOf(s, each.id) {
			if t.wanted != "STOPPED" {
				live = append(live, t)
			}
		}
		if len(live) > wanted {
			d.stopTasks(s, live[wanted:])
		}
		d.startTasks(s, each, wanted-len(live))
	}
}

// ready tells whether all tasks that p is to have are steady.
func (d *Double) ready(s *service, p *deployment) bool {
	n := 0
	for _, t := range d.world.tasksOf(s, p.id) {
		if t.wanted != "STOPPED" {
			if !t.steady(d.timing.Settle) {
				return false
			}
			n++
		}
	}
	return n == s.desired
}

// alone tells whether no task of another deployment is left.
func (d *Double) alone(s *service, p *deployment) bool {
	return !slices.ContainsFunc(d.world.tasksOf(s, ""), func(t *task) bool { return t.deployment != p.id && t.occupied() })
}

// stepStage leaves the present stage if that is over, and tells whether it did.
func (d *Double) stepStage(s *service, p *deployment, r *serviceDeployment) bool {
	if done := d.runHooks(s, r); !done || r.status != "IN_PROGRESS" {
		return false
	}
	if r.stage != "" && !d.passed(s, r, d.timing.Shift/5) {
		return false // nothing in ECS takes no time
	}
	how := s.settings.shift
	switch r.stage {
	case "":
		if len(r.sources) > 1 {
			return d.enter(s, r, stageReconcile)
		}
		return d.enter(s, r, stagePreScale)
	case stageReconcile:
		return d.enter(s, r, stagePreScale)
	case stagePreScale:
		return d.enter(s, r, stageScale)
	case stageScale:
		return d.ready(s, p) && d.enter(s, r, stagePostScale)
	case stagePostScale:
		return d.enter(s, r, stageTest)
	case stageTest:
		if !d.passed(s, r, d.timing.Shift) {
			return false
		}
		r.testWeight = wholeProduction
		return d.enter(s, r, stagePostTest)
	case stagePostTest:
		return d.enter(s, r, stagePreShift)
	case stagePreShift:
		return d.enter(s, r, stageShift)
	case stageShift:
		if !d.passed(s, r, d.timing.Shift) {
			return false
		}
		if !r.shifted {
			r.shifted, r.weight = true, how.next(r.weight)
			r.updated = time.Now()
		}
		if r.weight >= wholeProduction {
			return d.enter(s, r, stagePostShift)
		}
		return d.passed(s, r, d.timing.Shift+how.bake) && d.enter(s, r, stagePreShift)
	case stagePostShift:
		return d.enter(s, r, stageBake)
	case stageBake:
		return d.passed(s, r, s.settings.bake) && d.enter(s, r, stageCleanUp)
	case stageCleanUp:
		if d.alone(s, p) {
			d.finish(s, p)
		}
	}
	return false
}

// enter begins a stage and its hooks.
func (d *Double) enter(s *service, r *serviceDeployment, stage string) bool {
	r.stage, r.entered, r.updated, r.shifted = stage, time.Now(), time.Now(), false
	d.startHooks(s, r)
	return true
}

// passed tells whether the stage is that old; if not, it has the scheduler
// look again when it will be.
func (d *Double) passed(s *service, r *serviceDeployment, wait time.Duration) bool {
	left := wait - time.Since(r.entered)
	if left > 0 {
		d.after(left, func() { d.wake(s) })
		return false
	}
	return true
}

// shiftPlan is how production traffic moves.
type shiftPlan struct {
	step, first float64       // percent of each step, and of the first when it differs
	bake        time.Duration // after each step but the last
}

// next is green's weight after one more step.
func (p shiftPlan) next(weight float64) float64 {
	step := p.step
	if weight == 0 && p.first > 0 {
		step = p.first
	}
	return math.Min(wholeProduction, math.Round((weight+step)*10)/10)
}

// shiftBack gives production back to blue, whose tasks still run: blue is the
// PRIMARY again, under its old id.
func (d *Double) shiftBack(s *service, p *deployment, r *serviceDeployment) {
	r.rollbackStarted = time.Now()
	if p.rolloutState != "FAILED" {
		p.rolloutState, p.reason = "FAILED", "ECS deployment "+p.id+" stopped by user."
	}
	blue := s.deployment(s.serving)
	if blue == nil || blue == p || s.revision(blue.revision) == nil {
		r.end("ROLLBACK_FAILED", "No rollback candidate was found to run the rollback.", RollbackFailed)
		return
	}
	r.weight, r.testWeight, r.hooks = 0, 0, nil
	r.rollbackRevision, r.rollbackRun = blue.revision, blue.id
	r.move("ROLLBACK_IN_PROGRESS", "")
	s.restore(s.revision(blue.revision))
	s.definition, s.steady = blue.definition, false
	for _, each := range s.deployments {
		each.status, each.updated = "ACTIVE", time.Now()
	}
	blue.status, blue.rolloutState, blue.record, blue.rollback = "PRIMARY", "IN_PROGRESS", r.arn, true
	blue.reason = "ECS deployment rolling back to deploymentId " + blue.id + "."
	s.deployments = append([]*deployment{blue}, slices.DeleteFunc(s.deployments, func(x *deployment) bool { return x == blue })...)
	d.say(s, "(service %s) rolling back to deployment %s.", s.key.name, blue.id)
	d.wake(s)
}
