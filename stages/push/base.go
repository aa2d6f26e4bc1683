package push

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// baseBlobs are the layers of the image's base, in its own registry. It is
// asked for nothing before the first layer that the target neither has nor
// mounts.
type baseBlobs struct {
	repo    name.Repository
	options registry.Options

	mu     sync.Mutex
	client *http.Client // once connected
}

// newBase takes In.Base; nil for an image that stands on its own.
func newBase(ref string, o registry.Options) (*baseBlobs, error) {
	if ref == "" {
		return nil, nil
	}
	parsed, err := registry.ParseReference("image.base", ref, o)
	if err != nil {
		return nil, err
	}
	return &baseBlobs{repo: parsed.Context(), options: o}, nil
}

func (s *baseBlobs) connect(ctx context.Context) (*http.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	c, err := registry.Connect(ctx, s.repo, transport.PullScope, s.options)
	if err != nil {
		return nil, err
	}
	s.client = &http.Client{Transport: c.Transport}
	return s.client, nil
}

// open reads a layer from a byte on. What is not what its digest says, the
// target refuses.
func (s *baseBlobs) open(ctx context.Context, b cache.Descriptor, from int64) (io.ReadCloser, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return nil, s.explain(b, err)
	}
	u := url.URL{Scheme: s.repo.Scheme(), Host: s.repo.RegistryStr(), Path: "/v2/" + s.repo.RepositoryStr() + "/blobs/" + string(b.Digest)}
	body, err := readBlob(ctx, client, u.String(), from)
	if err != nil {
		return nil, s.explain(b, err)
	}
	return &explained{body, func(err error) error { return s.explain(b, err) }}, nil
}

// explain names the base's registry: a layer goes from it to the target in one
// piece, and either side may fail.
func (s *baseBlobs) explain(b cache.Descriptor, err error) error {
	return registry.Explain(fault.ImageFailed, "read the base's layer "+string(b.Digest)+" from", s.repo, s.repo.Registry, err)
}

// explained is a body whose errors say where it comes from.
type explained struct {
	io.ReadCloser
	explain func(error) error
}

func (r *explained) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = r.explain(err)
	}
	return n, err
}
