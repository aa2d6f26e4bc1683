package s3

import (
	"context"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// regionTimeout bounds the question for a bucket's region.
const regionTimeout = 4 * time.Second

// bucketRegion asks S3 in which region a bucket is: S3 tells it in the header
// of any answer to a HEAD of the bucket, a refusal and a redirect included, so
// that no credentials are wanted
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html). It is
// empty where there is no such bucket or no answer: the first request then
// tells what is wrong.
func bucketRegion(ctx context.Context, wire http.RoundTripper, bucket string) string {
	ctx, cancel := context.WithTimeout(ctx, regionTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://s3."+defaultRegion+".amazonaws.com/"+s3utils.EncodePath(bucket), nil)
	if err != nil {
		return ""
	}
	resp, err := wire.RoundTrip(req)
	if err != nil {
		return ""
	}
	_ = resp.Body.Close()
	return resp.Header.Get("x-amz-bucket-region")
}
