package s3

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// provider hands the SDK's credentials to the client and asks again when they
// are about to expire. Credentials that cannot be had, after the SDK's own
// attempts, are not asked for again: no request of this run has any.
type provider struct {
	from aws.CredentialsProvider
	aws  *aws.Config // nil when the credentials were handed in
	// health is told when there are none.
	health *health

	mu      sync.Mutex
	expires time.Time
	have    bool
	err     error
}

// loginTimeout bounds the time to obtain credentials: the chain may ask a
// metadata service, STS and a command one after the other.
const loginTimeout = 10 * time.Second

// RetrieveWithCredContext implements credentials.Provider.
func (p *provider) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	ctx := context.Background()
	if cc != nil && cc.Context != nil {
		ctx = cc.Context
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return credentials.Value{}, p.err
	}
	limited, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	got, err := p.from.Retrieve(limited)
	if err != nil {
		if ctx.Err() != nil {
			return credentials.Value{}, context.Cause(ctx)
		}
		if p.aws != nil {
			err = awsconf.NoCredentials(*p.aws, err)
		}
		p.err = p.health.giveUp(fmt.Errorf("obtain AWS credentials: %w", err))
		return credentials.Value{}, p.err
	}
	v := credentials.Value{AccessKeyID: got.AccessKeyID, SecretAccessKey: got.SecretAccessKey, SessionToken: got.SessionToken, SignerType: credentials.SignatureV4}
	if got.CanExpire {
		v.Expiration = got.Expires
	}
	p.expires, p.have = v.Expiration, true
	return v, nil
}

// Retrieve implements credentials.Provider.
func (p *provider) Retrieve() (credentials.Value, error) { return p.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider. The SDK renews what lasts no
// longer than awsconf.RenewBefore.
func (p *provider) IsExpired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.have || !p.expires.IsZero() && time.Until(p.expires) < awsconf.RenewBefore
}
