package awsconf

import (
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	"github.com/fastship/fastship/internal/fault"
)

// Explain gives an error of an AWS call its class and remedy when the
// credentials behind cfg are its reason: expired, unknown to AWS, or absent.
// Any other error comes back unchanged.
func Explain(cfg aws.Config, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	api, isAPI := errors.AsType[smithy.APIError](err)
	switch {
	case isAPI && slices.Contains(expiredCodes, api.ErrorCode()), saysExpired(err):
		return fault.New(fault.Missing, renewal(cfg), "%s have expired: %w", whose(cfg), err)
	case isAPI && slices.Contains(unknownCodes, api.ErrorCode()):
		return fault.New(fault.Missing, "check "+whose(cfg)+" and the account they belong to", "AWS does not accept %s: %w", whose(cfg), err)
	case strings.Contains(err.Error(), "get identity: get credentials"):
		return NoCredentials(cfg, err)
	}
	return err
}

// The codes are those of the services' common errors and of STS; which one
// comes depends on the service's protocol.
var (
	expiredCodes = []string{"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
	unknownCodes = []string{"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken"}
)

// saysExpired recognises the sessions of `aws sso login` and `aws login`,
// for most of which the SDK has no error type.
func saysExpired(err error) bool {
	if _, ok := errors.AsType[*ssocreds.InvalidTokenError](err); ok {
		return true
	}
	text := err.Error()
	return slices.ContainsFunc([]string{
		"SSO token is expired", "refresh cached SSO token failed", "SSO session has expired", "login session has expired", "read cached SSO token file",
		"token file not found, please reauthenticate",
	}, func(s string) bool { return strings.Contains(text, s) })
}

// NoCredentials explains why the chain gave none, as fault.Missing with the
// remedy.
func NoCredentials(cfg aws.Config, err error) error {
	if saysExpired(err) {
		return fault.New(fault.Missing, renewal(cfg), "%s have expired: %w", whose(cfg), err)
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && slices.Contains(expiredCodes, api.ErrorCode()) {
		return fault.New(fault.Missing, renewal(cfg), "%s have expired: %w", whose(cfg), err)
	}
	return fault.New(fault.Missing, "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run on a machine with a role",
		"find AWS credentials (profile %s): %w", ProfileOf(cfg), err)
}

// whose names the credentials as the user knows them.
func whose(cfg aws.Config) string {
	if fromEnvironment(cfg) {
		return "the AWS credentials in AWS_ACCESS_KEY_ID"
	}
	return "the AWS credentials of profile " + ProfileOf(cfg)
}

func renewal(cfg aws.Config) string {
	if fromEnvironment(cfg) {
		return "put fresh credentials into AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
	}
	s := shared(cfg)
	switch {
	case s.SSOSession != nil || s.SSOStartURL != "":
		return "run `aws sso login --profile " + ProfileOf(cfg) + "`"
	case s.LoginSession != "":
		return "run `aws login --profile " + ProfileOf(cfg) + "`"
	}
	return "renew the credentials of profile " + ProfileOf(cfg) + ", for example with `aws sso login --profile " + ProfileOf(cfg) + "`"
}

// fromEnvironment follows the chain's own rule: variables win unless a
// profile was asked for in code.
func fromEnvironment(cfg aws.Config) bool {
	for _, source := range cfg.ConfigSources {
		switch s := source.(type) {
		case config.LoadOptions:
			if s.SharedConfigProfile != "" {
				return false
			}
		case config.EnvConfig:
			if s.Credentials.HasKeys() {
				return true
			}
		}
	}
	return false
}
