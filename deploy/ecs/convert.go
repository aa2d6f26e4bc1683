package ecs

import (
	"math"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy"
)

func service(s types.Service) deploy.Service {
	d := deploy.Service{
		ARN:            aws.ToString(s.ServiceArn),
		Name:           aws.ToString(s.ServiceName),
		Cluster:        aws.ToString(s.ClusterArn),
		Status:         aws.ToString(s.Status),
		TaskDefinition: aws.ToString(s.TaskDefinition),
		Desired:        int(s.DesiredCount),
		LaunchType:     string(s.LaunchType), PlatformVersion: aws.ToString(s.PlatformVersion),
	}
	for _, p := range s.CapacityProviderStrategy {
		d.CapacityProviders = append(d.CapacityProviders, aws.ToString(p.CapacityProvider))
	}
	if s.DeploymentController != nil {
		d.Controller = string(s.DeploymentController.Type)
	}
	if c := s.DeploymentConfiguration; c != nil {
		d.Strategy, d.Bake = string(c.Strategy), bake(c)
		if b := c.DeploymentCircuitBreaker; b != nil && b.Enable {
			d.Breaker, d.Rollback = true, b.Rollback
		}
		if a := c.Alarms; a != nil && a.Enable {
			d.Breaker, d.Rollback = true, d.Rollback || a.Rollback
		}
	}
	if c := s.DeploymentConfiguration; c != nil {
		d.Minimum, d.Maximum = int(aws.ToInt32(c.MinimumHealthyPercent)), int(aws.ToInt32(c.MaximumPercent))
		d.EarlySuccess = c.EarlySuccessCriteria != nil && c.EarlySuccessCriteria.Enable
	}
	d.Grace = time.Duration(aws.ToInt32(s.HealthCheckGracePeriodSeconds)) * time.Second
	for _, lb := range s.LoadBalancers {
		if arn := aws.ToString(lb.TargetGroupArn); arn != "" {
			d.TargetGroups = append(d.TargetGroups, arn)
		}
		if d.TargetPort == 0 {
			d.TargetContainer, d.TargetPort = aws.ToString(lb.ContainerName), int(aws.ToInt32(lb.ContainerPort))
		}
	}
	for _, tag := range s.Tags {
		if aws.ToString(tag.Key) == "aws:cloudformation:stack-name" {
			d.Stack = aws.ToString(tag.Value)
		}
		d.Terraform = d.Terraform || strings.EqualFold(aws.ToString(tag.Value), "terraform") // ManagedBy = terraform, as its users tag
	}
	for _, x := range s.Deployments {
		d.Deployments = append(d.Deployments, deploy.Deployment{
			ID:             aws.ToString(x.Id),
			Status:         aws.ToString(x.Status),
			TaskDefinition: aws.ToString(x.TaskDefinition),
			Desired:        int(x.DesiredCount),
			Pending:        int(x.PendingCount),
			Running:        int(x.RunningCount),
			Failed:         int(x.FailedTasks),
			RolloutState:   string(x.RolloutState),
			RolloutReason:  aws.ToString(x.RolloutStateReason),
			Created:        aws.ToTime(x.CreatedAt),
		})
	}
	taskSets(s, &d)
	for _, e := range s.Events {
		d.Events = append(d.Events, deploy.ServiceEvent{ID: aws.ToString(e.Id), Created: aws.ToTime(e.CreatedAt), Message: aws.ToString(e.Message)})
	}
	return d
}

// bake is how long a rollout waits by its configuration: at the end, and
// between the steps of a traffic shift, with the service model's defaults.
func bake(c *types.DeploymentConfiguration) time.Duration {
	minutes := float64(aws.ToInt32(c.BakeTimeInMinutes))
	switch c.Strategy {
	case types.DeploymentStrategyCanary:
		step := int32(10)
		if x := c.CanaryConfiguration; x != nil && x.CanaryBakeTimeInMinutes != nil {
			step = *x.CanaryBakeTimeInMinutes
		}
		minutes += float64(step)
	case types.DeploymentStrategyLinear:
		step, percent := int32(6), 10.0
		if x := c.LinearConfiguration; x != nil {
			if x.StepBakeTimeInMinutes != nil {
				step = *x.StepBakeTimeInMinutes
			}
			if x.StepPercent != nil && *x.StepPercent > 0 {
				percent = *x.StepPercent
			}
		}
		minutes += float64(step) * (math.Ceil(100/percent) - 1)
	}
	return time.Duration(minutes * float64(time.Minute))
}

func serviceDeployment(s types.ServiceDeployment, definitions map[string]string) deploy.ServiceDeployment {
	d := deploy.ServiceDeployment{
		ARN:     aws.ToString(s.ServiceDeploymentArn),
		Status:  string(s.Status),
		Stage:   string(s.LifecycleStage),
		Reason:  aws.ToString(s.StatusReason),
		Created: aws.ToTime(s.CreatedAt), Finished: aws.ToTime(s.FinishedAt),
	}
	if s.TargetServiceRevision != nil {
		d.TaskDefinition = definitions[aws.ToString(s.TargetServiceRevision.Arn)]
		d.Production = aws.ToFloat64(s.TargetServiceRevision.RequestedProductionTrafficWeight)
		d.Test = aws.ToFloat64(s.TargetServiceRevision.RequestedTestTrafficWeight)
	}
	for _, h := range s.LifecycleHookDetails {
		d.Hooks = append(d.Hooks, deploy.Hook{
			ID: aws.ToString(h.HookId), Status: string(h.Status), Function: aws.ToString(h.TargetArn),
			Expires: aws.ToTime(h.ExpiresAt), After: string(h.TimeoutAction),
		})
	}
	if s.Rollback != nil {
		d.RollbackReason = aws.ToString(s.Rollback.Reason)
	}
	if b := s.DeploymentCircuitBreaker; b != nil {
		d.BreakerTriggered = b.Status == types.ServiceDeploymentRollbackMonitorsStatusTriggered
		d.BreakerThreshold = int(b.Threshold)
	}
	if s.Alarms != nil {
		d.Alarms = s.Alarms.TriggeredAlarmNames
	}
	return d
}

func taskOf(t types.Task) deploy.Task {
	d := deploy.Task{
		ARN:           aws.ToString(t.TaskArn),
		StartedBy:     aws.ToString(t.StartedBy),
		LastStatus:    aws.ToString(t.LastStatus),
		DesiredStatus: aws.ToString(t.DesiredStatus),
		Health:        string(t.HealthStatus),
		StopCode:      string(t.StopCode),
		StoppedReason: aws.ToString(t.StoppedReason),
		Definition:    aws.ToString(t.TaskDefinitionArn),
		Created:       aws.ToTime(t.CreatedAt),
		PullStarted:   aws.ToTime(t.PullStartedAt),
		PullStopped:   aws.ToTime(t.PullStoppedAt),
		Started:       aws.ToTime(t.StartedAt),
		Stopping:      aws.ToTime(t.StoppingAt),
		Ended:         aws.ToTime(t.ExecutionStoppedAt),
		Stopped:       aws.ToTime(t.StoppedAt),
	}
	for _, c := range t.Containers {
		x := deploy.Container{Name: aws.ToString(c.Name), Reason: aws.ToString(c.Reason), Health: string(c.HealthStatus), Runtime: aws.ToString(c.RuntimeId)}
		if c.ExitCode != nil {
			x.Exit = aws.Int(int(*c.ExitCode))
		}
		d.Containers = append(d.Containers, x)
	}
	return d
}
