package ecstest

import (
	"fmt"
	"slices"
	"time"
)

// taskSet is a deployment that another controller than ECS began: ECS keeps
// its count of tasks, and shows it nowhere in the service's deployments.
type taskSet struct {
	*deployment
	desired int
	steady  time.Time
}

// TaskSet is how the tasks of one stand.
type TaskSet struct {
	Desired, Pending, Running int
	// Steady is when all of them first ran and passed their checks (the
	// stability status STEADY_STATE); zero until then.
	Steady time.Time
}

// StartTaskSet has a service that another controller deploys run n tasks of a
// task definition (ARN), as CreateTaskSet does, and returns the set's id, which
// its tasks have as startedBy. Tasks that end are replaced, with the same
// back-off as a deployment's.
func (d *Double) StartTaskSet(cluster, service, taskDefinition string, n int) (id string, err error) {
	d.do(func() {
		s := d.world.services[serviceKey{orString(cluster, "default"), service}]
		if s == nil || s.settings.controller == "ECS" || definitionOf(d.world, taskDefinition) == nil {
			err = fmt.Errorf("start a task set of %s for service %s: there is no such definition, or no such service with a controller of its own", taskDefinition, service)
			return
		}
		id = "ecs-svc/" + d.number()
		s.sets = append(s.sets, &taskSet{deployment: &deployment{id: id, status: "ACTIVE", definition: taskDefinition, created: time.Now(), updated: time.Now()}, desired: n})
		d.wake(s)
	})
	return id, err
}

// StopTaskSet ends a task set, as DeleteTaskSet does.
func (d *Double) StopTaskSet(cluster, service, id string) {
	d.do(func() {
		s := d.world.services[serviceKey{orString(cluster, "default"), service}]
		if set := s.set(id); set != nil {
			set.desired = 0
			d.wake(s)
		}
	})
}

// TaskSet tells how one stands; zero when there is none.
func (d *Double) TaskSet(cluster, service, id string) (t TaskSet) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.world.services[serviceKey{orString(cluster, "default"), service}]
	set := s.set(id)
	if set == nil {
		return t
	}
	t.Desired, t.Steady = set.desired, set.steady
	for _, x := range d.world.tasksOf(s, id) {
		running, pending := x.counts()
		t.Running, t.Pending = t.Running+running, t.Pending+pending
	}
	return t
}

// set finds a task set; nil when there is none.
func (s *service) set(id string) *taskSet {
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.sets, func(x *taskSet) bool { return x.id == id })
	if i < 0 {
		return nil
	}
	return s.sets[i]
}

// keepSets is one round of the scheduler for a service with task sets.
func (d *Double) keepSets(s *service) {
	for _, set := range s.sets {
		wanted, healthy := []*task{}, 0
		for _, t := range d.world.tasksOf(s, set.id) {
			if t.wanted != "STOPPED" {
				wanted = append(wanted, t)
			}
			if t.healthy() {
				healthy++
			}
		}
		if extra := len(wanted) - set.desired; extra > 0 {
			d.stopTasks(s, wanted[set.desired:])
		}
		d.startTasks(s, set.deployment, set.desired-len(wanted))
		if set.steady.IsZero() && healthy >= set.desired {
			set.steady = time.Now()
		}
	}
}
