// Package push sends an image to a registry: what is missing there, and
// nothing else.
package push

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/fastship/fastship/runner"
)

// Config is what the image section of fastship.yaml says to this stage.
type Config struct {
	Repository string   `yaml:"repository"` // host/name, without a tag
	Tags       []string `yaml:"tags"`       // default: the commit's first 12 digits, or the image digest's outside git
	Insecure   bool     `yaml:"insecure"`   // allow plain http to a host that is not loopback
}

// Deps is what the stage is lent. The zero value talks to the real world.
type Deps struct {
	// AWS loads the configuration for an ECR registry in a region; nil means
	// the SDK's ordinary chain.
	AWS func(ctx context.Context, region string) (aws.Config, error)
	// Role (an ARN) is assumed for ECR registries of its own account;
	// ExternalID is what its trust policy may ask for.
	Role, ExternalID string
	// Keychain finds the credentials of registries that are not ECR's; nil
	// means the Docker configuration and its helpers.
	Keychain authn.Keychain
	// Transport is the network; nil means HTTP with the proxies of the
	// environment.
	Transport http.RoundTripper
	// Secret is told every password and token that is found, so that it can
	// be masked; nil tells nobody.
	Secret func(values ...string)
}

// In is the image to push.
type In struct {
	Layout string // the OCI layout's folder, absolute
	Digest string // the manifest's, or the index's
	// Base is the pinned reference of the base image, whose layers the layout
	// may lack; empty when it has them all.
	Base string
	// Attachments are manifests in the layout whose subject is the image:
	// Name is sbom, provenance, ….
	Attachments []runner.Descriptor
	Commit      string // for the default tag; empty outside git
	Dirty       bool   // a dirty tree is never tagged as its commit
}

// Out is where the image is now.
type Out struct {
	Reference string   `json:"reference"` // repository@sha256:…
	Tags      []string `json:"tags"`
	Bytes     int64    `json:"bytes"`  // of blobs, sent
	Blobs     int      `json:"blobs"`  // sent
	Reused    int      `json:"reused"` // blobs that the registry had or mounted
}
