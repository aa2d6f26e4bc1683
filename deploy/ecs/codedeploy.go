package ecs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/goccy/go-yaml"
)

var _ deploy.CodeDeployer = (*Client)(nil)

func codeDeploy() awsconf.Service {
	return awsconf.Service{ID: "CodeDeploy", Host: "codedeploy", Target: "CodeDeploy_20141006."}
}

// taskSets shows a service that CodeDeploy deploys as its task sets have it:
// each is a deployment, and what the service runs is the primary one's.
func taskSets(s types.Service, d *deploy.Service) {
	if d.Controller != string(types.DeploymentControllerTypeCodeDeploy) {
		return
	}
	for _, x := range s.TaskSets {
		d.Deployments = append(d.Deployments, deploy.Deployment{
			ID: aws.ToString(x.Id), Status: aws.ToString(x.Status), TaskDefinition: aws.ToString(x.TaskDefinition),
			Desired: int(x.ComputedDesiredCount), Pending: int(x.PendingCount), Running: int(x.RunningCount), Created: aws.ToTime(x.CreatedAt),
		})
		if aws.ToString(x.Status) == "PRIMARY" {
			d.TaskDefinition, d.TaskSetOf = aws.ToString(x.TaskDefinition), aws.ToString(x.ExternalId)
		}
	}
}

// CodeDeployTarget implements deploy.CodeDeployer. A deployment on ECS has one
// target, whose id never changes.
func (c *Client) CodeDeployTarget(ctx context.Context, id string) (d deploy.CodeDeployTarget, err error) {
	ids, err := c.codeDeployTargets(ctx, id)
	if err != nil || len(ids) == 0 {
		return d, err
	}
	answer, err := c.post(ctx, codeDeploy(), "BatchGetDeploymentTargets", map[string]any{"deploymentId": id, "targetIds": ids})
	var targets struct {
		DeploymentTargets []struct {
			EcsTarget struct {
				Status          string
				LifecycleEvents []struct {
					LifecycleEventName, Status string
					Diagnostics                struct{ Message, LogTail string }
				}
				TaskSetsInfo []struct {
					Identifer                                string // as the model spells it
					TaskSetLabel                             string
					DesiredCount, PendingCount, RunningCount int
					TrafficWeight                            float64
				}
			}
		}
	}
	if err = errors.Join(err, unmarshal(answer, &targets)); err != nil {
		return d, c.fail("codedeploy:BatchGetDeploymentTargets", err)
	}
	for _, target := range targets.DeploymentTargets {
		d.State = target.EcsTarget.Status
		for _, e := range target.EcsTarget.LifecycleEvents {
			words := strings.TrimSpace(e.Diagnostics.Message + " " + e.Diagnostics.LogTail)
			d.Stages = append(d.Stages, deploy.CodeDeployStage{Name: e.LifecycleEventName, Status: e.Status, Words: words})
		}
		for _, s := range target.EcsTarget.TaskSetsInfo {
			if strings.EqualFold(s.TaskSetLabel, "green") {
				d.Green = deploy.CodeDeploySet{ID: s.Identifer, Desired: s.DesiredCount, Pending: s.PendingCount, Running: s.RunningCount, Traffic: s.TrafficWeight}
			}
		}
	}
	return d, nil
}

