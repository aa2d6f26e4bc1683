package ecs

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/fastship/fastship/deploy"
)

// drainingKey is the attribute of a target group that holds the deregistration
// delay, in seconds; 300 is its default.
const (
	drainingKey     = "deregistration_delay.timeout_seconds"
	defaultDraining = 300 * time.Second
	groupsPerCall   = 20
)

// TargetGroups implements deploy.TargetReader.
func (c *Client) TargetGroups(ctx context.Context, arns []string) ([]deploy.TargetGroup, error) {
	client := elb.NewFromConfig(c.cfg)
	var found []deploy.TargetGroup
	for chunk := range slices.Chunk(arns, groupsPerCall) {
		out, err := client.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: chunk})
		if err != nil {
			return nil, c.fail("elasticloadbalancing:DescribeTargetGroups", err)
		}
		for _, g := range out.TargetGroups {
			group := deploy.TargetGroup{
				ARN: aws.ToString(g.TargetGroupArn), Draining: defaultDraining,
				Interval: time.Duration(aws.ToInt32(g.HealthCheckIntervalSeconds)) * time.Second, Healthy: int(aws.ToInt32(g.HealthyThresholdCount)),
			}
			attributes, err := client.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: g.TargetGroupArn})
			if err != nil {
				return nil, c.fail("elasticloadbalancing:DescribeTargetGroupAttributes", err)
			}
			for _, a := range attributes.Attributes {
				if n, err := strconv.Atoi(aws.ToString(a.Value)); err == nil && aws.ToString(a.Key) == drainingKey {
					group.Draining = time.Duration(n) * time.Second
				}
			}
			found = append(found, group)
		}
	}
	return found, nil
}

// Tagged implements deploy.TargetReader.
func (c *Client) Tagged(ctx context.Context, t deploy.Target) (deploy.Service, error) {
	out, err := c.api.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: cluster(t), Services: []string{t.Service}, Include: []types.ServiceField{types.ServiceFieldTags},
	})
	if err != nil {
		return deploy.Service{}, c.fail("ecs:DescribeServices", err)
	}
	if len(out.Services) == 0 {
		return deploy.Service{}, c.noService(ctx, t)
	}
	return service(out.Services[0]), nil
}
