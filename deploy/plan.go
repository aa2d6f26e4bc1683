package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// Action is what a plan does to the service.
type Action int

// The actions.
const (
	Nothing Action = iota // it runs already, steadily
	Await                 // it is being rolled out already: only follow
	Update                // one UpdateService, then follow
)

// Plan is the ordered steps from what is to what should be.
type Plan struct {
	Target    Target
	Action    Action
	Container string
	Image     string          // empty, or ending in @ or :, while it is unknown
	Before    Service         // as it was read
	Current   TaskDefinition  // what the service runs
	Existing  string          // ARN of the revision to run; empty when one is registered first
	Register  json.RawMessage // body of RegisterTaskDefinition; nil when nothing has to be registered
	Force     bool            // start a deployment though the definition is the same
	Essential map[string]bool // the containers that the task cannot live without
	OldImage  string
	File      json.RawMessage // the definition that is the truth; nil: what the service runs is
}

// Prepare reads what is and plans the way to target running image in
// container. An empty image is one that nobody knows yet.
func Prepare(ctx context.Context, api Reader, target Target, container, repository, image string) (Plan, error) {
	return PrepareFile(ctx, api, target, container, repository, image, nil)
}

// PrepareFile is Prepare where a definition (RegisterTaskDefinition's body) is
// the truth in place of what the service runs; nil is none.
func PrepareFile(ctx context.Context, api Reader, target Target, container, repository, image string, file json.RawMessage) (Plan, error) {
	if file != nil {
		if err := CheckDefinition(file); err != nil {
			return Plan{}, err
		}
	}
	if err := notBeanstalks(ShortName(target.Cluster)); err != nil {
		return Plan{}, err
	}
	service, err := api.Service(ctx, target)
	if err != nil {
		return Plan{}, err
	}
	if err := plannable(service); err != nil {
		return Plan{}, err
	}
	current, latest, err := revisions(ctx, api, service.TaskDefinition, file == nil && known(image))
	if err != nil {
		return Plan{}, err
	}
	truth := current
	if file != nil {
		truth = TaskDefinition{Raw: file}
	}
	containers, err := truth.Containers()
	if err != nil {
		return Plan{}, err
	}
	if repository == "" {
		repository = Repository(image)
	}
	p := Plan{Target: target, Action: Update, Image: image, Before: service, Current: current, File: file, Essential: map[string]bool{}}
	if p.Container, err = ChooseContainer(containers, container, repository); err != nil {
		return Plan{}, err
	}
	for _, c := range containers {
		p.Essential[c.Name] = c.IsEssential()
	}
	p.OldImage = imageOf(current.Raw, p.Container)
	if !known(image) {
		return p, nil
	}
	return p, p.choose(ctx, api, latest)
}

// revisions reads the revision that a service runs and, where it is wanted,
// the latest of its family: mostly that is the same one, which is read once.
func revisions(ctx context.Context, api Reader, arn string, both bool) (current, latest TaskDefinition, err error) {
	if both {
		latest, err = api.TaskDefinition(ctx, TaskDefinition{ARN: arn}.Family())
		if err == nil && latest.ARN == arn || err != nil && FateOf(err) != Refused { // a family may have no active revision
			return latest, latest, err
		}
	}
	current, err = api.TaskDefinition(ctx, arn)
	return current, latest, err
}

// Truth is the definition that a new revision is made from: the file's, else
// what the service runs.
func (p Plan) Truth() TaskDefinition {
	if p.File != nil {
		return TaskDefinition{ARN: familyOf(p.File), Raw: p.File}
	}
	return p.Current
}

// known tells an image that a plan can be exact about.
func known(image string) bool {
	return image != "" && !strings.HasSuffix(image, "@") && !strings.HasSuffix(image, ":")
}

// choose decides which revision is to run and by which action. A revision
// that an earlier, failed rollout registered is used again when it is the
// family's latest.
func (p *Plan) choose(ctx context.Context, api Reader, latest TaskDefinition) error {
	if p.File != nil {
		return p.chooseFile(ctx, api)
	}
	if p.OldImage == p.Image {
		p.Existing = p.Current.ARN
		p.Action, p.Force = sameRevision(p.Before)
		return nil
	}
	wanted, err := CloneTaskDefinition(p.Current.Raw, p.Container, p.Image)
	if err != nil {
		return fmt.Errorf("clone task definition %s: %w", ShortName(p.Current.ARN), err)
	}
	if latest.ARN != "" && latest.ARN != p.Current.ARN && sameDefinition(latest.Raw, wanted, p.Container, p.Image) {
		p.Existing = latest.ARN
		return nil
	}
	p.Register = wanted
	return nil
}

// chooseFile is choose for a definition from a file.
func (p *Plan) chooseFile(ctx context.Context, api Reader) error {
	wanted, err := CloneTaskDefinition(p.File, p.Container, p.Image)
	if err != nil {
		return err
	}
	if registeredAs(p.Current.Raw, wanted) {
		p.Existing = p.Current.ARN
		p.Action, p.Force = sameRevision(p.Before)
		return nil
	}
	latest, err := api.TaskDefinition(ctx, familyOf(wanted))
	switch {
	case FateOf(err) == Refused && err != nil: // a family that nobody registered
	case err != nil:
		return err
	case latest.ARN != p.Current.ARN && latest.Active() && registeredAs(latest.Raw, wanted):
		p.Existing = latest.ARN
		return nil
	}
	p.Register = wanted
	return nil
}

