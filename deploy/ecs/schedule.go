package ecs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
)

var _ deploy.ScheduleKeeper = (*Client)(nil)

func eventBridge() awsconf.Service {
	return awsconf.Service{ID: "EventBridge", Host: "events", Target: "AWSEvents."}
}

func scheduler() awsconf.Service { return awsconf.Service{ID: "Scheduler", Host: "scheduler"} }

// object is a JSON object whose values stay the bytes they came in.
type object = map[string]json.RawMessage

// Schedule implements deploy.ScheduleKeeper.
func (c *Client) Schedule(ctx context.Context, name string) (deploy.Schedule, error) {
	if s, ok := ruleNamed(name); ok {
		return s, c.readRule(ctx, &s)
	}
	if s, ok := scheduleNamed(name); ok {
		return c.readSchedule(ctx, s)
	}
	rule := deploy.Schedule{Kind: "rule", Name: name}
	ruleErr := c.readRule(ctx, &rule)
	if ruleErr != nil && !errors.Is(ruleErr, deploy.ErrNoSchedule) {
		return rule, ruleErr
	}
	schedule, err := c.readSchedule(ctx, deploy.Schedule{Kind: "schedule", Name: name})
	switch {
	case ruleErr != nil:
		return schedule, err
	case err == nil:
		return rule, fault.New(fault.BadInput, "give its ARN in deploy.schedules", "%s is both a rule of EventBridge and a schedule of EventBridge Scheduler", name)
	case errors.Is(err, deploy.ErrNoSchedule), deploy.FateOf(err) == deploy.Denied:
		return rule, nil
	}
	return rule, err
}

// ruleNamed reads arn:aws:events:REGION:ACCOUNT:rule/[BUS/]NAME.
func ruleNamed(name string) (deploy.Schedule, bool) {
	_, path, ok := strings.Cut(name, ":rule/")
	if !ok || !strings.Contains(name, ":events:") {
		return deploy.Schedule{}, false
	}
	s := deploy.Schedule{Kind: "rule", Name: path}
	if at := strings.LastIndexByte(path, '/'); at >= 0 {
		s.Within, s.Name = path[:at], path[at+1:]
	}
	return s, true
}

// scheduleNamed reads arn:aws:scheduler:REGION:ACCOUNT:schedule/GROUP/NAME.
func scheduleNamed(name string) (deploy.Schedule, bool) {
	_, path, ok := strings.Cut(name, ":schedule/")
	group, own, deep := strings.Cut(path, "/")
	if !ok || !deep || !strings.Contains(name, ":scheduler:") {
		return deploy.Schedule{}, false
	}
	return deploy.Schedule{Kind: "schedule", Name: own, Within: group}, true
}

// readRule reads all targets of a rule, page by page.
func (c *Client) readRule(ctx context.Context, s *deploy.Schedule) error {
	in := map[string]any{"Rule": s.Name, "Limit": 100}
	if s.Within != "" {
		in["EventBusName"] = s.Within
	}
	for {
		answer, err := c.post(ctx, eventBridge(), "ListTargetsByRule", in)
		if err != nil {
			return c.absent("events:ListTargetsByRule", err)
		}
		var page struct {
			Targets   []json.RawMessage
			NextToken string
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return c.fail("events:ListTargetsByRule", fmt.Errorf("read the targets of rule %s: %w", s.Name, err))
		}
		for _, target := range page.Targets {
			if definition, ok := startOf(target); ok {
				s.Starts = append(s.Starts, deploy.Start{TaskDefinition: definition, Raw: target})
			}
		}
		if page.NextToken == "" {
			return nil
		}
		in["NextToken"] = page.NextToken
	}
}

// readSchedule reads a schedule, whose one target may start tasks.
func (c *Client) readSchedule(ctx context.Context, s deploy.Schedule) (deploy.Schedule, error) {
	answer, err := c.call(ctx, scheduler(), http.MethodGet, schedulePath(s), "", nil)
	if err != nil {
		return s, c.absent("scheduler:GetSchedule", err)
	}
	var whole object
	if err := json.Unmarshal(answer, &whole); err != nil {
		return s, c.fail("scheduler:GetSchedule", fmt.Errorf("read schedule %s: %w", s.Name, err))
	}
	if definition, ok := startOf(whole["Target"]); ok {
		s.Starts = append(s.Starts, deploy.Start{TaskDefinition: definition, Raw: answer})
	}
	return s, nil
}

