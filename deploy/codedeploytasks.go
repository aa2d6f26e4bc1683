package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// How often, in looks, the tasks of a task set are read: CodeDeploy's target
// counts them, and tells nothing of those that died.
const (
	tasksOften  = 2
	tasksRarely = 5 // when the budget of calls is short
	enoughCalls = 2
	// noTasksYet is when a set that wants tasks and has none asks for the
	// service's log, which says why: there may be no room for them.
	noTasksYet = time.Minute
)

// blind reports whether no task can be read: CodeDeploy's counts are told.
func (f *CodeDeployFollower) blind() bool { return f.tasks != nil && f.tasks.noTasks }

// suspicious reports whether a task has just shown a cause that stays, and the
// next one will decide.
func (f *CodeDeployFollower) suspicious() bool {
	t := f.tasks
	return t != nil && t.failures.suspicious() && time.Since(t.stirred) < beginning && !f.budget.spent()
}

// query chooses the tasks to read at this look. alone says that they are read
// instead of CodeDeploy's target, which stays at Install as long as they are on
// their way.
func (f *CodeDeployFollower) query() (q TaskQuery, alone bool) {
	set := f.deployment.Green
	if set.ID == "" || f.blind() || f.taken != nil || f.given != nil || f.deployment.ended() {
		return q, false
	}
	if f.tasks == nil {
		opt := f.Options
		f.tasks = NewFollower(Begun{ID: set.ID, TaskDefinition: f.TaskDefinition, Previous: f.Previous, Created: f.deployment.Created}, f.Essential, opt, f.began)
		f.taskLooks = tasksRarely
	}
	t := f.tasks
	count := taskCount{pending: set.Pending, running: set.Running}
	changed, lost := count != t.lastCount, count.running < t.lastCount.running
	whole := set.Running >= set.Desired && set.Pending == 0
	every, short := tasksOften, f.budget.calls < enoughCalls
	switch {
	case f.budget.spent():
		every = 2 * tasksRarely
	case short:
		every = tasksRarely
	}
	f.taskLooks++
	due := f.taskLooks >= every && !whole
	if !lost && !t.trouble && !(changed && !f.budget.spent()) && !due && !f.suspicious() {
		return q, false
	}
	t.lastCount, t.trouble = count, false
	q = TaskQuery{StartedBy: set.ID, Known: slices.Sorted(maps.Keys(t.alive)), Listed: set.Pending+set.Running > len(t.alive) || len(t.alive) == 0}
	q.Stopped = lost || len(t.alive) == 0 && f.seen || t.failures.total > 0
	alone = short && !whole && !lost && f.looks%tasksRarely != 0
	return q, alone
}

// seeTasks reads the tasks of a query and tells what is new: their phases, and
// each cause of those that died, once.
func (f *CodeDeployFollower) seeTasks(ctx context.Context, api Reader, q TaskQuery, emit func(Event)) {
	t := f.tasks
	if t == nil {
		return
	}
	set := f.deployment.Green
	t.service.Status, t.service.Name = "ACTIVE", ShortName(f.Target.Service)
	t.service.Deployments = []Deployment{{
		ID: set.ID, Status: "PRIMARY", TaskDefinition: f.TaskDefinition, RolloutState: "IN_PROGRESS",
		Desired: set.Desired, Pending: set.Pending, Running: set.Running, Created: f.deployment.Created,
	}}
	if q.StartedBy == "" {
		return
	}
	f.taskLooks, f.seen, t.query = 0, true, q
	o := Observation{}
	bounded(ctx, func(ctx context.Context) { o.Tasks, o.TasksErr = api.Tasks(ctx, f.Target, q) })
	calls := 0
	for _, asked := range []bool{len(q.Known) > 0 || len(o.Tasks) > 0, q.Listed, q.Stopped} {
		if asked {
			calls++
		}
	}
	f.budget.take(time.Now(), calls)
	if ctx.Err() != nil {
		return
	}
	blamed := slices.ContainsFunc(o.Tasks, func(x Task) bool { return strings.Contains(x.StoppedReason, "ELB health checks") })
	homeless := len(o.Tasks) == 0 && set.Desired > 0 && time.Since(f.began) >= noTasksYet && t.failures.total == 0
	if blamed && t.targets == "" || homeless && !f.told["homeless"] {
		f.told["homeless"] = homeless
		f.listen(ctx, api, emit)
	}
	before := t.failures.total
	defer func() {
		if t.failures.total > before {
			t.stirred = time.Now()
		}
	}()
	t.absorbTasks(o, func(e Event) {
		if x, ok := e.(Trouble); ok && x.Without != "" {
			x.Without = "causes are taken from CodeDeploy's words instead of the service's tasks"
			e = x
		}
		emit(e)
	})
}

// listen reads the service's log, which alone says why a load balancer calls a
// task unhealthy, or why there is no room for one. It is a hint: a read that
// fails costs nothing but the words.
func (f *CodeDeployFollower) listen(ctx context.Context, api Reader, emit func(Event)) {
	bounded(ctx, func(ctx context.Context) {
		if s, err := api.Service(ctx, f.Target); err == nil {
			f.tasks.service.Events = s.Events
			f.tasks.listen(s.Events, func(e Event) {
				if said, ok := e.(Said); ok && !f.told[said.Message] { // ECS repeats itself
					f.told[said.Message] = true
					emit(e)
				}
			})
		}
	})
	f.budget.take(time.Now(), 1)
}

