// Package awsconf makes the one AWS configuration that every AWS client of
// fastship uses: the SDK's ordinary credential chain and shared files, its
// endpoint variables (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_ECS, …), one retry
// policy, and errors that say whose credentials are at fault and what to do.
package awsconf

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"
	"github.com/fastship/fastship/internal/fault"
)

const (
	attempts   = 4                // of one call; AWS_MAX_ATTEMPTS wins
	maxBackoff = 5 * time.Second  // between two attempts
	perAttempt = 30 * time.Second // then the call counts as cut
)

// Options choose among what the environment offers. The zero value takes what
// the AWS CLI would take.
type Options struct {
	Region  string // empty: AWS_REGION, then the profile's
	Profile string // empty: AWS_PROFILE, then "default"
	// Role is the ARN of a role to assume with those credentials, by STS in
	// Region; ExternalID is what its trust policy may ask for.
	Role, ExternalID string
}

// Load reads the AWS configuration and obtains credentials once, so that what
// it returns is known to be usable. It writes nothing itself. What is absent
// or expired comes back as fault.Missing with the remedy.
func Load(ctx context.Context, opt Options) (aws.Config, error) {
	cfg, err := Read(ctx, opt)
	if err != nil {
		return aws.Config{}, err
	}
	if cfg.Region == "" {
		return aws.Config{}, fault.New(fault.Missing, "set AWS_REGION, or region in AWS profile "+ProfileOf(cfg), "no AWS region is set")
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return aws.Config{}, context.Cause(ctx)
		}
		return aws.Config{}, NoCredentials(cfg, err)
	}
	if opt.Role != "" {
		return assume(ctx, cfg, opt)
	}
	return cfg, nil
}

// RenewBefore is how long before their end credentials are renewed: a request
// that is signed just before may arrive after.
const RenewBefore = time.Minute

// Read reads the AWS configuration and asks nobody for credentials or a
// region. What cannot be read is fault.Missing.
func Read(ctx context.Context, opt Options) (aws.Config, error) {
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(perAttempt)),
		config.WithRetryer(newRetryer),
		config.WithLogger(logging.Nop{}), // the default prints to stderr
		config.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = RenewBefore }),
	}
	if opt.Region != "" {
		load = append(load, config.WithRegion(opt.Region))
	}
	if opt.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(opt.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if gone, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		return aws.Config{}, fault.New(fault.Missing, "run `aws configure list-profiles` to see those that exist, or unset AWS_PROFILE",
			"find AWS profile %q in %v: no such profile", gone.Profile, gone.Filename)
	}
	if err != nil {
		return aws.Config{}, fault.New(fault.Missing, "correct the AWS configuration file or the variable named above", "read the AWS configuration: %w", err)
	}
	return cfg, nil
}

// Local is the configuration for a double on this machine: the given
// endpoint for every service, credentials that mean nothing, and nothing read
// from the environment.
func Local(endpoint, region string) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
		HTTPClient:   awshttp.NewBuildableClient().WithTimeout(perAttempt),
		Retryer:      newRetryer,
	}
}

func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.MaxBackoff = maxBackoff
	})
}

// ProfileOf is the name of the shared profile that cfg was made from:
// AWS_PROFILE's, the one asked for, or "default".
func ProfileOf(cfg aws.Config) string {
	if s := shared(cfg); s.Profile != "" {
		return s.Profile
	}
	for _, source := range cfg.ConfigSources {
		if env, ok := source.(config.EnvConfig); ok && env.SharedConfigProfile != "" {
			return env.SharedConfigProfile
		}
	}
	return config.DefaultSharedConfigProfile
}

func shared(cfg aws.Config) config.SharedConfig {
	for _, source := range cfg.ConfigSources {
		if s, ok := source.(config.SharedConfig); ok {
			return s
		}
	}
	return config.SharedConfig{}
}
