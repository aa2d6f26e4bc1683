package ecs

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy"
)

// startedBy marks the tasks that fastship runs by itself; ECS allows 36
// characters.
const startedBy = "fastship"

// RunTask implements deploy.TaskRunner. Network and capacity are those of the
// service's primary deployment.
func (c *Client) RunTask(ctx context.Context, t deploy.Target, definition, token string) (deploy.Task, error) {
	out, err := c.api.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: cluster(t), Services: []string{t.Service}})
	if err != nil {
		return deploy.Task{}, c.fail("ecs:DescribeServices", err)
	}
	if len(out.Services) == 0 {
		return deploy.Task{}, c.noService(ctx, t)
	}
	s := out.Services[0]
	in := &ecs.RunTaskInput{
		Cluster: cluster(t), TaskDefinition: &definition, ClientToken: &token, Count: aws.Int32(1), StartedBy: aws.String(startedBy),
		NetworkConfiguration: s.NetworkConfiguration, PlatformVersion: s.PlatformVersion,
	}
	if len(s.CapacityProviderStrategy) > 0 {
		in.CapacityProviderStrategy = s.CapacityProviderStrategy // the two exclude each other
	} else {
		in.LaunchType = s.LaunchType
	}
	if in.LaunchType == types.LaunchTypeEc2 {
		in.PlatformVersion = nil // Fargate's
	}
	ran, err := c.api.RunTask(ctx, in)
	if err != nil {
		return deploy.Task{}, c.fail("ecs:RunTask", err)
	}
	if len(ran.Tasks) == 0 {
		reason := "the answer is empty"
		if len(ran.Failures) > 0 {
			reason = strings.TrimSpace(aws.ToString(ran.Failures[0].Reason) + " " + aws.ToString(ran.Failures[0].Detail))
		}
		return deploy.Task{}, &deploy.CallError{Call: "ecs:RunTask", Fate: deploy.Refused, Err: errors.New("ECS has no place for the task: " + reason)}
	}
	return taskOf(ran.Tasks[0]), nil
}

// StopTask implements deploy.TaskRunner.
func (c *Client) StopTask(ctx context.Context, t deploy.Target, arn, reason string) error {
	if _, err := c.api.StopTask(ctx, &ecs.StopTaskInput{Cluster: cluster(t), Task: &arn, Reason: aws.String(reason[:min(len(reason), 255)])}); err != nil {
		return c.fail("ecs:StopTask", err)
	}
	return nil
}

// Deregister implements deploy.TaskRunner.
func (c *Client) Deregister(ctx context.Context, definition string) error {
	if _, err := c.api.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &definition}); err != nil {
		return c.fail("ecs:DeregisterTaskDefinition", err)
	}
	return nil
}
