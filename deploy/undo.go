package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/pause"
)

// Policy says what becomes of a rollout that cannot become well by itself.
type Policy string

// The policies. Unset is Auto, except where the service's own breaker or alarm
// is on with its rollback off: then the service's owner wants none.
const (
	Unset    Policy = ""
	Auto     Policy = "auto"  // go back to the last steady revision
	AskFirst Policy = "ask"   // go back if a person says so
	Never    Policy = "never" // leave it to ECS
)

// policy resolves Unset for a service.
func (f *Follower) policy() Policy {
	if f.opt.Rollback != Unset {
		return f.opt.Rollback
	}
	if f.service.Breaker && !f.service.Rollback {
		return Never
	}
	return Auto
}

const (
	orders  = 3  // tries to have ECS roll back, when it says that there is nothing to
	history = 20 // service deployments looked through for a steady one
)

// undo answers a follower that has given up: it has ECS roll the deployment
// back, or moves the service back itself, or settles for the failure. done is
// false when there is more to follow.
func undo(ctx context.Context, api API, target Target, f *Follower, given Result, emit func(Event)) (r Result, done bool, err error) {
	settle := func(why string) (Result, bool, error) {
		given.Detail += "; not rolled back: " + why
		return given, true, nil
	}
	policy := f.policy()
	if policy == Never {
		return settle("that is left to ECS (deploy.rollback)")
	}
	steady, err := f.lastSteady(ctx, api, target)
	switch {
	case ctx.Err() != nil:
		return Result{}, true, context.Cause(ctx)
	case err != nil:
		return settle(err.Error())
	case steady == "":
		return settle("no revision of this service was steady before")
	}
	if policy == AskFirst && (f.opt.Ask == nil || !f.opt.Ask(ctx, fmt.Sprintf("roll service %s back to %s?", f.service.Name, ShortName(steady)))) {
		return settle("nobody said so (deploy.rollback is ask)")
	}
	if f.deployed != nil && f.deployed.ongoing() && steady == f.begun.Previous {
		stopped, err := f.order(ctx, api, steady, given, emit)
		if stopped || err != nil {
			return Result{}, err != nil, err
		}
		if f.refused >= orders {
			return settle("ECS refuses to")
		}
		if !f.denied {
			return Result{}, false, nil // it may have ended meanwhile: look again
		}
	}
	emit(GaveUp{Cause: given.Cause, To: steady, By: "an update of the service"})
	r, err = f.goBack(ctx, api, target, steady, given, emit)
	return r, true, err
}

// recoverable reports whether a failure that ECS has ended leaves our failed
// deployment in place, so that the service can still be moved back.
func (f *Follower) recoverable(r Result) bool {
	primary, ok := f.service.Primary()
	return r.Outcome == Failed && ok && primary.ID == f.begun.ID && f.service.Status == "ACTIVE" && f.policy() != Never
}

// order has ECS roll the deployment back. The call may be repeated: a
// deployment that is being rolled back already stays so.
func (f *Follower) order(ctx context.Context, api API, steady string, given Result, emit func(Event)) (bool, error) {
	for {
		err := api.StopDeployment(ctx, f.deployed.ARN)
		switch {
		case err == nil:
			emit(GaveUp{Cause: given.Cause, To: steady, By: "ECS's own rollback"})
			f.ordered(time.Now())
			return true, nil
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case final(err):
			f.denied = true
			emit(Trouble{Err: err, Without: "the service is updated back instead"})
			return false, nil
		case !Transient(err):
			f.refused++
			return false, nil
		case !time.Now().Before(f.Deadline()):
			f.refused = orders
			return false, nil
		}
		if pause.For(ctx, resend) != nil {
			return false, context.Cause(ctx)
		}
	}
}

// ordered notes that our deployment is being rolled back by our wish. The way
// back has as long again as the way there.
func (f *Follower) ordered(now time.Time) {
	f.asked, f.failed = true, true
	f.start, f.stirred = now, now
}

