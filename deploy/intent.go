package deploy

import (
	"context"
	"time"
)

// Intent is what a run is about to do, or has begun: enough for another run to
// find the deployment when the first one was killed at any point. Neither
// UpdateService nor RegisterTaskDefinition has a client token that could say so.
type Intent struct {
	Service string    `json:"service"` // ARN
	Image   string    `json:"image"`
	Since   time.Time `json:"since"`   // ECS's clock: what began later may be ours
	Written time.Time `json:"written"` // this machine's clock

	// Known once ECS has answered.
	Deployment     string    `json:"deployment,omitempty"`
	Created        time.Time `json:"created,omitzero"` // ECS's clock
	TaskDefinition string    `json:"taskDefinition,omitempty"`
	Previous       string    `json:"previous,omitempty"`
	Steady         string    `json:"steady,omitempty"`
}

// stale is the age at which a rollout that has ended is no longer what a new
// run of the same image asks about.
const stale = 2 * time.Hour

// Intend is the intent of a plan, before anything is written.
func (p Plan) Intend(now time.Time) Intent {
	return Intent{Service: p.Before.ARN, Image: p.Image, Since: p.Before.latest(), Written: now, Previous: p.Current.ARN}
}

// With is the intent once its deployment is known.
func (i Intent) With(b Begun) Intent {
	i.Deployment, i.Created, i.TaskDefinition, i.Previous, i.Steady = b.ID, b.Created, b.TaskDefinition, b.Previous, b.Steady
	return i
}

// latest is when the newest deployment was created. Whatever ended before, and
// is no longer listed, is older.
func (s Service) latest() (t time.Time) {
	for _, d := range s.Deployments {
		if d.Created.After(t) {
			t = d.Created
		}
	}
	return t
}

// Resume finds the deployment that an intent began: in the service's list,
// else among its service deployments, ended ones included. found is false when
// nothing was begun, or when it ended long ago.
func Resume(ctx context.Context, api Reader, target Target, i Intent, now time.Time) (begun Begun, found bool, err error) {
	service, err := eventually(ctx, func() (Service, error) { return api.Service(ctx, target) })
	if err != nil {
		return Begun{}, false, err
	}
	begun = Begun{Previous: i.Previous, Steady: i.Steady, Bake: service.Bake}
	for _, d := range service.Deployments {
		if d.ID != i.Deployment && (i.Deployment != "" || !d.Created.After(i.Since)) {
			continue
		}
		mine, err := i.runs(ctx, api, d.TaskDefinition)
		if err != nil {
			return Begun{}, false, err
		}
		if mine {
			begun.ID, begun.Created, begun.TaskDefinition = d.ID, d.Created, d.TaskDefinition
			return begun, true, nil
		}
	}
	all, err := eventually(ctx, func() ([]ServiceDeployment, error) { return api.History(ctx, target, history) })
	if final(err) {
		return Begun{}, false, nil // what is not in the list has ended, and cannot be known
	}
	if err != nil {
		return Begun{}, false, err
	}
	since := i.Since
	if !i.Created.IsZero() {
		since = i.Created.Add(-clocks)
	}
	for n := len(all) - 1; n >= 0; n-- { // the earliest is the one that was asked for
		d := all[n]
		if !d.Created.After(since) || d.TaskDefinition == "" || d.ended() && now.Sub(i.Written) > stale {
			continue
		}
		mine, err := i.runs(ctx, api, d.TaskDefinition)
		if err != nil {
			return Begun{}, false, err
		}
		if mine {
			begun.ID, begun.Created, begun.TaskDefinition, begun.Record = i.Deployment, d.Created, d.TaskDefinition, &d
			return begun, true, nil
		}
	}
	return Begun{}, false, nil
}

// runs reports whether a definition is the intent's: the known one, else one
// that holds its image.
func (i Intent) runs(ctx context.Context, api Reader, definition string) (bool, error) {
	if i.TaskDefinition != "" {
		return definition == i.TaskDefinition, nil
	}
	d, err := eventually(ctx, func() (TaskDefinition, error) { return api.TaskDefinition(ctx, definition) })
	if err != nil {
		return false, err
	}
	containers, err := d.Containers()
	for _, c := range containers {
		if c.Image == i.Image {
			return true, nil
		}
	}
	return false, err
}
