package push

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/fastship/fastship/internal/awsconf"
)

// ecrHost matches the host names of private ECR registries, in all
// partitions, FIPS and dual-stack ones included (AWS General Reference, “ECR
// endpoints”).
var ecrHost = regexp.MustCompile(`^\d{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$`)

// parseECR returns the region of an ECR registry's host.
func parseECR(host string) (region string, ok bool) {
	m := ecrHost.FindStringSubmatch(host)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// Keychain finds credentials as the push does: for ECR by the AWS SDK, for
// every other registry in the Docker configuration. Other stages that read
// from registries may be lent it.
func Keychain(d Deps) authn.Keychain { return &keychain{deps: d, next: d.Keychain} }

// keychain asks ECR for its token with the AWS credentials at hand; where
// there are none, a login in the Docker configuration will do. ECR comes
// first, because its logins there are stale after 12 hours.
type keychain struct {
	deps Deps
	next authn.Keychain

	mu     sync.Mutex
	tokens map[string]authn.Authenticator // by host
}

// Resolve implements authn.Keychain.
func (k *keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), r)
}

// ResolveContext implements authn.ContextKeychain.
func (k *keychain) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	auth, err := k.find(ctx, r)
	if err != nil || k.deps.Secret == nil {
		return auth, err
	}
	if login, err := authn.Authorization(ctx, auth); err == nil { // else its use says what is wrong with it
		k.deps.Secret(login.Password, login.Auth, login.IdentityToken, login.RegistryToken)
	}
	return auth, nil
}

func (k *keychain) find(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	next := k.next
	if next == nil {
		next = authn.DefaultKeychain
	}
	host := r.RegistryStr()
	region, ok := parseECR(host)
	if !ok {
		return authn.Resolve(ctx, next, r)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if auth, ok := k.tokens[host]; ok {
		return auth, nil
	}
	auth, err := k.token(ctx, host, region)
	if err != nil {
		if docker, dockerErr := authn.Resolve(ctx, next, r); dockerErr == nil && docker != authn.Anonymous {
			return docker, nil
		}
		return nil, err
	}
	if k.tokens == nil {
		k.tokens = map[string]authn.Authenticator{}
	}
	k.tokens[host] = auth
	return auth, nil
}

// options are those for the registry at an ECR host, whose first 12 digits are
// its account.
func (d Deps) options(host, region string) awsconf.Options {
	opt := awsconf.Options{Region: region}
	if strings.Contains(d.Role, ":iam::"+host[:12]+":") {
		opt.Role, opt.ExternalID = d.Role, d.ExternalID
	}
	return opt
}

func (k *keychain) token(ctx context.Context, host, region string) (authn.Authenticator, error) {
	load := k.deps.AWS
	if load == nil {
		load = func(ctx context.Context, region string) (aws.Config, error) {
			return awsconf.Load(ctx, k.deps.options(host, region))
		}
	}
	cfg, err := load(ctx, region)
	if err != nil {
		return nil, err
	}
	out, err := ecr.NewFromConfig(cfg).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, fmt.Errorf("ask ECR for a token: %w", awsconf.Explain(cfg, err))
	}
	if len(out.AuthorizationData) == 0 {
		return nil, errors.New("ask ECR for a token: an empty answer")
	}
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		return nil, fmt.Errorf("ask ECR for a token: %w", err)
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok {
		return nil, errors.New("ask ECR for a token: an answer of another form than user:password")
	}
	return &authn.Basic{Username: user, Password: password}, nil
}
