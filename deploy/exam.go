package deploy

import (
	"context"
	"regexp"
	"time"
)

// Exam is what is known of a service's rollouts: its settings, and the times
// that ECS noted of the last good one.
type Exam struct {
	Service    Service
	Definition TaskDefinition // of the primary deployment
	Groups     []TargetGroup
	Tasks      []Task // of the primary deployment, and those that stopped within the last hour
	History    []ServiceDeployment
	Records    []Record // fastship's own of this service, oldest first
	Missing    []string // what could not be read, and why
}

// Examine reads it. What may not be read is left out and said in Missing.
func Examine(ctx context.Context, api API, target Target) (e Exam, err error) {
	missing := func(err error) error {
		if !final(err) {
			return err
		}
		e.Missing = append(e.Missing, err.Error())
		return nil
	}
	if e.Service, err = api.Tagged(ctx, target); missing(err) != nil {
		return e, err
	} else if err != nil {
		if e.Service, err = api.Service(ctx, target); err != nil {
			return e, err
		}
	}
	if e.Definition, err = api.TaskDefinition(ctx, e.Service.TaskDefinition); err != nil {
		return e, err
	}
	if e.Groups, err = api.TargetGroups(ctx, e.Service.TargetGroups); err != nil && missing(err) != nil {
		return e, err
	}
	if e.Tasks, err = api.Tasks(ctx, target, TaskQuery{Listed: true, Stopped: true}); err != nil && missing(err) != nil {
		return e, err
	}
	if e.History, err = api.History(ctx, target, history); err != nil && missing(err) != nil {
		return e, err
	}
	return e, nil
}

// The phases, in their order.
const (
	scheduling   = "scheduling"
	provisioning = "provisioning"
	pulling      = "pulling"
	starting     = "starting"
	health       = "health"
	bakeTime     = "bake time"
	draining     = "draining"
)

func phaseNames() []string {
	return []string{scheduling, provisioning, pulling, starting, health, bakeTime, draining}
}

// Phase is a stretch of a rollout's time.
type Phase struct {
	Name string
	Took time.Duration
}

// measured are the phases of the last good rollout, as they followed each
// other for the task that came up last.
type measured struct {
	record       ServiceDeployment
	wait         time.Duration // until that task was created: the scheduler, and earlier waves
	first        time.Duration // until the first one was
	provisioning time.Duration
	pull, start  time.Duration
	health       time.Duration // from its start until ECS let the old tasks go
	bake, drain  time.Duration
	whole        bool // all of the above are known
	recalled     bool // by fastship's own record
}

// leaving is what the service's log says when the old tasks are let go.
var leaving = regexp.MustCompile(`has begun draining connections|has stopped \d+ running tasks`)

// measure finds the last good rollout and takes it apart. ok is false when
// there was none that ECS remembers.
func (e Exam) measure() (m measured, ok bool) {
	for _, d := range e.History { // newest first
		if d.Status == "SUCCESSFUL" && !d.Finished.IsZero() {
			m.record, ok = d, true
			break
		}
	}
	if !ok {
		return m, false
	}
	primary, _ := e.Service.Primary()
	var last Task
	var first time.Time
	for _, t := range e.Tasks {
		if t.StartedBy != primary.ID || t.Definition != m.record.TaskDefinition || t.Started.IsZero() || t.PullStarted.IsZero() ||
			t.Created.Before(m.record.Created.Add(-clocks)) || t.Started.After(m.record.Finished) {
			continue
		}
		if t.Started.After(last.Started) {
			last = t
		}
		if first.IsZero() || t.Created.Before(first) {
			first = t.Created
		}
	}
	if last.Started.IsZero() {
		m, _ = e.recall(m)
		return m, true
	}
	released := time.Time{}
	for _, s := range e.Service.Events { // newest first
		if leaving.MatchString(s.Message) && !s.Created.Before(last.Started) && !s.Created.After(m.record.Finished) {
			released = s.Created // of several the earliest
		}
	}
	m.wait, m.first = last.Created.Sub(m.record.Created), first.Sub(m.record.Created)
	m.provisioning, m.pull, m.start = last.PullStarted.Sub(last.Created), last.PullStopped.Sub(last.PullStarted), last.Started.Sub(last.PullStopped)
	m.bake = e.Service.Bake
	if released.IsZero() { // nothing was there to let go
		released = m.record.Finished.Add(-m.bake)
	}
	m.health = released.Sub(last.Started)
	if shifts(e.Service.Strategy) { // which bakes before it lets the old tasks go
		m.health = max(0, m.health-m.bake)
		released = released.Add(-m.bake)
	}
	m.drain = max(0, m.record.Finished.Sub(released)-m.bake)
	m.whole = true
	return m, true
}

// phases are those of the report, in their order.
func (m measured) phases() []Phase {
	if !m.whole {
		return nil
	}
	all := []Phase{
		{scheduling, m.wait}, {provisioning, m.provisioning}, {pulling, m.pull}, {starting, m.start},
		{health, m.health}, {bakeTime, m.bake}, {draining, m.drain},
	}
	return filter(all, func(p Phase) bool { return p.Took >= time.Second || p.Name != bakeTime })
}