// alarmed reports whether an alarm, and not a person, ended the deployment.
func (d CodeDeployment) alarmed() bool { return strings.HasPrefix(d.ErrorCode, "ALARM") }

// explain fills in the cause of a failure: the earliest distinct one of the new
// tasks, unless one of the AppSpec's functions or an alarm failed it, else
// CodeDeploy's words. Tasks that died since the last look, or without one, are
// looked for first.
func (f *CodeDeployFollower) explain(ctx context.Context, api Reader, r *Result, emit func(Event)) {
	d := f.deployment
	if r.Failure != nil {
		return
	}
	if d.byHook() || d.alarmed() {
		r.Cause = orElse(r.Cause, d.cause())
		return
	}
	if t := f.tasks; t != nil && t.failures.first == nil && !f.blind() && d.Status == "Failed" && ctx.Err() == nil {
		last := TaskQuery{StartedBy: t.begun.ID, Known: slices.Sorted(maps.Keys(t.alive)), Stopped: true}
		f.seeTasks(ctx, api, last, func(e Event) {
			if _, phases := e.(Tasks); !phases { // they are being ended
				emit(e)
			}
		})
	}
	if f.tasks != nil && f.tasks.failures.first != nil {
		failure := *f.tasks.failures.first
		r.Failure = &failure
		if r.Cause == "" {
			r.Cause = failure.String()
		} else {
			r.Cause += "; before, " + failure.String()
		}
		return
	}
	r.Cause = orElse(r.Cause, d.cause()) + f.noPlace()
}

// explainLate puts what the tasks show before how far it has come.
func (f *CodeDeployFollower) explainLate(ctx context.Context, api Reader, r *Result, emit func(Event)) {
	t := f.tasks
	switch {
	case t == nil:
	case t.failures.first != nil:
		failure := *t.failures.first
		r.Failure, r.Cause = &failure, failure.String()+"; "+r.Cause
	case f.deployment.Green.Running < f.deployment.Green.Desired:
		f.listen(ctx, api, emit)
		r.Cause += f.noPlace()
	}
}

// noPlace is what the service's log says of tasks that could not even start.
func (f *CodeDeployFollower) noPlace() string {
	if f.tasks == nil {
		return ""
	}
	for _, e := range f.tasks.service.Events { // newest first
		if strings.Contains(e.Message, "unable to") && !e.Created.Before(f.tasks.begun.Created) {
			return ": " + oneLine(e.Message)
		}
	}
	return ""
}

// giveUp ends a deployment that cannot become well by itself: CodeDeploy would
// wait for its tasks for an hour. The result is nil while there is more to
// follow.
func (f *CodeDeployFollower) giveUp(ctx context.Context, api CodeDeployAPI, emit func(Event)) (*Result, error) {
	if f.tasks == nil || f.given != nil || f.deployment.ended() {
		return nil, nil
	}
	given := f.tasks.giveUp(time.Now())
	if given == nil {
		return nil, nil
	}
	f.tasks.explain(given)
	given.Detail = fmt.Sprintf("CodeDeploy goes on with deployment %s and starts tasks of %s for up to an hour", f.ID, ShortName(f.TaskDefinition))
	leave := func(why string) (*Result, error) {
		given.Detail += "; not stopped: " + why
		return given, nil
	}
	switch policy := f.tasks.policy(); {
	case policy == Never:
		return leave("that is left to CodeDeploy (deploy.rollback)")
	case policy == AskFirst && !f.told["agreed"]:
		if f.Ask == nil || !f.Ask(ctx, fmt.Sprintf("stop CodeDeploy's deployment %s and go back to %s?", f.ID, ShortName(f.Previous))) {
			if ctx.Err() != nil {
				return &Result{}, context.Cause(ctx)
			}
			return leave("nobody said so (deploy.rollback is ask)")
		}
		f.told["agreed"] = true
	}
	err := api.StopCodeDeployment(ctx, f.ID)
	f.budget.take(time.Now(), 1)
	switch {
	case ctx.Err() != nil:
		return &Result{}, context.Cause(ctx)
	case err == nil:
		f.stopped(*given, emit)
	case final(err):
		return leave(err.Error())
	case FateOf(err) != Throttled && FateOf(err) != Unsent:
		// It may be done, or the deployment has ended meanwhile: the next look shows it.
		f.tried = given
		if !Transient(err) {
			f.refused++
		}
		if f.refused >= orders {
			return leave(err.Error())
		}
	}
	return nil, nil
}

// stopped notes that we have stopped the deployment. The way back has as long
// again as the way there.
func (f *CodeDeployFollower) stopped(given Result, emit func(Event)) {
	emit(GaveUp{Cause: given.Cause, To: f.Previous, By: "stopping CodeDeploy's deployment"})
	f.given, f.began = &given, time.Now()
}
