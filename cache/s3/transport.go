package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// transport is what the client sends by: the SDK's, which knows proxies and
// AWS_CA_BUNDLE, with a limit on silence.
func (c Config) transport(cfg *aws.Config) http.RoundTripper {
	base := c.Transport
	if base == nil {
		client := awshttp.NewBuildableClient()
		if cfg != nil {
			if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
				client = b
			}
		}
		tr := client.GetTransport() // a copy
		tr.MaxIdleConnsPerHost = cmp.Or(c.Concurrency, defaultConcurrency)
		tr.MaxIdleConns = max(tr.MaxIdleConns, tr.MaxIdleConnsPerHost)
		tr.DisableCompression = true // ranges and digests are of the stored bytes
		base = tr
	}
	return &patience{base: base, limit: cmp.Or(c.RequestTimeout, defaultTimeout)}
}

// errStalled is a request that passed no byte either way for its limit.
var errStalled = errors.New("no byte came or went")

// patience cuts requests and answers that stand still.
type patience struct {
	base  http.RoundTripper
	limit time.Duration
}

// RoundTrip implements http.RoundTripper.
func (p *patience) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	watch := time.AfterFunc(p.limit, func() { cancel(fmt.Errorf("%w for %v", errStalled, p.limit)) })
	end := sync.OnceFunc(func() { watch.Stop(); cancel(nil) })
	moving := func() { watch.Reset(p.limit) }
	req = req.Clone(ctx)
	if req.ContentLength == 0 {
		req.Body = http.NoBody // an empty body of unknown length goes in chunks, which S3 refuses
	}
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &watched{ReadCloser: req.Body, ctx: ctx, moving: moving, end: func() {}}
	}
	resp, err := p.base.RoundTrip(req)
	if err != nil {
		err = stalled(ctx, err)
		end()
		return nil, err
	}
	moving()
	resp.Body = &watched{ReadCloser: resp.Body, ctx: ctx, moving: moving, end: end}
	return resp, nil
}

// watched is a body whose progress is seen. The context is that of its one
// request, which ends with it.
type watched struct {
	io.ReadCloser
	ctx         context.Context
	moving, end func()
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 && err == nil {
		w.moving()
	}
	if err != nil && err != io.EOF {
		err = stalled(w.ctx, err)
	}
	return n, err
}

// Close implements io.Closer.
func (w *watched) Close() error {
	err := w.ReadCloser.Close()
	w.end()
	return err
}

func stalled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return cause
	}
	return err
}

// provider hands the SDK's credentials to the client and asks again when they
// are about to expire.
type provider struct {
	from aws.CredentialsProvider

	mu      sync.Mutex
	expires time.Time
	have    bool
}

// renewBefore is how long before their end credentials are asked for again.
const renewBefore = time.Minute

// RetrieveWithCredContext implements credentials.Provider.
func (p *provider) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	ctx := context.Background()
	if cc != nil && cc.Context != nil {
		ctx = cc.Context
	}
	got, err := p.from.Retrieve(ctx)
	if err != nil {
		return credentials.Value{}, fmt.Errorf("obtain AWS credentials: %w", err)
	}
	v := credentials.Value{AccessKeyID: got.AccessKeyID, SecretAccessKey: got.SecretAccessKey, SessionToken: got.SessionToken, SignerType: credentials.SignatureV4}
	if got.CanExpire {
		v.Expiration = got.Expires
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expires, p.have = v.Expiration, true
	return v, nil
}

// Retrieve implements credentials.Provider.
func (p *provider) Retrieve() (credentials.Value, error) { return p.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (p *provider) IsExpired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.have || !p.expires.IsZero() && time.Until(p.expires) < renewBefore
}
