package awsconf

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
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

	"github.com/fastship/fastship/internal/pause"
)

// Service is one of AWS that is spoken to without a client of the SDK: few
// calls are made of it, and what they answer can be kept as the bytes it came
// in, which no typed client does.
type Service struct {
	ID     string // the SDK's, which names AWS_ENDPOINT_URL_<ID>
	Host   string // before the region; also the name that requests are signed for
	Target string // the prefix of X-Amz-Target; empty: a REST service
	Form   bool   // the Query protocol: a form in, XML out, and one host for all regions
}

// maxAnswer bounds one answer in bytes.
const maxAnswer = 8 << 20

// Post calls an operation of the AWS JSON 1.1 protocol.
func (s Service) Post(ctx context.Context, cfg aws.Config, op string, in any) (json.RawMessage, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return s.Call(ctx, cfg, http.MethodPost, "/", s.Target+op, body)
}

// Call sends a request by the retry policy of the configuration: what is called
// this way may be repeated. Errors are those that the SDK would give:
// smithy.APIError for a refusal.
func (s Service) Call(ctx context.Context, cfg aws.Config, method, path, target string, body []byte) (json.RawMessage, error) {
	policy := aws.Retryer(retry.NewStandard())
	if cfg.Retryer != nil {
		policy = cfg.Retryer()
	}
	for attempt := 1; ; attempt++ {
		out, err := s.Send(ctx, cfg, method, path, target, body)
		if err == nil || attempt >= policy.MaxAttempts() || !policy.IsErrorRetryable(err) {
			return out, err
		}
		delay, delayErr := policy.RetryDelay(attempt, err)
		if delayErr != nil {
			return nil, err
		}
		if pause.For(ctx, delay) != nil {
			return nil, err
		}
	}
}

// Send signs and sends a request once, for what must not be repeated.
func (s Service) Send(ctx context.Context, cfg aws.Config, method, path, target string, body []byte) (json.RawMessage, error) {
	base := Endpoint(ctx, cfg, s.ID)
	if base == "" {
		base = "https://" + s.Host + "." + cfg.Region + "." + Suffix(cfg.Region)
		if s.Form {
			base = "https://" + s.Host + "." + Suffix(cfg.Region)
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
	if s.Form {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	credentials, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("get identity: get credentials: %w", err) // as the SDK says it
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), s.Host, cfg.Region, time.Now()); err != nil {
		return nil, err
	}
	client := cfg.HTTPClient
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
	code := cmp.Or(resp.Header.Get("X-Amzn-Errortype"), e.Type, e.Code, fmt.Sprintf("HTTP %d", resp.StatusCode))
	code, _, _ = strings.Cut(code, ":")
	code = code[strings.LastIndexByte(code, '#')+1:]
	return &smithy.GenericAPIError{Code: code, Message: cmp.Or(e.Message, e.Capital, http.StatusText(resp.StatusCode))}
}

// queryError is the error of a Query answer.
func queryError(body []byte) (code, message string) {
	var e struct {
		Error struct{ Code, Message string }
	}
	_ = xml.Unmarshal(body, &e) // else the status says all there is
	return e.Error.Code, e.Error.Message
}

// Suffix is the domain of a region's partition (AWS General Reference).
func Suffix(region string) string {
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
