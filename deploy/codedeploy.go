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

// CodeDeployer is AWS CodeDeploy, which replaces the task sets of services that
// have the deployment controller CODE_DEPLOY. Errors are those of Reader.
type CodeDeployer interface {
	// CodeDeployment reads a deployment by its id, without its target.
	CodeDeployment(ctx context.Context, id string) (CodeDeployment, error)
	// CodeDeployTarget reads what a deployment does to its service; zero before
	// it has begun to.
	CodeDeployTarget(ctx context.Context, id string) (CodeDeployTarget, error)
	// CodeDeployGroup reads an application's deployment group. It is
	// ErrNoGroup when there is none.
	CodeDeployGroup(ctx context.Context, application, group string) (CodeDeployGroup, error)
	// OngoingCodeDeployments lists a group's deployments that have not ended.
	OngoingCodeDeployments(ctx context.Context, g CodeDeployGroup) ([]CodeDeployment, error)
	// CreateCodeDeployment begins one by an AppSpec (JSON) and returns its id.
	// It sends one request and never repeats it: CreateDeployment has no
	// client token.
	CreateCodeDeployment(ctx context.Context, g CodeDeployGroup, appSpec json.RawMessage, description string) (string, error)
	// StopCodeDeployment stops a deployment that goes on and has CodeDeploy take
	// it back by another.
	StopCodeDeployment(ctx context.Context, id string) error
}

// ErrNoGroup is what reading a deployment group that does not exist gives.
var ErrNoGroup = errors.New("no such application or deployment group")

// CodeDeployGroup is a deployment group of an application.
type CodeDeployGroup struct {
	Application, Name string
	Services          []string      // CLUSTER/SERVICE
	Waits             time.Duration // by configuration: before and between shifts of traffic, and before the old tasks end
	RollsBack         bool          // a deployment that fails is rolled back
}

// CodeDeployment is a deployment as CodeDeploy shows it.
type CodeDeployment struct {
	ID, Application, Group string
	Status                 string          // Created, Queued, InProgress, Baking, Ready, Succeeded, Failed, Stopped
	Error                  string          // why it failed, in CodeDeploy's words
	ErrorCode              string          // of those: TIMEOUT, ALARM_ACTIVE, MANUAL_STOP, …
	AppSpec                json.RawMessage // as JSON; nil where CodeDeploy does not show it
	TaskDefinition         string          // that the AppSpec names
	Rollback               string          // id of the deployment that takes this one back
	Created                time.Time
	CodeDeployTarget
}

// CodeDeployTarget is what a deployment does to its service.
type CodeDeployTarget struct {
	State  string            // Pending, InProgress, Ready, Succeeded, Failed, Skipped, Unknown
	Stages []CodeDeployStage // in their order
	Green  CodeDeploySet
}

// CodeDeployStage is a lifecycle event.
type CodeDeployStage struct {
	Name   string // BeforeInstall, Install, AfterInstall, AllowTestTraffic, …
	Status string // Pending, InProgress, Succeeded, Failed, Skipped, Unknown
	Words  string // of its diagnostics
}

// CodeDeploySet is the new task set.
type CodeDeploySet struct {
	ID                        string // ecs-svc/…, as ECS names the task set
	Desired, Pending, Running int
	Traffic                   float64 // percent
}

func (d CodeDeployment) ended() bool {
	return d.Status == "Succeeded" || d.Status == "Failed" || d.Status == "Stopped"
}

// did reports whether a lifecycle event has ended well.
func (d CodeDeployment) did(name string) bool {
	for _, s := range d.Stages {
		if s.Name == name {
			return s.Status == "Succeeded"
		}
	}
	return false
}

// failed is the lifecycle event that did; zero when none.
func (d CodeDeployment) failed() CodeDeployStage {
	for _, s := range d.Stages {
		if s.Status == "Failed" {
			return s
		}
	}
	return CodeDeployStage{}
}

// byHook reports whether one of the AppSpec's functions failed it, and not the
// tasks.
func (d CodeDeployment) byHook() bool {
	switch d.failed().Name {
	case "", "Install", "AllowTestTraffic", "AllowTraffic":
		return false
	}
	return true
}

// cause is the failed lifecycle event's words, else the deployment's.
func (d CodeDeployment) cause() string {
	if s := d.failed(); s.Words != "" {
		return s.Name + ": " + oneLine(s.Words)
	}
	if d.Error != "" {
		return oneLine(d.Error)
	}
	return "CodeDeploy gives no reason"
}

// Waits is something that goes on only when a person acts.
type Waits struct{ What string }

func (Waits) event() {}

