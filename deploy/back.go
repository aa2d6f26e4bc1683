package deploy

import (
	"context"
	"fmt"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/pause"
)

// Way is how a service gets back to an earlier revision.
type Way struct {
	From, To string // ARNs of task definitions
	Nothing  bool   // it runs To steadily
	// Stop is the ARN of the service deployment that ECS is to roll back;
	// empty: the service is updated.
	Stop   string
	record *ServiceDeployment
	begun  Begun // of the deployment that is to be rolled back
}

// WayBack plans it by reads only. to is what FindRevision takes; empty means
// the last revision that was steady, by the service's own list and the history
// of its service deployments.
func WayBack(ctx context.Context, api Reader, target Target, to string) (Way, error) {
	service, err := api.Service(ctx, target)
	if err != nil {
		return Way{}, err
	}
	if err := Deployable(service); err != nil {
		return Way{}, err
	}
	primary, ok := service.Primary()
	if !ok {
		return Way{}, fault.New(fault.BadInput, "", "service %s has no deployment to go back from", service.Name)
	}
	w := Way{From: primary.TaskDefinition}
	if to != "" {
		found, err := FindRevision(ctx, api, target, service, to)
		w.To = found.ARN
		w.Nothing = err == nil && w.To == w.From && (Status{Service: service}).Steady()
		return w, err
	}
	all, err := api.History(ctx, target, history)
	if final(err) {
		return w, fault.New(fault.Missing, "allow it, or give --to REVISION", "find the last steady revision of %s: %w", service.Name, err)
	}
	if err != nil {
		return w, err
	}
	if len(all) > 0 && all[0].ongoing() {
		w.To = completed(service, Await)
		if w.To != "" && w.To == replaced(service) {
			w.Stop, w.record = all[0].ARN, &all[0]
			w.begun = Begun{ID: primary.ID, Created: primary.Created, TaskDefinition: primary.TaskDefinition, Previous: w.To, Steady: w.To, Record: w.record}
			return w, nil
		}
	}
	if w.To == "" {
		w.To = newestSteady(all, w.From, primary.Created)
	}
	if w.To == "" {
		return w, fault.New(fault.Missing, "give --to REVISION", "find the last steady revision of %s before %s: none of the last %d deployments was successful", service.Name, ShortName(w.From), len(all))
	}
	return w, nil
}

// Go begins the way back. What it returns is what Follow follows: with Stop
// the deployment that is rolled back, which ends as RolledBack, else a new one.
func (w Way) Go(ctx context.Context, api API, target Target, emit func(Event)) (Begun, error) {
	if w.Stop == "" {
		return MoveTo(ctx, api, target, w.To, emit)
	}
	for {
		err := api.StopDeployment(ctx, w.Stop)
		if err == nil {
			return w.begun, nil
		}
		if !Transient(err) || pause.For(ctx, resend) != nil {
			return w.begun, fmt.Errorf("roll back service deployment %s: %w", ShortName(w.Stop), err)
		}
	}
}

// Ago says how long before now a time of ECS's clock was, in words.
func Ago(now, then time.Time) string {
	switch d := now.Sub(then); {
	case then.IsZero():
		return "never"
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s ago", max(0, d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min ago", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h ago", d.Hours())
	default:
		return fmt.Sprintf("%.0f days ago", d.Hours()/24)
	}
}