// lastSteady is the definition to go back to: that of the deployment which
// stood completed when ours began, else that of the newest successful service
// deployment before ours. Empty: there is none.
func (f *Follower) lastSteady(ctx context.Context, api Reader, target Target) (string, error) {
	if f.begun.Steady != "" || f.noReads {
		return f.begun.Steady, nil
	}
	all, err := eventually(ctx, func() ([]ServiceDeployment, error) { return api.History(ctx, target, history) })
	if err != nil {
		return "", err
	}
	return newestSteady(all, f.begun.TaskDefinition, f.begun.Created), nil
}

// newestSteady is the definition of the newest successful deployment in a
// history (newest first) that is not of except and older than before.
func newestSteady(all []ServiceDeployment, except string, before time.Time) string {
	for _, d := range all {
		if d.Status == "SUCCESSFUL" && d.TaskDefinition != "" && d.TaskDefinition != except && d.Created.Before(before.Add(-clocks)) {
			return d.TaskDefinition
		}
	}
	return ""
}

// goBack moves the service to an earlier definition by an update and follows
// that to its end. given is the failure that made it necessary.
func (f *Follower) goBack(ctx context.Context, api API, target Target, to string, given Result, emit func(Event)) (Result, error) {
	failed := func(why string) Result {
		given.Outcome, given.Detail = RollbackFailed, given.Detail+"; "+why
		return given
	}
	limited, cancel := context.WithTimeout(ctx, f.opt.Timeout)
	defer cancel()
	begun, err := MoveTo(limited, api, target, to, emit)
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	if err != nil {
		return failed(err.Error()), nil
	}
	opt := f.opt
	opt.Rollback, opt.Until = Never, Steady
	r, err := Follow(ctx, api, target, NewFollower(begun, f.essential, opt, time.Now()), emit)
	if err != nil {
		return Result{}, err
	}
	switch r.Outcome {
	case Succeeded:
		given.Outcome, given.Detail = RolledBack, "the service runs "+ShortName(begun.TaskDefinition)+" again"
	case Superseded:
		return r, nil
	default:
		return failed("the way back " + r.Outcome.Words() + ": " + r.Cause), nil
	}
	return given, nil
}

// MoveTo makes a service run a revision that was registered before: one
// UpdateService. A revision that was deregistered since, which ECS refuses, is
// registered again as it was.
func MoveTo(ctx context.Context, api API, target Target, definition string, emit func(Event)) (Begun, error) {
	service, err := eventually(ctx, func() (Service, error) { return api.Service(ctx, target) })
	if err != nil {
		return Begun{}, err
	}
	wanted, err := eventually(ctx, func() (TaskDefinition, error) { return api.TaskDefinition(ctx, definition) })
	if err != nil {
		return Begun{}, err
	}
	containers, err := wanted.Containers()
	if err != nil {
		return Begun{}, err
	}
	p := Plan{Target: target, Action: Update, Container: containers[0].Name, Image: containers[0].Image, Before: service, Current: wanted, Existing: wanted.ARN}
	if !wanted.Active() {
		if p.Register, err = CloneTaskDefinition(wanted.Raw, p.Container, p.Image); err != nil {
			return Begun{}, fmt.Errorf("clone task definition %s: %w", ShortName(wanted.ARN), err)
		}
	}
	if service.TaskDefinition == wanted.ARN {
		p.Force = true // ECS has given it up before, or it is not what runs
	}
	begun, err := Apply(ctx, api, p, emit)
	if begun.ID == "" && err == nil {
		err = errors.New("ECS shows no deployment")
	}
	return begun, err
}

// Active reports whether a service can be moved to the definition.
func (t TaskDefinition) Active() bool {
	var d struct {
		Status string `json:"status"`
	}
	return json.Unmarshal(t.Raw, &d) == nil && (d.Status == "" || d.Status == "ACTIVE")
}

// CheckPolicy refuses a policy that there is not.
func CheckPolicy(p Policy) error {
	switch p {
	case Unset, Auto, AskFirst, Never:
		return nil
	}
	return fault.New(fault.BadInput, "set deploy.rollback to auto, ask or never", "deploy.rollback: there is no %q", p)
}
