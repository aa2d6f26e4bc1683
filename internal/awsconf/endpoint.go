package awsconf

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Endpoint is the URL that the environment or the profile sets for a service,
// by the SDK's own rules: AWS_ENDPOINT_URL_<SERVICE>, then AWS_ENDPOINT_URL;
// empty when there is none. The service is named by its SDK id, as "S3".
func Endpoint(ctx context.Context, cfg aws.Config, service string) string {
	for _, source := range cfg.ConfigSources {
		named, ok := source.(interface {
			GetServiceBaseEndpoint(ctx context.Context, sdkID string) (string, bool, error)
		})
		if !ok {
			continue
		}
		if url, found, err := named.GetServiceBaseEndpoint(ctx, service); err == nil && found {
			return url
		}
	}
	return aws.ToString(cfg.BaseEndpoint)
}
