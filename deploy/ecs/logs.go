package ecs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/awsconf"
)

func cloudWatchLogs() awsconf.Service {
	return awsconf.Service{ID: "CloudWatch Logs", Host: "logs", Target: "Logs_20140328."}
}

// logEvents is GetLogEvents' answer.
type logEvents struct {
	Events []struct {
		Timestamp int64 // milliseconds since the epoch
		Message   string
	}
	NextForwardToken string
}

// readLog calls GetLogEvents with what is in more beside the stream's name. A
// group named by its ARN is one of another account.
func (c *Client) readLog(ctx context.Context, s deploy.LogStream, more map[string]any) (out logEvents, err error) {
	more["logStreamName"] = s.Stream
	if strings.HasPrefix(s.Group, "arn:") {
		more["logGroupIdentifier"] = s.Group
	} else {
		more["logGroupName"] = s.Group
	}
	answer, err := c.in(s.Region).post(ctx, cloudWatchLogs(), "GetLogEvents", more)
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "ResourceNotFoundException" {
		return out, deploy.ErrNoLog
	}
	if err == nil {
		if err = json.Unmarshal(answer, &out); err != nil {
			err = fmt.Errorf("read the answer: %w", err)
		}
	}
	if err != nil {
		return out, c.fail("logs:GetLogEvents", err)
	}
	return out, nil
}

// lines are the events' lines in the order of their times.
func (l logEvents) lines() (lines []string) {
	type event = struct {
		Timestamp int64
		Message   string
	}
	slices.SortStableFunc(l.Events, func(a, b event) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	for _, e := range l.Events {
		lines = append(lines, strings.TrimRight(e.Message, "\r\n"))
	}
	return lines
}

// LastLines implements deploy.LogReader, by CloudWatch Logs.
func (c *Client) LastLines(ctx context.Context, s deploy.LogStream, limit int) ([]string, error) {
	out, err := c.readLog(ctx, s, map[string]any{"limit": limit})
	return out.lines(), err
}

// Follow implements deploy.TaskRunner, by CloudWatch Logs.
func (c *Client) Follow(ctx context.Context, s deploy.LogStream, from string) ([]string, string, error) {
	more := map[string]any{"startFromHead": true}
	if from != "" {
		more["nextToken"] = from
	}
	out, err := c.readLog(ctx, s, more)
	if err != nil {
		return nil, from, err
	}
	return out.lines(), out.NextForwardToken, nil
}

func (c *Client) logGroupExists(ctx context.Context, p deploy.Premise) (bool, error) {
	in := map[string]any{"logGroupNamePrefix": p.Name}
	for {
		answer, err := c.in(p.Region).post(ctx, cloudWatchLogs(), "DescribeLogGroups", in)
		if err != nil {
			return false, c.fail("logs:DescribeLogGroups", err)
		}
		var page struct {
			LogGroups []struct{ LogGroupName string }
			NextToken string
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return false, c.fail("logs:DescribeLogGroups", fmt.Errorf("read the answer: %w", err))
		}
		for _, g := range page.LogGroups {
			if g.LogGroupName == p.Name {
				return true, nil
			}
		}
		if page.NextToken == "" {
			return false, nil
		}
		in["nextToken"] = page.NextToken
	}
}
