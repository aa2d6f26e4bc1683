package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/aws/smithy-go"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/awsconf"
)

var _ deploy.PremiseReader = (*Client)(nil)

// Exists implements deploy.PremiseReader.
func (c *Client) Exists(ctx context.Context, p deploy.Premise) (bool, error) {
	switch p.Kind {
	case deploy.Secret:
		return c.secretExists(ctx, p)
	case deploy.Parameter:
		return c.parameterExists(ctx, p)
	case deploy.LogGroup:
		return c.logGroupExists(ctx, p)
	case deploy.Role:
		return c.roleExists(ctx, p.Name)
	}
	return false, fmt.Errorf("look up %s %s: no way to", p.Kind, p.Name)
}

// in is the client for another region.
func (c *Client) in(region string) *Client {
	if region == "" || region == c.cfg.Region {
		return c
	}
	other := &Client{api: c.api, cfg: c.cfg.Copy(), revisions: c.revisions}
	other.cfg.Region = region
	return other
}

// secretExists also finds one that is to be deleted, which ECS cannot read.
func (c *Client) secretExists(ctx context.Context, p deploy.Premise) (bool, error) {
	manager := awsconf.Service{ID: "Secrets Manager", Host: "secretsmanager", Target: "secretsmanager."}
	answer, err := c.in(p.Region).post(ctx, manager, "DescribeSecret", map[string]string{"SecretId": p.Name})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "ResourceNotFoundException" {
		return false, nil
	}
	if err != nil {
		return false, c.fail("secretsmanager:DescribeSecret", err)
	}
	var s struct{ DeletedDate json.RawMessage }
	return json.Unmarshal(answer, &s) != nil || s.DeletedDate == nil, nil
}

// parameterExists asks for descriptions, which hold no values. A page may be
// empty and have a next one.
func (c *Client) parameterExists(ctx context.Context, p deploy.Premise) (bool, error) {
	manager := awsconf.Service{ID: "SSM", Host: "ssm", Target: "AmazonSSM."}
	in := map[string]any{"ParameterFilters": []any{map[string]any{"Key": "Name", "Option": "Equals", "Values": []string{p.Name}}}}
	for {
		answer, err := c.in(p.Region).post(ctx, manager, "DescribeParameters", in)
		if err != nil {
			return false, c.fail("ssm:DescribeParameters", err)
		}
		var page struct {
			Parameters []json.RawMessage
			NextToken  string
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return false, c.fail("ssm:DescribeParameters", fmt.Errorf("read the answer: %w", err))
		}
		if len(page.Parameters) > 0 || page.NextToken == "" {
			return len(page.Parameters) > 0, nil
		}
		in["NextToken"] = page.NextToken
	}
}

func (c *Client) roleExists(ctx context.Context, name string) (bool, error) {
	_, err := c.askIAM(ctx, url.Values{"Action": {"GetRole"}, "RoleName": {name}})
	if api, ok := errors.AsType[smithy.APIError](err); ok && (api.ErrorCode() == "NoSuchEntity" || api.ErrorCode() == "NoSuchEntityException") {
		return false, nil
	}
	if err != nil {
		return false, c.fail("iam:GetRole", err)
	}
	return true, nil
}

// iam is the client for IAM's own region.
func (c *Client) iam() *Client {
	switch awsconf.Suffix(c.cfg.Region) {
	case "amazonaws.com.cn":
		return c.in("cn-north-1")
	case "amazonaws.com":
		return c.in("us-east-1")
	}
	return c
}
