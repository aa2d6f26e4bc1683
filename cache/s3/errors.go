package s3

import (
	"context"

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

// explain gives an error of the bucket its remedy. The codes are those of
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
func (s *Store) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r := minio.ToErrorResponse(err)
	switch r.Code {
	case "NoSuchBucket":
		return fault.New(fault.Missing, "make the bucket, or correct its name", "bucket %s does not exist: %w", s.bucket, err)
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		if r.Region != "" && r.Region != s.region {
			return fault.New(fault.BadInput, "add region="+r.Region+" to the cache's address", "bucket %s is in region %s, not in %s: %w", s.bucket, r.Region, s.region, err)
		}
		return fault.New(fault.BadInput, "set region in the cache's address to the bucket's", "bucket %s is not in region %s: %w", s.bucket, s.region, err)
	case "RequestTimeTooSkewed":
		return fault.New(fault.Missing, "set this machine's clock, for example by NTP", "this machine's clock is too far from that of S3: %w", err)
	case "AccessDenied":
		return fault.New(fault.Missing, "give the role s3:GetObject, s3:PutObject and s3:ListBucket on "+s.prefix+" as docs/cache.md shows", "bucket %s refuses access to %s: %w", s.bucket, s.prefix, err)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken":
		return fault.New(fault.Missing, "renew the AWS credentials, or check whose they are", "S3 does not accept the credentials: %w", err)
	}
	if s.aws != nil {
		return awsconf.Explain(*s.aws, err)
	}
	return err
}
