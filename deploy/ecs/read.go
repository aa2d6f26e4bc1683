package ecs

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy"
)

// How many one Describe call takes, by the service model.
const (
	servicesPerCall    = 10
	deploymentsPerCall = 20
	revisionsPerCall   = 20
	tasksPerCall       = 100
)

// ServiceDeployments implements deploy.Reader.
func (c *Client) ServiceDeployments(ctx context.Context, t deploy.Target, arn string, since time.Time) ([]deploy.ServiceDeployment, error) {
	arns := []string{arn}
	if arn == "" {
		briefs, err := c.listDeployments(ctx, t, &types.CreatedAt{After: &since})
		if err != nil {
			return nil, err
		}
		arns = arnsOf(briefs)
	}
	found, err := c.describeDeployments(ctx, arns)
	slices.SortStableFunc(found, func(a, b deploy.ServiceDeployment) int { return a.Created.Compare(b.Created) })
	return found, err
}

// History implements deploy.Reader. ECS promises no order of its list, so all
// of it is read.
func (c *Client) History(ctx context.Context, t deploy.Target, limit int) ([]deploy.ServiceDeployment, error) {
	briefs, err := c.listDeployments(ctx, t, nil)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(briefs, func(a, b types.ServiceDeploymentBrief) int {
		return aws.ToTime(b.CreatedAt).Compare(aws.ToTime(a.CreatedAt))
	})
	found, err := c.describeDeployments(ctx, arnsOf(briefs[:min(limit, len(briefs))]))
	slices.SortStableFunc(found, func(a, b deploy.ServiceDeployment) int { return b.Created.Compare(a.Created) })
	return found, err
}

func (c *Client) describeDeployments(ctx context.Context, arns []string) ([]deploy.ServiceDeployment, error) {
	described, err := c.deployments.get(ctx, "", arns)
	if err != nil {
		return nil, c.fail("ecs:DescribeServiceDeployments", err)
	}
	definitions, err := c.definitionsOf(ctx, described)
	if err != nil {
		return nil, err
	}
	found := []deploy.ServiceDeployment{}
	for _, arn := range arns {
		if d, ok := described[arn]; ok {
			found = append(found, serviceDeployment(d, definitions))
		}
	}
	return found, nil
}

func (c *Client) callDeployments(ctx context.Context, _ string, arns []string) (map[string]types.ServiceDeployment, error) {
	out, err := c.api.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: arns})
	if err != nil {
		return nil, err
	}
	found := map[string]types.ServiceDeployment{}
	for _, d := range out.ServiceDeployments {
		found[aws.ToString(d.ServiceDeploymentArn)] = d
	}
	return found, nil
}

func arnsOf(briefs []types.ServiceDeploymentBrief) []string {
	var arns []string
	for _, b := range briefs {
		arns = append(arns, aws.ToString(b.ServiceDeploymentArn))
	}
	return arns
}

func (c *Client) listDeployments(ctx context.Context, t deploy.Target, created *types.CreatedAt) ([]types.ServiceDeploymentBrief, error) {
	var briefs []types.ServiceDeploymentBrief
	in := &ecs.ListServiceDeploymentsInput{Cluster: cluster(t), Service: &t.Service, CreatedAt: created, MaxResults: aws.Int32(100)}
	for { // the SDK has no paginator for this call
		page, err := c.api.ListServiceDeployments(ctx, in)
		if err != nil {
			return nil, c.fail("ecs:ListServiceDeployments", err)
		}
		briefs = append(briefs, page.ServiceDeployments...)
		if aws.ToString(page.NextToken) == "" {
			return briefs, nil
		}
		in.NextToken = page.NextToken
	}
}

// definitionsOf maps the deployments' target revisions to task definitions. A
// caller who may not read revisions gets none, which leaves the deployments
// to be told apart by their time.
func (c *Client) definitionsOf(ctx context.Context, deployments map[string]types.ServiceDeployment) (map[string]string, error) {
	known := map[string]string{}
	var unknown []string
	c.mu.Lock()
	for _, d := range deployments {
		if d.TargetServiceRevision == nil {
			continue
		}
		arn := aws.ToString(d.TargetServiceRevision.Arn)
		if definition, ok := c.revisions[arn]; ok {
			known[arn] = definition
		} else {
			unknown = append(unknown, arn)
		}
	}
	c.mu.Unlock()
	slices.Sort(unknown)
	read, err := c.definitions.get(ctx, "", slices.Compact(unknown))
	if err != nil {
		if err = c.fail("ecs:DescribeServiceRevisions", err); deploy.FateOf(err) == deploy.Denied {
			return known, nil
		}
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for arn, definition := range read {
		known[arn], c.revisions[arn] = definition, definition
	}
	return known, nil
}

func (c *Client) callRevisions(ctx context.Context, _ string, arns []string) (map[string]string, error) {
	out, err := c.api.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: arns})
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, r := range out.ServiceRevisions {
		found[aws.ToString(r.ServiceRevisionArn)] = aws.ToString(r.TaskDefinition)
	}
	return found, nil
}

// Tasks implements deploy.Reader. ListTasks takes startedBy only alone, so
// the service's tasks are listed and filtered here.
func (c *Client) Tasks(ctx context.Context, t deploy.Target, q deploy.TaskQuery) ([]deploy.Task, error) {
	arns := slices.Clone(q.Known)
	lists := []types.DesiredStatus{}
	if q.Listed {
		lists = append(lists, types.DesiredStatusRunning)
	}
	if q.Stopped {
		lists = append(lists, types.DesiredStatusStopped)
	}
	for _, status := range lists {
		in := &ecs.ListTasksInput{Cluster: cluster(t), ServiceName: aws.String(deploy.ShortName(t.Service)), DesiredStatus: status}
		pages := ecs.NewListTasksPaginator(c.api, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, c.fail("ecs:ListTasks", err)
			}
			arns = append(arns, page.TaskArns...)
		}
	}
	slices.Sort(arns)
	return c.describeTasks(ctx, t, slices.Compact(arns), q.StartedBy)
}

func (c *Client) describeTasks(ctx context.Context, t deploy.Target, arns []string, startedBy string) ([]deploy.Task, error) {
	described, err := c.tasks.get(ctx, aws.ToString(cluster(t)), arns)
	if err != nil {
		return nil, c.fail("ecs:DescribeTasks", err)
	}
	found := []deploy.Task{}
	for _, arn := range arns {
		if task, ok := described[arn]; ok && (startedBy == "" || aws.ToString(task.StartedBy) == startedBy) {
			found = append(found, taskOf(task))
		}
	}
	return found, nil
}

func (c *Client) callTasks(ctx context.Context, group string, arns []string) (map[string]types.Task, error) {
	in := &ecs.DescribeTasksInput{Tasks: arns}
	if group != "" {
		in.Cluster = &group
	}
	out, err := c.api.DescribeTasks(ctx, in)
	if err != nil {
		return nil, err
	}
	if len(out.Tasks) == 0 && len(out.Failures) > 0 && aws.ToString(out.Failures[0].Reason) != "MISSING" {
		return nil, errors.New("describe tasks: " + aws.ToString(out.Failures[0].Reason))
	}
	found := map[string]types.Task{}
	for _, task := range out.Tasks {
		found[aws.ToString(task.TaskArn)] = task
	}
	return found, nil
}
