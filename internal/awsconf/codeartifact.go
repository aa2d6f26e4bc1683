package awsconf

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/fastship/fastship/internal/fault"
)

// CodeArtifactToken obtains a password for the repositories of a domain, good
// for 12 hours, also where the role's own session ends sooner
// (docs.aws.amazon.com/codeartifact/latest/ug/tokens-authentication.html).
// Errors are of class
// fault.Missing and name the permissions that are wanted.
func CodeArtifactToken(ctx context.Context, cfg aws.Config, domain, owner string) (token string, expires time.Time, err error) {
	out, err := codeartifact.NewFromConfig(cfg).GetAuthorizationToken(ctx, &codeartifact.GetAuthorizationTokenInput{
		Domain: aws.String(domain), DomainOwner: aws.String(owner),
	})
	if ctx.Err() != nil {
		return "", time.Time{}, context.Cause(ctx)
	}
	hint := "check the network, and the domain in settings.xml; a token in the variable that settings.xml names is used as it is"
	if _, refused := errors.AsType[*types.AccessDeniedException](err); refused {
		hint = "allow codeartifact:GetAuthorizationToken on the domain, and sts:GetServiceBearerToken with the condition sts:AWSServiceName = codeartifact.amazonaws.com, to these credentials"
	}
	if err == nil && (aws.ToString(out.AuthorizationToken) == "" || out.Expiration == nil) {
		err = errors.New("the answer holds none")
	}
	if err != nil {
		return "", time.Time{}, fault.New(fault.Missing, hint, "get a CodeArtifact token for domain %s of account %s in %s: %w", domain, owner, cfg.Region, err)
	}
	return *out.AuthorizationToken, *out.Expiration, nil
}
