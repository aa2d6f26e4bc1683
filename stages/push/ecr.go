package push

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
)

// ecrHost matches the host names of private ECR registries, in all
// partitions, FIPS and dual-stack ones included (AWS General Reference, “ECR
// endpoints”).
var ecrHost = regexp.MustCompile(`^\d{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$`)

// parseECR returns the region of an ECR registry's host.
func parseECR(host string) (region string, ok bool) {
	m := ecrHost.FindStringSubmatch(host)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// options are those for the registry at an ECR host, whose first 12 digits are
// its account.
func (d Deps) options(host, region string) awsconf.Options {
	opt := awsconf.Options{Region: region}
	if strings.Contains(d.Role, ":iam::"+host[:12]+":") {
		opt.Role, opt.ExternalID = d.Role, d.ExternalID
	}
	return opt
}

// load gives the AWS configuration for an ECR host, its credentials known to
// be usable.
func (d Deps) load(ctx context.Context, host, region string) (aws.Config, error) {
	if d.AWS != nil {
		return d.AWS(ctx, region)
	}
	return awsconf.Load(ctx, d.options(host, region))
}

// ecrAPI is what the push asks of ECR beside the registry protocol.
type ecrAPI struct {
	load func(context.Context) (aws.Config, error)

	mu   sync.Mutex
	made *ecr.Client
	cfg  aws.Config
	err  error // why there are no credentials
}

func newECR(d Deps, host, region string) *ecrAPI {
	return &ecrAPI{load: func(ctx context.Context) (aws.Config, error) { return d.load(ctx, host, region) }}
}

// client is made with the first call that needs one: most pushes do not.
func (e *ecrAPI) client(ctx context.Context) (*ecr.Client, aws.Config, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.made == nil && e.err == nil {
		if e.cfg, e.err = e.load(ctx); e.err == nil {
			e.made = ecr.NewFromConfig(e.cfg)
		}
	}
	return e.made, e.cfg, e.err
}

// maxDigests is what BatchCheckLayerAvailability takes at once.
const maxDigests = 100

// available tells which blobs a repository has.
func (e *ecrAPI) available(ctx context.Context, repo string, blobs []cache.Descriptor) ([]bool, error) {
	client, _, err := e.client(ctx)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for some := range slices.Chunk(blobs, maxDigests) {
		in := &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: &repo}
		for _, b := range some {
			in.LayerDigests = append(in.LayerDigests, string(b.Digest))
		}
		out, err := client.BatchCheckLayerAvailability(ctx, in)
		if absent(err) {
			return make([]bool, len(blobs)), nil
		}
		if err != nil {
			return nil, err
		}
		for _, l := range out.Layers {
			there[aws.ToString(l.LayerDigest)] = l.LayerAvailability == types.LayerAvailabilityAvailable
		}
	}
	has := make([]bool, len(blobs))
	for i, b := range blobs {
		has[i] = there[string(b.Digest)]
	}
	return has, nil
}

func absent(err error) bool {
	_, ok := errors.AsType[*types.RepositoryNotFoundException](err)
	return ok
}

// isAbsent asks for a layer that every repository lacks or has: only the
// answer about the repository is of interest.
func (e *ecrAPI) isAbsent(ctx context.Context, repo string) bool {
	client, _, err := e.client(ctx)
	if err != nil {
		return false
	}
	_, err = client.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: &repo, LayerDigests: []string{string(cache.Sum(nil))}})
	return absent(err)
}

// create makes the repository. Immutability, scanning, encryption and
// lifecycle are what the account's repository creation templates and settings
// say.
func (e *ecrAPI) create(ctx context.Context, repo string) error {
	client, cfg, err := e.client(ctx)
	if err != nil {
		return err
	}
	_, err = client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &repo})
	if _, ok := errors.AsType[*types.RepositoryAlreadyExistsException](err); ok || err == nil {
		return nil // another run was faster
	}
	if isDenied(err) {
		return fault.New(fault.ImageFailed, "allow ecr:CreateRepository, or create it: aws ecr create-repository --repository-name "+repo, "create the repository %s: %w", repo, err)
	}
	return fmt.Errorf("create the repository %s: %w", repo, awsconf.Explain(cfg, err))
}

func isDenied(err error) bool {
	e, ok := errors.AsType[smithy.APIError](err)
	return ok && strings.HasPrefix(e.ErrorCode(), "AccessDenied")
}
