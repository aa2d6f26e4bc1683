package ecs

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/awsconf"
)

var _ deploy.PermissionReader = (*Client)(nil)

// Caller implements deploy.PermissionReader. STS names the session of a role,
// without the role's path, which IAM knows; it is left out where that may not
// be read.
func (c *Client) Caller(ctx context.Context) (string, error) {
	out, err := sts.NewFromConfig(c.cfg).GetCallerIdentity(ctx, nil)
	if err != nil {
		return "", c.fail("sts:GetCallerIdentity", err)
	}
	parts := strings.SplitN(aws.ToString(out.Arn), ":", 6) // arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	if len(parts) < 6 {
		return "", nil
	}
	kind, name, _ := strings.Cut(parts[5], "/")
	switch kind {
	case "user":
		return *out.Arn, nil
	case "assumed-role":
		name, _, _ = strings.Cut(name, "/")
		if arn, err := c.roleARN(ctx, name); err == nil && arn != "" {
			return arn, nil
		}
		return "arn:" + parts[1] + ":iam::" + parts[4] + ":role/" + name, nil
	}
	return "", nil
}

func (c *Client) roleARN(ctx context.Context, name string) (string, error) {
	answer, err := c.askIAM(ctx, url.Values{"Action": {"GetRole"}, "RoleName": {name}})
	if err != nil {
		return "", err
	}
	var role struct {
		ARN string `xml:"GetRoleResult>Role>Arn"`
	}
	return role.ARN, xml.Unmarshal(answer, &role)
}

// Denied implements deploy.PermissionReader. All of it goes in one call, but
// for two limits of IAM: "*" goes alone, and some actions cannot be simulated
// together ("require different authorization information"). Those go one by
// one.
func (c *Client) Denied(ctx context.Context, a deploy.Asked) ([]deploy.Denial, error) {
	decided := map[deploy.Permission]string{}
	plain := func(p deploy.Permission) bool { return p.Resource == "*" }
	for _, asked := range [][]deploy.Permission{
		slices.DeleteFunc(slices.Clone(a.Permissions), plain),
		slices.DeleteFunc(slices.Clone(a.Permissions), func(p deploy.Permission) bool { return !plain(p) }),
	} {
		err := c.simulate(ctx, a, asked, decided)
		if api, ok := errors.AsType[smithy.APIError](err); ok && strings.HasPrefix(api.ErrorCode(), "InvalidInput") && len(actionsOf(asked)) > 1 {
			err = nil
			for _, action := range actionsOf(asked) {
				same := slices.DeleteFunc(slices.Clone(asked), func(p deploy.Permission) bool { return p.Action != action })
				if err = c.simulate(ctx, a, same, decided); err != nil {
					break
				}
			}
		}
		if err != nil {
			return nil, err
		}
	}
	var denied []deploy.Denial
	for _, p := range a.Permissions {
		if d := decided[p]; d == "explicitDeny" || d == "implicitDeny" {
			denied = append(denied, deploy.Denial{Permission: p, Explicit: d == "explicitDeny"})
		}
	}
	return denied, nil
}

func actionsOf(asked []deploy.Permission) (actions []string) {
	for _, p := range asked {
		if !slices.Contains(actions, p.Action) {
			actions = append(actions, p.Action)
		}
	}
	return actions
}

// simulation is the part that is read of SimulatePrincipalPolicy's answer: one
// result an action, and within it one a resource, unless there is only one.
type simulation struct {
	Results []struct {
		Action    string   `xml:"EvalActionName"`
		Resource  string   `xml:"EvalResourceName"`
		Decision  string   `xml:"EvalDecision"`
		Missing   []string `xml:"MissingContextValues>member"`
		Resources []struct {
			Resource string   `xml:"EvalResourceName"`
			Decision string   `xml:"EvalResourceDecision"`
			Missing  []string `xml:"MissingContextValues>member"`
		} `xml:"ResourceSpecificResults>member"`
	} `xml:"SimulatePrincipalPolicyResult>EvaluationResults>member"`
}

// simulate makes one call, which has every action meet every resource, and
// notes what was decided without a doubt.
func (c *Client) simulate(ctx context.Context, a deploy.Asked, asked []deploy.Permission, decided map[deploy.Permission]string) error {
	if len(asked) == 0 {
		return nil
	}
	form := url.Values{"Action": {"SimulatePrincipalPolicy"}, "PolicySourceArn": {a.Principal}, "MaxItems": {"1000"}}
	for i, action := range actionsOf(asked) {
		form.Set(fmt.Sprintf("ActionNames.member.%d", i+1), action)
	}
	var resources []string
	for _, p := range asked {
		if p.Resource != "*" && !slices.Contains(resources, p.Resource) { // without any it is "*"
			resources = append(resources, p.Resource)
			form.Set(fmt.Sprintf("ResourceArns.member.%d", len(resources)), p.Resource)
		}
	}
	for i, key := range slices.Sorted(maps.Keys(a.Context)) {
		entry := fmt.Sprintf("ContextEntries.member.%d.ContextKey", i+1)
		form.Set(entry+"Name", key)
		form.Set(entry+"Type", "string")
		form.Set(entry+"Values.member.1", a.Context[key])
	}
	answer, err := c.askIAM(ctx, form)
	if err != nil {
		return c.fail("iam:SimulatePrincipalPolicy", err)
	}
	var s simulation
	if err := xml.Unmarshal(answer, &s); err != nil {
		return c.fail("iam:SimulatePrincipalPolicy", fmt.Errorf("read the answer: %w", err))
	}
	for _, r := range s.Results {
		if len(r.Resources) == 0 && len(r.Missing) == 0 {
			decided[deploy.Permission{Action: r.Action, Resource: r.Resource}] = r.Decision
		}
		for _, each := range r.Resources {
			if len(each.Missing) == 0 {
				decided[deploy.Permission{Action: r.Action, Resource: each.Resource}] = each.Decision
			}
		}
	}
	return nil
}

// askIAM calls IAM by its Query protocol. IAM is one service for all regions of
// a partition, and in the largest one requests are signed for us-east-1.
func (c *Client) askIAM(ctx context.Context, form url.Values) ([]byte, error) {
	form.Set("Version", "2010-05-08")
	return c.iam().call(ctx, awsconf.Service{ID: "IAM", Host: "iam", Form: true}, http.MethodPost, "/", "", []byte(form.Encode()))
}
