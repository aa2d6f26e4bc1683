package ecs

import (
	"context"
	"encoding/json"

	"github.com/fastship/fastship/internal/awsconf"
)

// post calls an operation of a service that has no client of the SDK here.
func (c *Client) post(ctx context.Context, s awsconf.Service, op string, in any) (json.RawMessage, error) {
	return s.Post(ctx, c.cfg, op, in)
}

// call sends it any other request.
func (c *Client) call(ctx context.Context, s awsconf.Service, method, path, target string, body []byte) (json.RawMessage, error) {
	return s.Call(ctx, c.cfg, method, path, target, body)
}
