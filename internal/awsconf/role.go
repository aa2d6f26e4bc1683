package awsconf

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/fastship/fastship/internal/fault"
)

// session is the name under which CloudTrail shows what was done by a role.
const session = "fastship"

// assume gives cfg the credentials of a role, obtained once so that they are
// known to be usable, and renewed before they end. A role that cannot be
// assumed is fault.Missing, with what its trust policy or the caller lacks.
func assume(ctx context.Context, cfg aws.Config, opt Options) (aws.Config, error) {
	assumed := cfg.Copy()
	assumed.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), opt.Role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = session
		if opt.ExternalID != "" {
			o.ExternalID = &opt.ExternalID
		}
	}), func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = RenewBefore })
	_, err := assumed.Credentials.Retrieve(ctx)
	if err == nil {
		return assumed, nil
	}
	if ctx.Err() != nil {
		return aws.Config{}, context.Cause(ctx)
	}
	api, isAPI := errors.AsType[smithy.APIError](err)
	if explained := Explain(cfg, err); fault.ClassOf(explained) == fault.Missing && !isAPI || isAPI && slices.Contains(slices.Concat(expiredCodes, unknownCodes), api.ErrorCode()) {
		return aws.Config{}, explained
	}
	if !isAPI {
		return aws.Config{}, fault.New(fault.Missing, "check the network and AWS_ENDPOINT_URL_STS", "assume role %s: %w", opt.Role, err)
	}
	return aws.Config{}, fault.New(fault.Missing, trust(opt, api), "assume role %s: %s (%s)", opt.Role, strings.TrimSuffix(api.ErrorMessage(), "."), api.ErrorCode())
}

// trust says what has to be there for a role to be assumed. STS tells neither
// a role that does not exist nor an external id that differs from a lack of
// trust: all three are AccessDenied.
func trust(opt Options, api smithy.APIError) string {
	if code := api.ErrorCode(); code != "AccessDenied" && code != "AccessDeniedException" {
		return "correct deploy.role"
	}
	hint := "name the caller in the role's trust policy (Principal), and allow the caller sts:AssumeRole on " + opt.Role
	if opt.ExternalID == "" {
		return hint + "; where that policy asks for sts:ExternalId, set deploy.externalId"
	}
	return hint + "; its sts:ExternalId must be deploy.externalId"
}