// codeDeployTargets lists the targets of a deployment; none while it has not
// started.
func (c *Client) codeDeployTargets(ctx context.Context, id string) ([]string, error) {
	c.mu.Lock()
	known := c.targets[id]
	c.mu.Unlock()
	if len(known) > 0 {
		return known, nil
	}
	answer, err := c.post(ctx, codeDeploy(), "ListDeploymentTargets", map[string]any{"deploymentId": id})
	var list struct{ TargetIds []string }
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "DeploymentNotStartedException" {
		return nil, nil
	}
	if err = errors.Join(err, unmarshal(answer, &list)); err != nil {
		return nil, c.fail("codedeploy:ListDeploymentTargets", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.targets[id] = list.TargetIds
	return list.TargetIds, nil
}

// StopCodeDeployment implements deploy.CodeDeployer.
func (c *Client) StopCodeDeployment(ctx context.Context, id string) error {
	if _, err := c.post(ctx, codeDeploy(), "StopDeployment", map[string]any{"deploymentId": id, "autoRollbackEnabled": true}); err != nil {
		return c.fail("codedeploy:StopDeployment", err)
	}
	return nil
}

// unmarshal is json.Unmarshal of an answer, if there is one.
func unmarshal(answer json.RawMessage, into any) error {
	if answer == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// CodeDeployment implements deploy.CodeDeployer.
func (c *Client) CodeDeployment(ctx context.Context, id string) (d deploy.CodeDeployment, err error) {
	answer, err := c.post(ctx, codeDeploy(), "GetDeployment", map[string]any{"deploymentId": id})
	var out struct {
		DeploymentInfo struct {
			DeploymentId, ApplicationName, DeploymentGroupName, Status string
			ErrorInformation                                           struct{ Code, Message string }
			RollbackInfo                                               struct{ RollbackDeploymentId string }
			CreateTime                                                 float64
			Revision                                                   struct {
				AppSpecContent, String struct{ Content string }
			}
		}
	}
	if err = errors.Join(err, unmarshal(answer, &out)); err != nil {
		return d, c.fail("codedeploy:GetDeployment", err)
	}
	i := out.DeploymentInfo
	d = deploy.CodeDeployment{
		ID: i.DeploymentId, Application: i.ApplicationName, Group: i.DeploymentGroupName, Status: i.Status,
		Error: i.ErrorInformation.Message, ErrorCode: i.ErrorInformation.Code, Rollback: i.RollbackInfo.RollbackDeploymentId, Created: time.UnixMilli(int64(i.CreateTime * 1000)),
	}
	d.AppSpec, d.TaskDefinition = appSpec(cmp.Or(i.Revision.AppSpecContent.Content, i.Revision.String.Content))
	return d, nil
}

// appSpec reads an AppSpec, which is JSON or YAML, as JSON.
func appSpec(text string) (raw json.RawMessage, taskDefinition string) {
	if text == "" {
		return nil, ""
	}
	raw = json.RawMessage(text)
	if !json.Valid(raw) {
		v, err := parseDefinition([]byte(text))
		if err != nil {
			return nil, ""
		}
		if raw, err = yaml.MarshalWithOptions(v, yaml.JSON()); err != nil || !json.Valid(raw) {
			return nil, ""
		}
	}
	var spec struct {
		Resources []map[string]struct {
			Properties struct{ TaskDefinition string }
		}
	}
	if json.Unmarshal(raw, &spec) != nil {
		return nil, ""
	}
	for _, r := range spec.Resources {
		for _, service := range r {
			taskDefinition = service.Properties.TaskDefinition
		}
	}
	return raw, taskDefinition
}

// CodeDeployGroup implements deploy.CodeDeployer.
func (c *Client) CodeDeployGroup(ctx context.Context, application, group string) (g deploy.CodeDeployGroup, err error) {
	answer, err := c.post(ctx, codeDeploy(), "GetDeploymentGroup", map[string]any{"applicationName": application, "deploymentGroupName": group})
	if api, ok := errors.AsType[smithy.APIError](err); ok && (api.ErrorCode() == "ApplicationDoesNotExistException" || api.ErrorCode() == "DeploymentGroupDoesNotExistException") {
		return g, deploy.ErrNoGroup
	}
	var out struct {
		DeploymentGroupInfo struct {
			DeploymentConfigName             string
			EcsServices                      []struct{ ServiceName, ClusterName string }
			AutoRollbackConfiguration        struct{ Enabled bool }
			BlueGreenDeploymentConfiguration struct {
				TerminateBlueInstancesOnDeploymentSuccess struct{ TerminationWaitTimeInMinutes int }
				DeploymentReadyOption                     struct{ WaitTimeInMinutes int }
			}
		}
	}
	if err = errors.Join(err, unmarshal(answer, &out)); err != nil {
		return g, c.fail("codedeploy:GetDeploymentGroup", err)
	}
	i := out.DeploymentGroupInfo
	g = deploy.CodeDeployGroup{Application: application, Name: group, RollsBack: i.AutoRollbackConfiguration.Enabled}
	for _, s := range i.EcsServices {
		g.Services = append(g.Services, deploy.ShortName(s.ClusterName)+"/"+s.ServiceName)
	}
	blue := i.BlueGreenDeploymentConfiguration
	minutes := blue.TerminateBlueInstancesOnDeploymentSuccess.TerminationWaitTimeInMinutes + blue.DeploymentReadyOption.WaitTimeInMinutes
	shift, err := c.shiftTime(ctx, i.DeploymentConfigName)
	g.Waits = time.Duration(minutes)*time.Minute + shift
	return g, err
}

// shiftTime is how long a deployment configuration shifts the traffic.
func (c *Client) shiftTime(ctx context.Context, config string) (time.Duration, error) {
	if config == "" || config == "CodeDeployDefault.ECSAllAtOnce" {
		return 0, nil
	}
	answer, err := c.post(ctx, codeDeploy(), "GetDeploymentConfig", map[string]any{"deploymentConfigName": config})
	var out struct {
		DeploymentConfigInfo struct {
			TrafficRoutingConfig struct {
				TimeBasedCanary struct{ CanaryInterval int }
				TimeBasedLinear struct{ LinearPercentage, LinearInterval int }
			}
		}
	}
	if err = errors.Join(err, unmarshal(answer, &out)); err != nil {
		return 0, c.fail("codedeploy:GetDeploymentConfig", err)
	}
	routing := out.DeploymentConfigInfo.TrafficRoutingConfig
	minutes := routing.TimeBasedCanary.CanaryInterval
	if l := routing.TimeBasedLinear; l.LinearPercentage > 0 {
		minutes += (99 / l.LinearPercentage) * l.LinearInterval
	}
	return time.Duration(minutes) * time.Minute, nil
}

// OngoingCodeDeployments implements deploy.CodeDeployer.
func (c *Client) OngoingCodeDeployments(ctx context.Context, g deploy.CodeDeployGroup) ([]deploy.CodeDeployment, error) {
	answer, err := c.post(ctx, codeDeploy(), "ListDeployments", map[string]any{
		"applicationName": g.Application, "deploymentGroupName": g.Name,
		"includeOnlyStatuses": []string{"Created", "Queued", "InProgress", "Baking", "Ready"},
	})
	var list struct{ Deployments []string } // one page: a group has one at a time
	if err = errors.Join(err, unmarshal(answer, &list)); err != nil {
		return nil, c.fail("codedeploy:ListDeployments", err)
	}
	slices.Sort(list.Deployments)
	var all []deploy.CodeDeployment
	for _, id := range list.Deployments {
		d, err := c.CodeDeployment(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// CreateCodeDeployment implements deploy.CodeDeployer.
func (c *Client) CreateCodeDeployment(ctx context.Context, g deploy.CodeDeployGroup, spec json.RawMessage, description string) (string, error) {
	body, err := plainJSON(map[string]any{
		"applicationName": g.Application, "deploymentGroupName": g.Name, "description": description,
		"revision": map[string]any{"revisionType": "AppSpecContent", "appSpecContent": map[string]string{"content": string(spec)}},
	})
	if err != nil {
		return "", err
	}
	answer, err := codeDeploy().Send(ctx, c.cfg, "POST", "/", codeDeploy().Target+"CreateDeployment", body) // once: it has no client token
	var out struct{ DeploymentId string }
	if err = errors.Join(err, unmarshal(answer, &out)); err != nil {
		return "", c.fail("codedeploy:CreateDeployment", err)
	}
	if out.DeploymentId == "" {
		return "", c.fail("codedeploy:CreateDeployment", fmt.Errorf("create a deployment in group %s: the answer is empty", g.Name))
	}
	return out.DeploymentId, nil
}