// FindCodeDeployGroup finds who deploys a service: configured as
// APPLICATION/GROUP, else by the deployment that made the service's task set,
// else under the names that the ECS console gives. last is that deployment;
// zero when it is not known.
func FindCodeDeployGroup(ctx context.Context, cd CodeDeployer, s Service, application, group string) (g CodeDeployGroup, last CodeDeployment, err error) {
	if s.TaskSetOf != "" {
		last, err = eventually(ctx, func() (CodeDeployment, error) { return cd.CodeDeployment(ctx, s.TaskSetOf) })
		if err != nil && FateOf(err) != Refused { // one that is long gone is no fault
			return g, last, err
		}
	}
	cluster := ShortName(s.Cluster)
	hint := "set deploy.codedeploy to APPLICATION/GROUP"
	switch {
	case application != "":
		hint = "correct deploy.codedeploy"
	case last.Application != "":
		application, group = last.Application, last.Group
	default:
		application, group = "AppECS-"+cluster+"-"+s.Name, "DgpECS-"+cluster+"-"+s.Name
	}
	g, err = eventually(ctx, func() (CodeDeployGroup, error) { return cd.CodeDeployGroup(ctx, application, group) })
	if errors.Is(err, ErrNoGroup) {
		return g, last, fault.New(fault.Missing, hint, "find CodeDeploy's deployment group %s of application %s for service %s: there is none", group, application, s.Name)
	}
	if err != nil {
		return g, last, err
	}
	for _, name := range g.Services {
		if name == cluster+"/"+s.Name {
			return g, last, nil
		}
	}
	return g, last, fault.New(fault.BadInput, hint, "deployment group %s of application %s deploys %v, not %s/%s", group, application, g.Services, cluster, s.Name)
}

// AppSpec is what CodeDeploy is to do: that of the last deployment (its hooks
// and whatever else it says stay) with another task definition; where it is
// not known, one for the service's load balancer.
func AppSpec(last json.RawMessage, s Service, container, taskDefinition string) (json.RawMessage, error) {
	if last == nil {
		target := map[string]any{"TaskDefinition": taskDefinition}
		balancer := map[string]any{"ContainerName": firstNonEmpty(s.TargetContainer, container), "ContainerPort": s.TargetPort}
		if s.TargetPort > 0 {
			target["LoadBalancerInfo"] = balancer
		}
		return marshal(map[string]any{"version": json.RawMessage("0.0"), "Resources": []any{
			map[string]any{"TargetService": map[string]any{"Type": "AWS::ECS::Service", "Properties": target}},
		}})
	}
	var spec struct {
		Resources []map[string]map[string]json.RawMessage
	}
	var whole map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(last, &whole), json.Unmarshal(last, &spec)); err != nil || len(spec.Resources) == 0 {
		return nil, fmt.Errorf("read the AppSpec of the last deployment: it names no service: %w", errors.Join(err, errors.ErrUnsupported))
	}
	for _, resource := range spec.Resources {
		for name, body := range resource {
			var properties map[string]json.RawMessage
			if err := json.Unmarshal(body["Properties"], &properties); err != nil {
				return nil, fmt.Errorf("read the AppSpec of the last deployment: %s: %w", name, err)
			}
			var err error
			if properties["TaskDefinition"], err = marshal(taskDefinition); err != nil {
				return nil, err
			}
			if body["Properties"], err = marshal(properties); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if whole["Resources"], err = marshal(spec.Resources); err != nil {
		return nil, err
	}
	return marshal(whole)
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// ApplyByCodeDeploy carries a plan out by one deployment of CodeDeploy. One of
// the same revision that goes on already is taken over, also after an answer
// that was lost; one of another is an error, since a group has one at a time.
func ApplyByCodeDeploy(ctx context.Context, api API, cd CodeDeployer, p Plan, g CodeDeployGroup, last json.RawMessage, emit func(Event)) (id, taskDefinition string, err error) {
	taskDefinition = p.Existing
	ongoing := func(definition string) (string, error) {
		all, err := eventually(ctx, func() ([]CodeDeployment, error) { return cd.OngoingCodeDeployments(ctx, g) })
		for _, d := range all {
			if d.TaskDefinition == definition && definition != "" {
				return d.ID, err
			}
		}
		if len(all) > 0 && err == nil {
			err = fault.New(fault.RolloutFailed, "wait for its end: aws deploy get-deployment --deployment-id "+all[0].ID,
				"CodeDeploy's deployment %s of %s goes on in group %s, which has one at a time", all[0].ID, firstNonEmpty(ShortName(all[0].TaskDefinition), "another revision"), g.Name)
		}
		return "", err
	}
	if id, err = ongoing(taskDefinition); err != nil || id != "" {
		if id != "" {
			emit(Began{Deployment: id, TaskDefinition: taskDefinition, Found: true})
		}
		return id, taskDefinition, err
	}
	if p.Register != nil {
		if taskDefinition, err = register(ctx, api, p); err != nil {
			return "", "", fmt.Errorf("register a revision of %s: %w", ShortName(p.Current.ARN), err)
		}
		emit(Registered{TaskDefinition: taskDefinition})
	}
	spec, err := AppSpec(last, p.Before, p.Container, taskDefinition)
	if err != nil {
		return "", taskDefinition, err
	}
	for {
		id, err = cd.CreateCodeDeployment(ctx, g, spec, "fastship: "+ShortName(taskDefinition))
		if err == nil {
			break
		}
		if !Transient(err) {
			return "", taskDefinition, fmt.Errorf("create a CodeDeploy deployment of %s: %w", ShortName(taskDefinition), err)
		}
		if FateOf(err) == Unknown {
			found, readErr := ongoing(taskDefinition)
			if found != "" || readErr != nil {
				id, err = found, readErr
				break
			}
		}
		if pause.For(ctx, resend) != nil {
			return "", taskDefinition, err
		}
	}
	if err == nil {
		emit(Began{Deployment: id, TaskDefinition: taskDefinition})
	}
	return id, taskDefinition, err
}
