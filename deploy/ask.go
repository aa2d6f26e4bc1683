package deploy

import (
	"maps"
	"slices"
	"time"
)

// How often, in looks, a follower asks for what the service does not show.
const (
	rareDeployment = 20
	onceTroubled   = 5
	rareTasks      = 9
	// The stages of a deployment that shifts traffic show nowhere else.
	everyStage = 2
)

// taskCount is what a service says of its deployment's tasks.
type taskCount struct{ pending, running, failed int }

// pace is the time to the next look: AWS refills 20 DescribeServices a second
// for the whole account. In the first minute, and after something happened,
// more is to be expected.
func (f *Follower) pace(now time.Time) time.Duration {
	if f.opt.PollEvery > 0 {
		return f.opt.PollEvery
	}
	jitter := f.opt.Jitter()
	if now.Sub(f.start) < time.Minute || !f.stirred.IsZero() && now.Sub(f.stirred) < time.Minute {
		return 2400*time.Millisecond + time.Duration(jitter*float64(600*time.Millisecond))
	}
	return 4*time.Second + time.Duration(jitter*float64(900*time.Millisecond))
}

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

// forward reports whether the service shows our deployment on its way, and
// nothing else: no reason to ask the service deployment.
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

// ask chooses the next look: the service always, the rest when it may tell
// something new, and now and then for what the service does not show.
func (f *Follower) ask() Ask {
	var a Ask
	if !f.noReads && (f.deployed == nil || !f.forward() || f.looks%f.rare() == 0) {
		a.Deployments, a.Since = true, f.begun.Created.Add(-clocks)
		if f.deployed != nil {
			a.DeploymentARN = f.deployed.ARN
		}
	}
	if !f.noTasks {
		a.Tasks = f.askTasks()
	}
	return a
}

func (f *Follower) rare() int {
	if shifts(f.service.Strategy) {
		return everyStage
	}
	if !f.quiet() {
		return onceTroubled
	}
	return rareDeployment
}

// askTasks names the tasks worth a look. Those that are known cost one call;
// the lists are read only when the service counts more than are known, and
// that of the stopped ones when some may have died unseen.
func (f *Follower) askTasks() TaskQuery {
	ours, listed := f.ours()
	count := taskCount{ours.Pending, ours.Running, ours.Failed}
	changed, risen := count != f.lastCount, count.failed > f.lastCount.failed
	f.lastCount = count
	more := count.pending+count.running > len(f.alive)
	unseen := f.trouble || f.ending != nil || risen || count.failed > f.failures.total || f.launched
	f.launched, f.urgent = false, f.trouble || risen
	routine := f.looks%rareTasks == 0 && !ours.whole()
	if !changed && !unseen && !more && !routine {
		return TaskQuery{}
	}
	q := TaskQuery{StartedBy: f.begun.ID, Known: slices.Sorted(maps.Keys(f.alive)), Listed: more, Stopped: unseen || !listed}
	q.Stopped = q.Stopped || routine && !f.quiet()
	if len(q.Known) == 0 && !q.Listed && !q.Stopped {
		return TaskQuery{}
	}
	return q
}
