package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fastship/fastship/internal/pause"
)

// Begun is a deployment that was started or found.
type Begun struct {
	ID             string    // ecs-svc/…; never empty
	Created        time.Time // by ECS's clock
	TaskDefinition string
	Previous       string             // ARN of the revision that ours replaces
	Steady         string             // ARN of the revision that stood completed before; empty when none did
	Record         *ServiceDeployment // ours, where it is known already
	Bake           time.Duration      // that the service's configuration asks for
	Fresh          bool               // the revision was registered by this run
}

const (
	resend   = 2 * time.Second // between two tries of a write that certainly did nothing
	readback = time.Second     // between two looks at what an unclear write did
	looks    = 5               // until an unclear write counts as not carried out
)

// Apply carries the plan out up to the one UpdateService. What ECS throttled
// or never saw is sent again until ctx ends. After an answer that was lost it
// reads back first: a deployment that stands is taken over, so at most one is
// ever started.
func Apply(ctx context.Context, api API, p Plan, emit func(Event)) (Begun, error) {
	begun := Begun{TaskDefinition: p.Existing, Previous: p.Current.ARN, Steady: completed(p.Before, p.Action), Bake: p.Before.Bake}
	if p.Action != Update {
		primary, _ := p.Before.Primary()
		begun.ID, begun.Created = primary.ID, primary.Created
		begun.Previous = replaced(p.Before)
		emit(Began{Deployment: begun.ID, TaskDefinition: begun.TaskDefinition, Found: true})
		return begun, nil
	}
	if p.Register != nil {
		arn, err := register(ctx, api, p)
		if err != nil {
			return begun, fmt.Errorf("register a revision of %s: %w", ShortName(p.Current.ARN), err)
		}
		begun.TaskDefinition, begun.Fresh = arn, true
		emit(Registered{TaskDefinition: arn})
	}
	started, err := update(ctx, api, p, begun.TaskDefinition)
	if err != nil {
		return begun, fmt.Errorf("update service %s: %w", p.Before.Name, err)
	}
	begun.ID, begun.Created = started.ID, started.Created
	emit(Began{Deployment: begun.ID, TaskDefinition: begun.TaskDefinition})
	return begun, nil
}

// replaced is the definition of the newest deployment beside the primary one.
func replaced(s Service) string {
	var found Deployment
	for _, d := range s.Deployments {
		if d.Status != "PRIMARY" && !d.Created.Before(found.Created) {
			found = d
		}
	}
	return found.TaskDefinition
}

// completed is the definition of the deployment that a service's list shows as
// completed: the primary one, or when that is ours already, the one before.
func completed(s Service, a Action) string {
	var found Deployment
	for _, d := range s.Deployments {
		done := d.RolloutState == "COMPLETED" || d.RolloutState == "" && d.whole()
		if a == Await && d.Status == "PRIMARY" || !done || d.Running == 0 {
			continue
		}
		if found.ID == "" || d.Status == "PRIMARY" || found.Status != "PRIMARY" && d.Created.After(found.Created) {
			found = d
		}
	}
	return found.TaskDefinition
}

func register(ctx context.Context, api API, p Plan) (string, error) {
	for {
		arn, err := api.Register(ctx, p.Register)
		if err == nil || !Transient(err) {
			return arn, err
		}
		if FateOf(err) == Unknown {
			latest, readErr := eventually(ctx, func() (TaskDefinition, error) { return api.TaskDefinition(ctx, familyOf(p.Register)) })
			if readErr != nil {
				return "", errors.Join(err, readErr)
			}
			if sameDefinition(latest.Raw, p.Register, p.Container, p.Image) {
				return latest.ARN, nil
			}
		}
		if pause.For(ctx, resend) != nil {
			return "", err
		}
	}
}

func update(ctx context.Context, api API, p Plan, taskDefinition string) (Deployment, error) {
	for {
		service, err := api.Update(ctx, p.Target, taskDefinition, p.Force)
		if err == nil {
			return accepted(ctx, api, p, service, taskDefinition)
		}
		if !Transient(err) {
			return Deployment{}, err
		}
		if FateOf(err) == Unknown {
			d, found, readErr := lookBack(ctx, api, p, taskDefinition)
			if readErr != nil {
				return Deployment{}, errors.Join(err, readErr)
			}
			if found {
				return d, nil
			}
			if p.Force {
				return Deployment{}, err // sent twice it would be two deployments, if the first one came late
			}
		}
		if pause.For(ctx, resend) != nil {
			return Deployment{}, err
		}
	}
}

// accepted finds our deployment after an answer that says it was accepted. It
// is never asked for again.
func accepted(ctx context.Context, api Reader, p Plan, answer Service, taskDefinition string) (Deployment, error) {
	if d, ok := started(p.Before, answer, taskDefinition); ok {
		return d, nil
	}
	if primary, ok := answer.Primary(); ok && primary.TaskDefinition == taskDefinition {
		return primary, nil // it was ours already: somebody else asked for the same
	}
	d, found, err := lookBack(ctx, api, p, taskDefinition)
	if err == nil && !found {
		err = &CallError{Call: "ecs:UpdateService", Fate: Refused, Err: errors.New("ECS accepted it, but shows no deployment of " + ShortName(taskDefinition))}
	}
	return d, err
}

// lookBack looks several times, since ECS's reads may lag behind its writes.
func lookBack(ctx context.Context, api Reader, p Plan, taskDefinition string) (Deployment, bool, error) {
	for range looks {
		service, err := eventually(ctx, func() (Service, error) { return api.Service(ctx, p.Target) })
		if err != nil {
			return Deployment{}, false, err
		}
		if d, ok := started(p.Before, service, taskDefinition); ok {
			return d, true, nil
		}
		if err := pause.For(ctx, readback); err != nil {
			return Deployment{}, false, err
		}
	}
	return Deployment{}, false, nil
}

// started finds the deployment of taskDefinition that was not there before.
// It need not be the primary one: another may have come after it already.
func started(before, after Service, taskDefinition string) (Deployment, bool) {
	old := map[string]bool{}
	for _, d := range before.Deployments {
		old[d.ID] = true
	}
	var found Deployment
	for _, d := range after.Deployments {
		if !old[d.ID] && d.TaskDefinition == taskDefinition && !d.Created.Before(found.Created) {
			found = d
		}
	}
	return found, found.ID != ""
}

// eventually repeats a read until it works, the error is one that stays, or
// ctx ends.
func eventually[T any](ctx context.Context, read func() (T, error)) (T, error) {
	for {
		v, err := read()
		if err == nil || !Transient(err) {
			return v, err
		}
		if pause.For(ctx, readback) != nil {
			return v, err
		}
	}
}