// schedulePath is a schedule's place in the REST API.
func schedulePath(s deploy.Schedule) string {
	path := "/schedules/" + url.PathEscape(s.Name)
	if s.Within != "" {
		path += "?" + url.Values{"groupName": {s.Within}}.Encode()
	}
	return path
}

// startOf is the task definition that a target starts, if it is one of ECS.
func startOf(target json.RawMessage) (string, bool) {
	var t struct {
		EcsParameters *struct{ TaskDefinitionArn string }
	}
	if json.Unmarshal(target, &t) != nil || t.EcsParameters == nil {
		return "", false
	}
	return t.EcsParameters.TaskDefinitionArn, true
}

// absent is fail, with a name of its own for what does not exist.
func (c *Client) absent(call string, err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "ResourceNotFoundException" {
		return deploy.ErrNoSchedule
	}
	return c.fail(call, err)
}

// Retarget implements deploy.ScheduleKeeper. PutTargets replaces a target, and
// UpdateSchedule a schedule, by what is sent: both get all that was read, with
// nothing but the task definition's ARN changed.
func (c *Client) Retarget(ctx context.Context, s deploy.Schedule, start deploy.Start, taskDefinition string) error {
	if s.Kind == "rule" {
		target, err := retargeted(start.Raw, taskDefinition)
		if err != nil {
			return err
		}
		return c.putTarget(ctx, s, target)
	}
	var whole object
	if err := json.Unmarshal(start.Raw, &whole); err != nil {
		return fmt.Errorf("read schedule %s: %w", s.Name, err)
	}
	for _, readOnly := range []string{"Arn", "CreationDate", "LastModificationDate", "Name"} { // the name is in the path
		delete(whole, readOnly)
	}
	var err error
	if whole["Target"], err = retargeted(whole["Target"], taskDefinition); err != nil {
		return err
	}
	body, err := plainJSON(whole)
	if err != nil {
		return err
	}
	path, _, _ := strings.Cut(schedulePath(s), "?") // the group is in the body
	if _, err := c.call(ctx, scheduler(), http.MethodPut, path, "", body); err != nil {
		return c.busy("scheduler:UpdateSchedule", err)
	}
	return nil
}

func (c *Client) putTarget(ctx context.Context, s deploy.Schedule, target json.RawMessage) error {
	in := map[string]any{"Rule": s.Name, "Targets": []json.RawMessage{target}}
	if s.Within != "" {
		in["EventBusName"] = s.Within
	}
	body, err := plainJSON(in)
	if err != nil {
		return err
	}
	answer, err := c.call(ctx, eventBridge(), http.MethodPost, "/", eventBridge().Target+"PutTargets", body)
	if err != nil {
		return c.busy("events:PutTargets", err)
	}
	var out struct {
		FailedEntries []struct{ ErrorCode, ErrorMessage string }
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return c.fail("events:PutTargets", fmt.Errorf("read the answer: %w", err))
	}
	if len(out.FailedEntries) > 0 {
		f := out.FailedEntries[0]
		return c.busy("events:PutTargets", &smithy.GenericAPIError{Code: f.ErrorCode, Message: f.ErrorMessage})
	}
	return nil
}

// busy is fail for a write: somebody else's at the same time passes.
func (c *Client) busy(call string, err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok && (api.ErrorCode() == "ConcurrentModificationException" || api.ErrorCode() == "ConflictException") {
		return &deploy.CallError{Call: call, Fate: deploy.Throttled, Err: plain(call, err)}
	}
	return c.fail(call, err)
}

// retargeted is a target with another task definition.
func retargeted(target json.RawMessage, taskDefinition string) (json.RawMessage, error) {
	var t, parameters object
	if err := errors.Join(json.Unmarshal(target, &t), json.Unmarshal(t["EcsParameters"], &parameters)); err != nil {
		return nil, fmt.Errorf("read a schedule's target: %w", err)
	}
	var err error
	if parameters["TaskDefinitionArn"], err = plainJSON(taskDefinition); err != nil {
		return nil, err
	}
	if t["EcsParameters"], err = plainJSON(parameters); err != nil {
		return nil, err
	}
	return plainJSON(t)
}

// plainJSON is json.Marshal without the escapes for HTML, which would change
// raw values on their way through.
func plainJSON(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
