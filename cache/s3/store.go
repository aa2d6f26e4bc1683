// Package s3 keeps blobs, actions and pointers in a bucket of S3 or of a
// server that speaks its protocol. Under the prefix of the URL lie
//
//	v1/SCOPE/blobs/sha256/HEX   the bytes, and nothing else
//	v1/SCOPE/actions/KEY        a sum over the key and the JSON, then the JSON
//	v1/SCOPE/pointers/NAME!     the same; "!", which no name has, keeps a
//	                            pointer a apart from a folder of a/b on the
//	                            servers that store objects as files
//
// # Promises
//
// An object is there whole or not at all. A blob's bytes are hashed before the
// request that makes them visible. Pointers move by conditional requests
// (If-Match, If-None-Match), which never travel with a multipart upload: S3's
// clients drop the condition on its completion.
package s3

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
	minio "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"golang.org/x/sync/semaphore"
)

const version = "v1"

// Store is a cache.Store for one scope of trust in a bucket. Its methods may
// be called from several goroutines.
type Store struct {
	core   minio.Core
	bucket string
	region string
	place  string // the bucket's prefix, empty or ending with "/"
	prefix string // the scope's, ending with "/"
	sse    encrypt.ServerSide
	aws    *aws.Config // nil when the credentials were handed in
	health *health
	memory *semaphore.Weighted // bytes that uploads hold
	now    func() time.Time
	denied atomic.Bool // a write was refused: no more are tried

	mu      sync.Mutex
	corrupt map[cache.Digest]string // ETags of blobs that failed verification
}

var _ cache.Store = (*Store)(nil)

// scopeForm is what a scope may be: one of the two that the IAM policies know.
var scopeForm = regexp.MustCompile(`^(trusted|untrusted/[0-9A-Za-z._-]{1,100})$`)

// Open makes the client. It reads the AWS configuration and asks for no
// credentials: the first request does. Only where neither c nor the AWS
// configuration names a region it asks the bucket for its own, without
// credentials. Errors are fault.BadInput for a wrong configuration and
// fault.Missing for an AWS configuration that cannot be read; what only a
// request can tell, Check tells.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Store{bucket: c.Bucket, now: time.Now, memory: semaphore.NewWeighted(maxBuffered), place: strings.TrimPrefix(strings.Trim(c.Prefix, "/")+"/", "/")}
	if c.Credentials == nil {
		cfg, err := awsconf.Read(ctx, awsconf.Options{Region: c.Region, Profile: c.Profile})
		if err != nil {
			return nil, fmt.Errorf("open the cache in bucket %s: %w", c.Bucket, err)
		}
		s.aws, c.Credentials, c.Region = &cfg, cfg.Credentials, cfg.Region
		if c.Endpoint == "" {
			c.Endpoint = awsconf.Endpoint(ctx, cfg, "S3")
		}
	}
	wire := c.transport(s.aws)
	s.health = wire.health
	login := &provider{from: c.Credentials, aws: s.aws, health: s.health}
	if c.Region == "" && c.Endpoint == "" {
		c.Region = bucketRegion(ctx, wire, c.Bucket)
	}
	if c.Region == "" {
		c.Region = defaultRegion
	}
	s.region = c.Region
	host, secure, err := c.address()
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	if s.sse, err = c.encryption(); err != nil {
		return nil, err
	}
	core, err := minio.NewCore(host, &minio.Options{
		Creds: credentials.New(login), Secure: secure, Region: c.Region,
		BucketLookup: lookup, MaxRetries: attempts, Transport: wire,
	})
	if err != nil {
		return nil, fault.New(fault.BadInput, "correct the endpoint", "bucket %s: %w", c.Bucket, err)
	}
	core.SetS3EnableDualstack(false) // as the SDK: what proxies and endpoints of a VPC expect
	s.core = *core
	return s.view(c.Scope), nil
}

// In returns the store of another scope in the same bucket. The two share
// connections, credentials, and what a run may lose to the bucket.
func (s *Store) In(scope string) (*Store, error) {
	if err := checkScope(s.bucket, scope); err != nil {
		return nil, err
	}
	return s.view(scope), nil
}

func (s *Store) view(scope string) *Store {
	return &Store{
		core: s.core, bucket: s.bucket, region: s.region, place: s.place, sse: s.sse, aws: s.aws, health: s.health, memory: s.memory, now: s.now,
		prefix: s.place + version + "/" + scope + "/", corrupt: map[cache.Digest]string{},
	}
}

// Check makes one request that only reads, and tells what is wrong with the
// bucket as a person should know it before any work: fault.Missing for absent
// or refused credentials, a bucket that does not exist, a refused access and a
// clock that is wrong; fault.BadInput for another region. A bucket that gives
// no answer, now or at all, is cache.ErrAway without a class: a run goes on
// without it. It takes 10 seconds at most.
func (s *Store) Check(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errStalled)
	defer cancel()
	_, _, _, err := s.readPointer(limited, "check")
	switch {
	case err == nil, errors.Is(err, cache.ErrNotFound):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case fault.ClassOf(err) == fault.Internal && !errors.Is(err, cache.ErrAway):
		err = fmt.Errorf("%w: %w", cache.ErrAway, err)
	}
	return fmt.Errorf("reach the cache in bucket %s: %w", s.bucket, err)
}

// putOptions sign a body by its sum in one header, which the server checks:
// over plain http the client would otherwise hash it again, chunk by chunk.
func (s *Store) putOptions() minio.PutObjectOptions {
	return minio.PutObjectOptions{ServerSideEncryption: s.sse, ContentType: "application/octet-stream", DisableMultipart: true, DisableContentSha256: true}
}

// list yields the objects below a folder of the scope by name.
func (s *Store) list(ctx context.Context, folder, prefix string, yield func(name string, o minio.ObjectInfo, err error) bool) {
	if err := s.ready(ctx); err != nil {
		yield("", minio.ObjectInfo{}, err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the client's goroutine
	for o := range s.core.Client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + folder + prefix, Recursive: true}) {
		err := o.Err
		if err != nil {
			err = fmt.Errorf("list %s: %w", strings.TrimSuffix(folder, "/"), s.explain(ctx, err))
		}
		if !yield(strings.TrimPrefix(o.Key, s.prefix+folder), o, err) || err != nil {
			return
		}
	}
	if err := ctx.Err(); err != nil {
		yield("", minio.ObjectInfo{}, err)
	}
}

// remove deletes an object; an absent one is no error.
func (s *Store) remove(ctx context.Context, key string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	err := s.core.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
	switch {
	case err == nil, absent(err):
		return nil
	case status(err) == 403: // a role may write and not delete: writing goes on
		return fmt.Errorf("%w: %w", ErrReadOnly, s.explain(ctx, err))
	}
	return s.explain(ctx, err)
}

// ready tells whether a request has a chance.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.health.check()
}

// writing refuses early what the bucket has refused before.
func (s *Store) writing(ctx context.Context) error {
	if s.denied.Load() {
		return ErrReadOnly
	}
	return s.ready(ctx)
}

// refused explains a failed write and remembers a refusal.
func (s *Store) refused(ctx context.Context, err error) error {
	if status(err) == 403 && minio.ToErrorResponse(err).Code == "AccessDenied" {
		s.denied.Store(true)
		return fmt.Errorf("%w: %w", ErrReadOnly, s.explain(ctx, err))
	}
	return s.explain(ctx, err)
}

var errSum = errors.New("its sum does not match")
