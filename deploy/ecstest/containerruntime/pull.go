package containerruntime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// pulled is an image that is here: its configuration and the trees of its
// root.
type pulled struct {
	digest  string // of the manifest for this platform
	config  *v1.ConfigFile
	trees   []string
	release func()
}

// pull gets an image from its registry, what is not unpacked yet of it. Errors
// are worded as ECS words them after "CannotPullContainerError: ".
func (r *Runtime) pull(ctx context.Context, reference string) (pulled, error) {
	ref, err := parse(reference)
	if err != nil {
		return pulled{}, err
	}
	platform := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	image, err := remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(platform), remote.WithTransport(r.options.Transport))
	if err != nil {
		return pulled{}, pullFailure(ref, platform, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return pulled{}, pullFailure(ref, platform, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return pulled{}, pullFailure(ref, platform, err)
	}
	trees, release, err := r.trees(ctx, image)
	if err != nil {
		return pulled{}, pullFailure(ref, platform, err)
	}
	return pulled{digest.String(), config, trees, release}, nil
}

// parse reads a reference; registries on loopback are spoken to in plain http.
func parse(reference string) (name.Reference, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("invalid reference format: %w", err)
	}
	host, _, err := net.SplitHostPort(ref.Context().RegistryStr())
	if err != nil {
		host = ref.Context().RegistryStr()
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return name.ParseReference(reference, name.Insecure)
	}
	return ref, nil
}

func pullFailure(ref name.Reference, platform v1.Platform, err error) error {
	if e, ok := errors.AsType[*transport.Error](err); ok && e.StatusCode == http.StatusNotFound {
		return fmt.Errorf("failed to resolve ref %s: not found", ref)
	}
	if strings.Contains(err.Error(), "no child with platform") { // remote has no type for it
		return fmt.Errorf("image Manifest does not contain descriptor matching platform '%s'", platform.String())
	}
	return fmt.Errorf("failed to pull %s: %w", ref, err)
}