func familyOf(definition json.RawMessage) string {
	var d struct {
		Family string `json:"family"`
	}
	_ = json.Unmarshal(definition, &d) // CheckDefinition has read it
	return d.Family
}

// sameDefinition reports whether a described revision is what registering
// wanted would give.
func sameDefinition(described, wanted json.RawMessage, container, image string) bool {
	clone, err := CloneTaskDefinition(described, container, imageOf(described, container))
	return err == nil && imageOf(described, container) == image && sameJSON(clone, wanted)
}

func imageOf(raw json.RawMessage, container string) string {
	containers, _ := TaskDefinition{Raw: raw}.Containers() // unreadable: no image
	for _, c := range containers {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

// sameRevision decides what is left to do when the service already has the
// wanted definition.
func sameRevision(s Service) (a Action, force bool) {
	primary, ok := s.Primary()
	switch {
	case !ok || primary.RolloutState == "FAILED":
		return Update, true // ECS has given that deployment up
	case primary.RolloutState != "IN_PROGRESS" && primary.whole() && len(s.Deployments) == 1:
		return Nothing, false
	}
	return Await, false
}

// notBeanstalks refuses the clusters that Elastic Beanstalk makes for its
// environments (awseb-…) and puts back by itself.
func notBeanstalks(cluster string) error {
	if !strings.HasPrefix(cluster, "awseb-") {
		return nil
	}
	return fault.New(fault.BadInput, "deploy it by Elastic Beanstalk (eb deploy), or move it to an ECS service of its own", "cluster %s belongs to an environment of Elastic Beanstalk, which fastship cannot drive", cluster)
}

// ByCodeDeploy reports whether CodeDeploy replaces the service's tasks.
func (s Service) ByCodeDeploy() bool { return s.Controller == "CODE_DEPLOY" }

// plannable is Deployable, and lets pass what CodeDeploy deploys.
func plannable(s Service) error {
	if s.Status == "ACTIVE" && s.ByCodeDeploy() {
		return nil
	}
	return Deployable(s)
}

// Deployable refuses the services that fastship cannot update itself.
func Deployable(s Service) error {
	if s.Status != "ACTIVE" {
		return fault.New(fault.Missing, "create the service again, or correct deploy.service", "service %s is %s, not ACTIVE", s.Name, s.Status)
	}
	if err := notBeanstalks(ShortName(s.Cluster)); err != nil {
		return err
	}
	switch s.Controller {
	case "", "ECS":
	case "CODE_DEPLOY":
		return fault.New(fault.BadInput, "roll out the earlier image: fastship deploy run --image REPOSITORY@DIGEST; a deployment that goes on ends by aws deploy stop-deployment --auto-rollback-enabled",
			"service %s is deployed by CodeDeploy, which knows no such step", s.Name)
	default:
		return fault.New(fault.BadInput, "deploy it with the tool that owns its task sets",
			"service %s has the deployment controller %s, which fastship cannot drive", s.Name, s.Controller)
	}
	if s.Strategy != "" && s.Strategy != "ROLLING" && !shifts(s.Strategy) {
		return fault.New(fault.BadInput, "set the service's deployment strategy to one of ROLLING, BLUE_GREEN, LINEAR, CANARY", "service %s has the deployment strategy %s, which this fastship does not know", s.Name, s.Strategy)
	}
	return nil
}

// Lines say the plan to a person, one step a line.
func (p Plan) Lines() []string {
	service, current := p.Before.Name, ShortName(p.Current.ARN)
	if !known(p.Image) {
		return []string{
			fmt.Sprintf("register a revision of %s with the new image in container %s (now %s)", current, p.Container, p.OldImage),
			fmt.Sprintf("update service %s from %s to it, and follow the rollout of %s", service, current, tasks(p.Before.Desired)),
		}
	}
	update := "update service"
	if p.Before.ByCodeDeploy() {
		update = "have CodeDeploy replace the tasks of service"
	}
	var lines []string
	if p.Register != nil {
		lines = append(lines, fmt.Sprintf("register a revision of %s: container %s from %s to %s", current, p.Container, p.OldImage, p.Image))
	}
	switch {
	case p.Action == Nothing:
		return []string{fmt.Sprintf("nothing: service %s runs %s with this image already", service, current)}
	case p.Action == Await:
		return []string{fmt.Sprintf("follow the rollout of %s that is going on in service %s", current, service)}
	case p.Force:
		lines = append(lines, fmt.Sprintf("update service %s: start %s again, whose last rollout failed", service, current))
	case p.Register != nil:
		lines = append(lines, fmt.Sprintf("%s %s from %s to the new revision", update, service, current))
	default:
		lines = append(lines, fmt.Sprintf("%s %s from %s to %s, which is registered already", update, service, current, ShortName(p.Existing)))
	}
	return append(lines, "follow the rollout of "+tasks(p.Before.Desired))
}

func tasks(n int) string {
	if n == 1 {
		return "1 task"
	}
	return fmt.Sprintf("%d tasks", n)
}
