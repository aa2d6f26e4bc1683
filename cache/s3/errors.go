package s3

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
	minio "github.com/minio/minio-go/v7"
)

// ErrReadOnly is returned, wrapped, for a write that the bucket's policies
// refuse. The first refusal turns the whole Store read-only: later writes
// return it without a request.
var ErrReadOnly = cache.ErrReadOnly

func status(err error) int { return minio.ToErrorResponse(err).StatusCode }

// absent tells an object that is not there from a bucket that is not.
func absent(err error) bool {
	r := minio.ToErrorResponse(err)
	return r.Code == "NoSuchKey" || r.StatusCode == 404 && r.Code != "NoSuchBucket"
}

// conflict is an unmet condition, or S3's ConditionalRequestConflict.
func conflict(err error) bool { return status(err) == 412 || status(err) == 409 }

// gone tells whether an object is known to be absent. S3 answers 403 for an
// absent one to a role that may list only below a prefix, as docs/cache.md's
// may: then a listing of this one name decides. The error is what is wrong.
func (s *Store) gone(ctx context.Context, key string, err error) (bool, error) {
	if absent(err) {
		return true, nil
	}
	if r := minio.ToErrorResponse(err); r.StatusCode != 403 || r.Code != "AccessDenied" || ctx.Err() != nil {
		return false, err
	}
	limited, cancel := context.WithCancel(ctx)
	defer cancel() // ends the client's goroutine
	o, some := <-s.core.Client.ListObjects(limited, s.bucket, minio.ListObjectsOptions{Prefix: key, MaxKeys: 1, Recursive: true})
	switch {
	case some && o.Err != nil && minio.ToErrorResponse(o.Err).Code != "AccessDenied":
		return false, o.Err // HEAD has no body to say so
	case some && (o.Err != nil || o.Key == key), ctx.Err() != nil:
		return false, err
	}
	return true, nil // at most a longer name
}

// explain gives an error of the bucket its remedy, and leaves a bucket alone
// that no request can succeed in. The codes are those of
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
func (s *Store) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.health.check(); err != nil {
		return err
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return s.health.giveUp(fault.New(fault.Missing, "set AWS_CA_BUNDLE to a file with the certificates that the endpoint is signed by", "the endpoint's certificate is not trusted: %w", err))
	}
	r := minio.ToErrorResponse(err)
	if r.StatusCode == 301 || r.StatusCode == 400 && r.Region != "" && r.Region != s.region {
		r.Code = "PermanentRedirect" // HEAD has no body to say so
	}
	switch r.Code {
	case "NoSuchBucket":
		err = fault.New(fault.Missing, "make the bucket, or correct its name in cache.store", "there is no such bucket: %w", err)
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		hint, is := "write the bucket's region in cache.store, as region=…", "not in region "+s.region
		if r.Region != "" && r.Region != s.region {
			hint, is = "write region="+r.Region+" in cache.store", "in region "+r.Region+", not in "+s.region
		}
		err = fault.New(fault.BadInput, hint, "it is %s: %w", is, err)
	case "RequestTimeTooSkewed":
		err = fault.New(fault.Missing, "set this machine's clock, for example by NTP", "this machine's clock is too far from that of S3: %w", err)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidTokenId":
		err = fault.New(fault.Missing, "renew the AWS credentials, or check whose they are", "S3 does not accept the credentials: %w", err)
	case "AccessDenied": // of this request, perhaps not of others
		return fault.New(fault.Missing, "give the role the actions on "+s.prefix+" that docs/cache.md lists", "bucket %s refuses access to %s: %w", s.bucket, s.prefix, err)
	default:
		if s.aws != nil {
			return awsconf.Explain(*s.aws, err)
		}
		return err
	}
	return s.health.giveUp(err)
}
