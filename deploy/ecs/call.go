package ecs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/fastship/fastship/internal/awsconf"
)

// endpoint is a service of AWS that is spoken to without a client of the SDK:
// few calls are made, and what they answer is sent back as the bytes it came
// in, which no typed client can.
type endpoint struct {
	id     string // the SDK's, which names AWS_ENDPOINT_URL_<ID>
	host   string // before the region; also the name that requests are signed for
	signed string // unless that is another
	target string // the prefix of X-Amz-Target; empty: a REST service
	form   bool   // the Query protocol: a form in, XML out, and one host for all regions
}

// maxAnswer bounds one answer in bytes.
const maxAnswer = 8 << 20

// post calls an operation of the AWS JSON 1.1 protocol.
func (c *Client) post(ctx context.Context, e endpoint, op string, in any) (json.RawMessage, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, e, http.MethodPost, "/", e.target+op, body)
}

// call sends a request by the retry policy of the configuration: what is called
// this way may be repeated.
func (c *Client) call(ctx context.Context, e endpoint, method, path, target string, body []byte) (json.RawMessage, error) {
	policy := aws.Retryer(retry.NewStandard())
	if c.cfg.Retryer != nil {
		policy = c.cfg.Retryer()
	}
	for attempt := 1; ; attempt++ {
		out, err := c.send(ctx, e, method, path, target, body)
		if err == nil || attempt >= policy.MaxAttempts() || !policy.IsErrorRetryable(err) {
			return out, err
		}
		delay, delayErr := policy.RetryDelay(attempt, err)
		if delayErr != nil {
			return nil, err
		}
		wait := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil, err
		case <-wait.C:
		}
	}
}

// send signs and sends one request.
func (c *Client) send(ctx context.Context, e endpoint, method, path, target string, body []byte) (json.RawMessage, error) {
	base := awsconf.Endpoint(ctx, c.cfg, e.id)
	if base == "" {
		base = "https://" + e.host + "." + c.cfg.Region + "." + suffixOf(c.cfg.Region)
		if e.form {
			base = "https://" + e.host + "." + suffixOf(c.cfg.Region)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if target != "" {
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", target)
	}
	if e.form {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	credentials, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("get identity: get credentials: %w", err) // as the SDK says it
	}
	sum := sha256.Sum256(body)
	name := e.signed
	if name == "" {
		name = e.host
	}
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), name, c.cfg.Region, time.Now()); err != nil {
		return nil, err
	}
	client := c.cfg.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err} // which the SDK's policy tries again
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	if resp.StatusCode/100 == 2 {
		return answer, nil
	}
	return nil, &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: resp}, Err: errorIn(resp, answer)}
}

// errorIn is the error of AWS's JSON protocols: its code in a header or in
// __type, perhaps with a namespace before and a URL behind it.
func errorIn(resp *http.Response, body []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Message string `json:"message"`
		Capital string `json:"Message"`
	}
	if json.Unmarshal(body, &e) != nil {
		e.Code, e.Message = queryError(body)
	}
	code := firstOf(resp.Header.Get("X-Amzn-Errortype"), e.Type, e.Code, fmt.Sprintf("HTTP %d", resp.StatusCode))
	code, _, _ = strings.Cut(code, ":")
	code = code[strings.LastIndexByte(code, '#')+1:]
	return &smithy.GenericAPIError{Code: code, Message: firstOf(e.Message, e.Capital, http.StatusText(resp.StatusCode))}
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// suffixOf is the domain of a region's partition (AWS General Reference).
func suffixOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "amazonaws.com.cn"
	case strings.HasPrefix(region, "us-isob-"):
		return "sc2s.sgov.gov"
	case strings.HasPrefix(region, "us-iso-"):
		return "c2s.ic.gov"
	}
	return "amazonaws.com"
}
