package ecs

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/near"
)

// fail gives a failed call its fate, and the user's remedy where there is one.
func (c *Client) fail(call string, err error) error {
	fate := fateOf(err)
	explained := awsconf.Explain(c.cfg, plain(call, err))
	switch {
	case fate == deploy.Denied:
		explained = fault.New(fault.Missing, "allow "+call+" to the AWS principal named above", "%w", plain(call, err))
	case fault.ClassOf(explained) == fault.Missing:
		fate = deploy.Refused // by credentials, which a repetition does not renew
	}
	return &deploy.CallError{Call: call, Fate: fate, Err: explained}
}

// plain says an error of the API in a person's words: the call, ECS's text and
// its code, without the SDK's account of the transport.
func plain(call string, err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorMessage() == "" {
		return err
	}
	return &plainError{text: fmt.Sprintf("%s: %s (%s)", call, strings.TrimSuffix(api.ErrorMessage(), "."), api.ErrorCode()), err: err}
}

type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

// fateOf reads a fate off the SDK's error. The codes are ECS's common errors;
// what has an HTTP status of the 500s, or none, may have been carried out.
func fateOf(err error) deploy.Fate {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return deploy.Unsent
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return deploy.Unsent
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return deploy.Unknown
	}
	switch code := api.ErrorCode(); {
	case slices.Contains(throttles, code), strings.Contains(api.ErrorMessage(), tooMany):
		return deploy.Throttled
	case code == "AccessDeniedException", code == "AccessDenied", code == "UnauthorizedOperation":
		return deploy.Denied
	case code == "UnknownOperationException", code == "UnknownOperation", code == "UnsupportedFeatureException", code == "InvalidAction", code == "NotImplemented":
		return deploy.Unsupported
	}
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		switch status := response.HTTPStatusCode(); {
		case status == http.StatusTooManyRequests:
			return deploy.Throttled
		case status == http.StatusNotImplemented:
			return deploy.Unsupported
		case status >= 500:
			return deploy.Unknown
		}
	}
	return deploy.Refused
}

var throttles = []string{
	"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
	"TooManyRequestsException", "RequestLimitExceeded", "SlowDown",
}

// tooMany is how ECS refuses to register two revisions of a family at once: a
// ClientException that only its message tells from a final one.
const tooMany = "Too many concurrent attempts"

func suggest(key, wrong string, all []string) string {
	if names := near.Names(wrong, all, 3); len(names) > 0 {
		return "set " + key + "; near names: " + strings.Join(names, ", ")
	}
	if len(all) == 0 {
		return "create one, or set " + key + " and the region to where it is: there are none here"
	}
	return "set " + key + " to one of " + strings.Join(all[:min(len(all), 10)], ", ")
}

func orDefault(cluster string) string {
	if cluster == "" {
		return "default"
	}
	return cluster
}

// cluster is the target's cluster, else the one in the service's ARN
// (…:service/CLUSTER/NAME), else nil, which is ECS's "default".
func cluster(t deploy.Target) *string {
	if t.Cluster != "" {
		return &t.Cluster
	}
	if parts := strings.Split(t.Service, "/"); strings.HasPrefix(t.Service, "arn:") && len(parts) == 3 {
		return aws.String(parts[1])
	}
	return nil
}
