package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// How often, in looks, a follower asks for what the service does not show.
const (
	rareDeployment = 20
	onceTroubled   = 6
	firstTasks     = 4 // until their pull has begun
	rareTasks      = 8
	rarerTasks     = 14 // once half of the budget is spent
	// The stages of a deployment that shifts traffic show nowhere else.
	everyStage = 4
	// With so many failures seen, the phases of further tasks tell little.
	familiar = 4
	// fruitless lists of stopped tasks in a row: those that ECS counts are gone.
	fruitless = 3
)

// taskCount is what a service says of its deployment's tasks.
type taskCount struct{ pending, running, failed int }

// surprising tells the events after which more is to be expected soon.
func surprising(e Event) bool {
	switch e := e.(type) {
	case TaskFailed:
		return true
	case State:
		return e.Status != "PENDING" && e.Status != "IN_PROGRESS"
	}
	return false
}

// shifted reports whether more or fewer tasks run: new ones have started,
// which is when they fail, or old ones have gone, which is near the end.
func (f *Follower) shifted(now time.Time) bool {
	before := f.running
	f.running = [2]int{}
	for _, d := range f.service.Deployments {
		if d.ID == f.begun.ID {
			f.running[0] += d.Running
		} else {
			f.running[1] += d.Running
		}
	}
	f.moving = f.running != before && before != [2]int{}
	if f.moving && (f.running[1] == 0 || f.failed && f.running[0] == 0) {
		f.nearEnd = now // what is replaced has gone
	}
	return f.moving
}

// forward reports whether the service shows our deployment on its way, and
// nothing else.
func (f *Follower) forward() bool {
	ours, listed := f.ours()
	primary, _ := f.service.Primary()
	return listed && primary.ID == f.begun.ID && ours.RolloutState == "IN_PROGRESS"
}

// quiet reports whether no task has failed on that way.
func (f *Follower) quiet() bool {
	ours, _ := f.ours()
	return f.forward() && ours.Failed == 0 && f.failures.total == 0
}

// next chooses the next look: the service and, when they may tell something
// new, its deployment and its tasks. What this look gave a reason for is read
// at once, and by itself.
func (f *Follower) next(now time.Time, o Observation) Next {
	ask, tasksAtOnce := Ask{Service: true, Since: f.begun.Created.Add(-clocks)}, false
	unread := o.Err == nil && o.Deployments == nil && o.DeploymentsErr == nil
	moved := !f.noReads && (f.deployed == nil || f.marks() != f.read || f.contradicted())
	if f.moving && shifts(f.service.Strategy) {
		moved = !f.noReads // to another stage, perhaps
	}
	ask.Deployments = moved || !f.noReads && f.looks%f.rare() == 0
	if f.deployed != nil {
		ask.DeploymentARN = f.deployed.ARN
	}
	if !f.noTasks {
		ask.Tasks = f.askTasks()
		tasksAtOnce = f.urgent && ask.Tasks.StartedBy != "" && (o.Err == nil && o.Tasks == nil && o.TasksErr == nil || f.owed)
	}
	n := Next{After: f.pace(now), Ask: ask}
	switch {
	case f.ending != nil:
		n.After, n.Ask.Service, n.Ask.Deployments = min(n.After, time.Second), false, false
	case tasksAtOnce, moved && unread && f.looks > 0 && f.service.Name != "":
		n.After, n.Ask.Service, n.Ask.Deployments = min(n.After, hurry), false, moved && unread
	}
	if o.Err != nil && FateOf(o.Err) == Throttled { // others deploy, too
		n.After = min(2*n.After, crowded) + time.Duration(f.opt.Jitter()*float64(time.Second))
	}
	n.After = max(0, min(n.After, f.Deadline().Sub(now)))
	f.spend(now, n.Ask)
	return n
}

// marks are what of the service's list changes when its deployment's status
// does.
func (f *Follower) marks() string {
	var b strings.Builder
	for _, d := range f.service.Deployments {
		fmt.Fprintln(&b, d.ID, d.Status, d.RolloutState)
	}
	return b.String()
}

// contradicted reports whether the service shows more than the deployment
// told: one of the two reads lags.
func (f *Follower) contradicted() bool {
	primary, ok := f.service.Primary()
	if !ok || f.deployed.ended() {
		return false
	}
	if shifts(f.service.Strategy) && f.opt.Until == Healthy && primary.whole() {
		return true // the traffic shows there only
	}
	return primary.RolloutState != "IN_PROGRESS" || (primary.ID == f.begun.ID) != f.deployed.ongoing()
}

func (f *Follower) rare() int {
	every := rareDeployment
	switch {
	case shifts(f.service.Strategy):
		every = everyStage
	case !f.quiet():
		every = onceTroubled
	}
	if f.budget.spent() {
		every = min(2*every, rareDeployment)
	}
	return every
}

func (f *Follower) rareTasks() int {
	if f.counts.Provisioning > 0 && f.failures.total == 0 {
		return firstTasks
	}
	if f.budget.calls < callBurst/2 {
		return rarerTasks
	}
	return rareTasks
}

// askTasks names the tasks worth a look. Those that are known cost one call,
// and are asked first; the lists are read only when the service counts more
// than are known, and that of the stopped ones when some died unseen.
func (f *Follower) askTasks() TaskQuery {
	ours, listed := f.ours()
	count := taskCount{ours.Pending, ours.Running, ours.Failed}
	changed, risen := count != f.lastCount, count.failed > f.lastCount.failed
	lost := count.running < f.lastCount.running && f.forward() // a crash after the start may not count as failed
	f.lastCount = count
	routine := f.looks >= f.tasksAt+f.rareTasks() && !ours.whole()
	more := count.pending+count.running > len(f.alive) && (f.failures.total < familiar || routine)
	if f.budget.spent() { // for phases
		more, routine = more && routine, routine && !f.quiet()
		changed = changed && f.failures.total < familiar
	}
	sign := f.trouble || risen || f.launched || lost
	if sign {
		f.fruitless = 0
	}
	missed := count.failed > f.failures.total && f.fruitless < fruitless
	unseen := sign || f.owed || missed || f.ending != nil
	f.launched, f.urgent = false, f.trouble || risen || lost || f.owed
	if !changed && !unseen && !more && !routine {
		return TaskQuery{}
	}
	q := TaskQuery{StartedBy: f.begun.ID, Known: slices.Sorted(maps.Keys(f.alive)), Listed: more, Stopped: unseen || !listed}
	q.Stopped = q.Stopped || routine && !f.quiet()
	if q.Stopped && !f.owed && f.ending == nil && len(q.Known) > 0 && !q.Listed {
		q.Stopped = false // it may be one of these
		f.owed = unseen
	} else if q.Stopped {
		f.owed = false
	}
	if len(q.Known) == 0 && !q.Listed && !q.Stopped {
		return TaskQuery{}
	}
	f.query, f.tasksAt = q, f.looks
	return q
}
