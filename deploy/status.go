package deploy

import (
	"context"
	"fmt"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// Status is what a service is doing.
type Status struct {
	Service Service
	Image   string // of each container "name (image)", of the primary deployment
	Tasks   Tasks  // of the primary deployment
	History []ServiceDeployment
	// Blind says why History is not known.
	Blind string
}

// Steady reports whether the service runs one deployment, whole.
func (s Status) Steady() bool {
	primary, ok := s.Service.Primary()
	return ok && s.Service.Status == "ACTIVE" && len(s.Service.Deployments) == 1 && primary.whole() &&
		(primary.RolloutState == "COMPLETED" || primary.RolloutState == "")
}

// ReadStatus reads it, with the newest service deployments, at most limit.
func ReadStatus(ctx context.Context, api Reader, target Target, limit int) (Status, error) {
	var s Status
	var err error
	if s.Service, err = api.Service(ctx, target); err != nil {
		return s, err
	}
	primary, ok := s.Service.Primary()
	if !ok {
		return s, nil
	}
	definition, err := api.TaskDefinition(ctx, primary.TaskDefinition)
	if err != nil {
		return s, err
	}
	containers, err := definition.Containers()
	if err != nil {
		return s, err
	}
	s.Image = list(containers)
	s.Tasks.Desired = primary.Desired
	all, err := api.Tasks(ctx, target, TaskQuery{StartedBy: primary.ID, Listed: true})
	if err != nil {
		return s, err
	}
	for _, t := range all {
		if !t.over() && t.DesiredStatus != "STOPPED" {
			s.Tasks.add(t)
		}
	}
	if s.History, err = api.History(ctx, target, limit); err != nil {
		if !final(err) {
			return s, err
		}
		s.Blind = err.Error()
	}
	return s, nil
}

// Ongoing is what there is to follow in a service: the newest service
// deployment while it goes on, forward or back, else the primary deployment.
// done says that the service is steady and nothing goes on.
func Ongoing(ctx context.Context, api Reader, target Target) (begun Begun, done bool, err error) {
	s, err := api.Service(ctx, target)
	if err != nil {
		return Begun{}, false, err
	}
	primary, ok := s.Primary()
	if !ok {
		return Begun{}, false, fault.New(fault.BadInput, "", "service %s has no deployment to follow", s.Name)
	}
	begun = Begun{
		ID: primary.ID, Created: primary.Created, TaskDefinition: primary.TaskDefinition,
		Previous: replaced(s), Steady: completed(s, Await), Bake: s.Bake,
	}
	if (Status{Service: s}).Steady() {
		return begun, true, nil
	}
	newest, err := api.History(ctx, target, 1)
	if err != nil && !final(err) {
		return begun, false, err
	}
	if len(newest) == 0 || newest[0].ended() {
		return begun, false, nil
	}
	begun.Record = &newest[0]
	if strings.HasPrefix(newest[0].Status, "ROLLBACK") {
		begun.ID, begun.TaskDefinition = "", newest[0].TaskDefinition
		for _, d := range s.Deployments {
			if d.TaskDefinition == newest[0].TaskDefinition {
				begun.ID, begun.Created = d.ID, d.Created
			}
		}
	}
	return begun, false, nil
}

// ended reports whether ECS is through with the deployment.
func (d ServiceDeployment) ended() bool {
	switch d.Status {
	case "SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED":
		return true
	}
	return false
}

// FindRevision finds the revision that a person means: an ARN, family:7, 7 of
// the family that the service runs, or (at least 12 digits of) the digest of
// an image that one of the service's deployments of the last 90 days ran.
func FindRevision(ctx context.Context, api Reader, target Target, service Service, to string) (TaskDefinition, error) {
	if digest, ok := strings.CutPrefix(to, "sha256:"); ok {
		if len(digest) < 12 {
			return TaskDefinition{}, fault.New(fault.BadInput, "give at least 12 digits of the digest", "%s is too short to tell images apart", to)
		}
		return findDigest(ctx, api, target, to)
	}
	name := to
	if strings.Trim(to, "0123456789") == "" {
		family := TaskDefinition{ARN: service.TaskDefinition}.Family()
		name = family + ":" + to
	}
	found, err := api.TaskDefinition(ctx, name)
	if FateOf(err) == Refused {
		return found, fault.New(fault.Missing, "see `fastship deploy status` for those that ran", "find revision %s: %w", name, err)
	}
	return found, err
}

func findDigest(ctx context.Context, api Reader, target Target, digest string) (TaskDefinition, error) {
	all, err := api.History(ctx, target, 100)
	if err != nil {
		return TaskDefinition{}, err
	}
	var seen []string
	tried := map[string]bool{}
	for _, d := range all {
		if d.TaskDefinition == "" || tried[d.TaskDefinition] {
			continue
		}
		tried[d.TaskDefinition] = true
		definition, err := api.TaskDefinition(ctx, d.TaskDefinition)
		if err != nil {
			return definition, err
		}
		containers, err := definition.Containers()
		if err != nil {
			return definition, err
		}
		for _, c := range containers {
			if _, has, ok := strings.Cut(c.Image, "@"); ok && strings.HasPrefix(has, digest) {
				return definition, nil
			}
		}
		seen = append(seen, fmt.Sprintf("%s: %s", ShortName(d.TaskDefinition), list(containers)))
	}
	hint := "give a revision instead"
	if len(seen) > 0 {
		hint = "the service ran " + strings.Join(seen[:min(len(seen), 5)], "; ")
	}
	return TaskDefinition{}, fault.New(fault.Missing, hint, "find image %s among the service's deployments: none ran it", digest)
}
