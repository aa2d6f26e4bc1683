package ecs

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/fastship/fastship/deploy"
)

// LastLines implements deploy.LogReader, by CloudWatch Logs. A group named by
// its ARN is one of another account.
func (c *Client) LastLines(ctx context.Context, s deploy.LogStream, limit int) ([]string, error) {
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: &s.Group, LogStreamName: &s.Stream, Limit: aws.Int32(int32(limit))}
	if strings.HasPrefix(s.Group, "arn:") {
		in.LogGroupName, in.LogGroupIdentifier = nil, &s.Group
	}
	out, err := c.logs(s.Region).GetLogEvents(ctx, in)
	if _, absent := errors.AsType[*types.ResourceNotFoundException](err); absent {
		return nil, deploy.ErrNoLog
	}
	if err != nil {
		return nil, c.fail("logs:GetLogEvents", err)
	}
	return linesOf(out.Events), nil
}

// logs is the client for a region; empty is the configuration's own.
func (c *Client) logs(region string) *cloudwatchlogs.Client {
	return cloudwatchlogs.NewFromConfig(c.cfg, func(o *cloudwatchlogs.Options) {
		if region != "" {
			o.Region = region
		}
	})
}

// linesOf are events' lines in the order of their times.
func linesOf(events []types.OutputLogEvent) (lines []string) {
	slices.SortStableFunc(events, func(a, b types.OutputLogEvent) int {
		return int(aws.ToInt64(a.Timestamp) - aws.ToInt64(b.Timestamp))
	})
	for _, e := range events {
		lines = append(lines, strings.TrimRight(aws.ToString(e.Message), "\r\n"))
	}
	return lines
}
