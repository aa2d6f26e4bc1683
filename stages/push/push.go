// Package push sends an image to a registry: what is missing there, and
// nothing else.
package push

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/fastship/fastship/cache"
)

// Config is what the image section of fastship.yaml says to this stage.
type Config struct {
	Repository string   `yaml:"repository"` // host/name, without a tag
	Tags       []string `yaml:"tags"`       // default: the commit's first 12 digits, or the image digest's outside git
	Insecure   bool     `yaml:"insecure"`   // allow plain http to a host that is not loopback
	Create     bool     `yaml:"create"`     // make the repository in ECR when it does not exist
	// Login is kept (the default), an ECR token used for as long as it lives,
	// or fresh, another one in each run.
	Login string `yaml:"login"`
	Scan  Scan   `yaml:"scan"` // what ECR's scan must not have found
	Sign  Sign   `yaml:"sign"` // by which key the image is signed
	Dir   string `yaml:"-"`    // the project's folder, absolute
	Files Files  `yaml:"-"`    // that name the image once it is pushed
}

// Scan is a gate between the push and the tags.
type Scan struct {
	Fail        string        `yaml:"fail"`        // the least severity that stops the run; empty: there is no gate
	Wait        time.Duration `yaml:"wait"`        // how long the scan may take; default 5m
	Unsupported string        `yaml:"unsupported"` // fail (the default) or pass: an image that ECR cannot scan
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
	// Containers finds the services' containers, for Files; nil, or none,
	// leaves the name to the repository's.
	Containers func(ctx context.Context) ([]Container, error)
	// Transport is the network; nil means HTTP with the proxies of the
	// environment.
	Transport http.RoundTripper
	// State is this machine's folder for what is learnt of registries; empty
	// remembers nothing. It is read by Check and Plan, and written by Run and,
	// for uploads that a later run may go on with, after Expect.
	State string
	// Logins is the user's folder for ECR tokens that still live; empty keeps
	// none.
	Logins string
	// Attachments gives what is to be attached to the image of that digest;
	// nil for nothing. It may take its time: it is asked when the image is
	// there, and a step that does not sign does not wait.
	Attachments func(ctx context.Context, digest string) ([]Attachment, error)
	// Cache remembers what is attached already, and has the layers that Expect
	// is told of; nil asks the registry, and sends nothing before Run.
	Cache *cache.Cache
	// Getenv finds the variables of the signing key: COSIGN_PASSWORD, and what
	// env://NAME names.
	Getenv func(name string) (string, bool)
	// Secret is told every password and token that is found, so that it can
	// be masked; nil tells nobody.
	Secret func(values ...string)

	scanPoll time.Duration // between two looks at a scan; 0 for the default
	patience time.Duration // with a connection that stalls; 0 for the default
}

// In is the image to push.
type In struct {
	Layout string // the OCI layout's folder, absolute
	Digest string // the manifest's, or the index's
	// Base is the pinned reference of the base image, whose layers the layout
	// may lack; empty when it has them all.
	Base   string
	Commit string // for the default tag; empty outside git
	Dirty  bool   // a dirty tree is never tagged as its commit
}

// Out is where the image is now.
type Out struct {
	Reference string   `json:"reference"` // repository@sha256:…
	Tags      []string `json:"tags"`
	Bytes     int64    `json:"bytes"`  // of blobs, sent
	Blobs     int      `json:"blobs"`  // sent
	Reused    int      `json:"reused"` // blobs that the registry had or mounted
}
