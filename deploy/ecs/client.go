// Package ecs is deploy's side to Amazon ECS, by the AWS SDK. What it reads it
// hands over as deploy's plain types; task definitions travel as the raw JSON
// of the wire, in both directions, so that fields the SDK does not know are
// not lost.
package ecs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/fault"
)

// Client implements deploy.API. Reads are retried by the policy in its
// configuration; the two writes are sent once. All that one client is asked for
// stays within a share of the account's request limits, and what many ask for
// at once goes in one call: rollouts side by side share a client.
type Client struct {
	api *ecs.Client
	cfg aws.Config

	services    batcher[described]
	tasks       batcher[types.Task]
	deployments batcher[types.ServiceDeployment]
	definitions batcher[string] // of service revisions: ARN → task definition ARN

	mu        sync.Mutex
	revisions map[string]string   // what definitions gave, which never changes
	targets   map[string][]string // of CodeDeploy's deployments, by their ids
}

var _ deploy.API = (*Client)(nil)

// New makes a client of cfg.
func New(cfg aws.Config) *Client {
	limits := newLimiter()
	wait := func(op string) func(context.Context) error {
		return func(ctx context.Context) error { return limits.wait(ctx, op) }
	}
	c := &Client{cfg: cfg, revisions: map[string]string{}, targets: map[string][]string{}}
	c.api = ecs.NewFromConfig(cfg, ecs.WithAPIOptions(limits.limit))
	c.services = batcher[described]{size: servicesPerCall, wait: wait("DescribeServices"), call: c.describeServices}
	c.tasks = batcher[types.Task]{size: tasksPerCall, wait: wait("DescribeTasks"), call: c.callTasks}
	c.deployments = batcher[types.ServiceDeployment]{size: deploymentsPerCall, wait: wait("DescribeServiceDeployments"), call: c.callDeployments}
	c.definitions = batcher[string]{size: revisionsPerCall, wait: wait("DescribeServiceRevisions"), call: c.callRevisions}
	return c
}

// once turns the SDK's retries off: UpdateService and RegisterTaskDefinition
// have no client token, so a repeated request is a second deployment or
// revision.
func once(o *ecs.Options) { o.Retryer = aws.NopRetryer{} }

// TaskDefinition implements deploy.Reader.
func (c *Client) TaskDefinition(ctx context.Context, name string) (deploy.TaskDefinition, error) {
	var body []byte
	_, err := c.api.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: &name,
		Include:        []types.TaskDefinitionField{types.TaskDefinitionFieldTags},
	}, ecs.WithAPIOptions(takeBody(&body)))
	if err != nil {
		return deploy.TaskDefinition{}, c.fail("ecs:DescribeTaskDefinition", err)
	}
	definition, err := definitionOf(body)
	if err != nil {
		return deploy.TaskDefinition{}, c.fail("ecs:DescribeTaskDefinition", fmt.Errorf("read task definition %s: %w", name, err))
	}
	return definition, nil
}

// definitionOf reads an answer. The tags, which stand beside the definition,
// go to where a registration has them.
func definitionOf(answer []byte) (deploy.TaskDefinition, error) {
	var parts struct {
		Definition map[string]json.RawMessage `json:"taskDefinition"`
		Tags       json.RawMessage            `json:"tags"`
	}
	if err := json.Unmarshal(answer, &parts); err != nil {
		return deploy.TaskDefinition{}, err
	}
	var arn string
	if err := json.Unmarshal(parts.Definition["taskDefinitionArn"], &arn); err != nil {
		return deploy.TaskDefinition{}, fmt.Errorf("find its ARN in the answer: %w", err)
	}
	if len(parts.Tags) > 0 && string(parts.Tags) != "null" {
		parts.Definition["tags"] = parts.Tags
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the values stay the bytes they came in
	if err := e.Encode(parts.Definition); err != nil {
		return deploy.TaskDefinition{}, err
	}
	return deploy.TaskDefinition{ARN: arn, Raw: b.Bytes()}, nil
}

// Register implements deploy.Writer.
func (c *Client) Register(ctx context.Context, definition json.RawMessage) (string, error) {
	// The typed input only passes the SDK's own validation; the bytes that
	// are signed and sent are definition's.
	placeholder := &ecs.RegisterTaskDefinitionInput{
		Family:               aws.String("replaced"),
		ContainerDefinitions: []types.ContainerDefinition{},
	}
	out, err := c.api.RegisterTaskDefinition(ctx, placeholder, once, ecs.WithAPIOptions(replaceBody(definition)))
	if err != nil {
		return "", c.fail("ecs:RegisterTaskDefinition", err)
	}
	if out.TaskDefinition == nil {
		return "", c.fail("ecs:RegisterTaskDefinition", errors.New("register task definition: the answer is empty"))
	}
	return aws.ToString(out.TaskDefinition.TaskDefinitionArn), nil
}

// Update implements deploy.Writer.
func (c *Client) Update(ctx context.Context, t deploy.Target, taskDefinition string, force bool) (deploy.Service, error) {
	out, err := c.api.UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster:            cluster(t),
		Service:            &t.Service,
		TaskDefinition:     &taskDefinition,
		ForceNewDeployment: force,
	}, once)
	if err != nil {
		return deploy.Service{}, c.fail("ecs:UpdateService", err)
	}
	if out.Service == nil {
		return deploy.Service{}, c.fail("ecs:UpdateService", errors.New("update service "+t.Service+": the answer is empty"))
	}
	return service(*out.Service), nil
}

// StopDeployment implements deploy.Writer. A deployment that has ended is a
// refusal.
func (c *Client) StopDeployment(ctx context.Context, arn string) error {
	_, err := c.api.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{
		ServiceDeploymentArn: &arn, StopType: types.StopServiceDeploymentStopTypeRollback,
	})
	if err != nil {
		return c.fail("ecs:StopServiceDeployment", err)
	}
	return nil
}

// Service implements deploy.Reader. A service or cluster that does not exist
// is fault.Missing with the names that come near.
func (c *Client) Service(ctx context.Context, t deploy.Target) (deploy.Service, error) {
	found, err := c.services.get(ctx, aws.ToString(cluster(t)), []string{t.Service})
	if _, gone := errors.AsType[*types.ClusterNotFoundException](err); gone {
		return deploy.Service{}, c.noCluster(ctx, t)
	}
	if err != nil {
		return deploy.Service{}, c.fail("ecs:DescribeServices", err)
	}
	switch d := found[t.Service]; {
	case d.service != nil:
		return service(*d.service), nil
	case d.failure != "" && d.failure != "MISSING":
		return deploy.Service{}, c.fail("ecs:DescribeServices", errors.New("describe service "+t.Service+": "+d.failure))
	}
	return deploy.Service{}, c.noService(ctx, t)
}

// described is what DescribeServices says of one service.
type described struct {
	service *types.Service
	failure string // why there is none
}

// describeServices describes services of a cluster (empty: ECS's default), by
// the names or ARNs that they were asked for.
func (c *Client) describeServices(ctx context.Context, group string, ids []string) (map[string]described, error) {
	in := &ecs.DescribeServicesInput{Services: ids}
	if group != "" {
		in.Cluster = &group
	}
	out, err := c.api.DescribeServices(ctx, in)
	if err != nil {
		return nil, err
	}
	found := map[string]described{}
	for _, id := range ids {
		for _, f := range out.Failures {
			if deploy.ShortName(aws.ToString(f.Arn)) == deploy.ShortName(id) {
				found[id] = described{failure: strings.TrimSpace(aws.ToString(f.Reason) + " " + aws.ToString(f.Detail))}
			}
		}
		for i, s := range out.Services {
			if aws.ToString(s.ServiceName) == deploy.ShortName(id) {
				found[id] = described{service: &out.Services[i]}
			}
		}
	}
	return found, nil
}

func (c *Client) noService(ctx context.Context, t deploy.Target) error {
	all, err := c.serviceNames(ctx, t)
	hint := "set deploy.service to a service of that cluster"
	if err == nil {
		hint = suggest("deploy.service", t.Service, all)
	}
	return fault.New(fault.Missing, hint, "find service %s in cluster %s (region %s): no such service", t.Service, orDefault(t.Cluster), c.cfg.Region)
}

func (c *Client) noCluster(ctx context.Context, t deploy.Target) error {
	hint := "set deploy.cluster to a cluster of that region"
	var all []string
	pages := ecs.NewListClustersPaginator(c.api, &ecs.ListClustersInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			all = nil
			break
		}
		for _, arn := range page.ClusterArns {
			all = append(all, deploy.ShortName(arn))
		}
	}
	if all != nil {
		hint = suggest("deploy.cluster", deploy.ShortName(orDefault(t.Cluster)), all)
	}
	return fault.New(fault.Missing, hint, "find cluster %s (region %s): no such cluster", orDefault(t.Cluster), c.cfg.Region)
}

func (c *Client) serviceNames(ctx context.Context, t deploy.Target) ([]string, error) {
	names := []string{}
	pages := ecs.NewListServicesPaginator(c.api, &ecs.ListServicesInput{Cluster: cluster(t), MaxResults: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, arn := range page.ServiceArns {
			names = append(names, deploy.ShortName(arn))
		}
	}
	return names, nil
}
