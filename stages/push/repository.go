package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// repository speaks the OCI distribution protocol (distribution-spec v1.1) to
// one repository. The library's own pusher is not used: it asks for every
// blob on its own and sends it in two requests, retries with a sleep that no
// context ends, and does not tell what it sent.
type repository struct {
	repo   name.Repository
	http   http.Client
	memory *memory
	api    *ecrAPI // nil for other registries than ECR, and without AWS credentials
	chunk  int64   // bytes of a large blob that go in one request; 0 for all of them
	// patience is for connections that stall; 0 for the default.
	patience time.Duration

	base atomic.Pointer[string] // the base's repository in this registry; nil when it is in another

	seen  view              // what was found there last
	there map[string]string // what the tags named before, by tag; for messages
	ahead *ahead            // uploads that are open already; nil for none
	early *early            // what sends layers before the image is whole; nil for nothing

	answered atomic.Bool // a request of this process was
}

// parallel is how many blobs are asked for or sent at once.
const parallel = 4

func (r *repository) url(format string, args ...any) string {
	u := url.URL{Scheme: r.repo.Scheme(), Host: r.repo.RegistryStr(), Path: "/v2/" + r.repo.RepositoryStr() + "/" + fmt.Sprintf(format, args...)}
	return u.String()
}

// do sends one request and returns the response's head; its body is closed.
func (r *repository) do(req *http.Request, codes ...int) (*http.Response, error) {
	resp, err := r.roundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := registry.CheckResponse(resp, codes...); err != nil {
		return nil, err
	}
	// Read to its end, so that the connection is used again.
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp, err
}

// roundTrip sends one request. A connection that cannot be made to a registry
// that answered before is registry.ErrGone.
func (r *repository) roundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.http.Do(req)
	if err == nil {
		r.answered.Store(true)
		return resp, nil
	}
	err = registry.Readable(err)
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && r.answered.Load() {
		err = fmt.Errorf("%w: %w", registry.ErrGone, err)
	}
	return nil, err
}

func acceptManifests(req *http.Request) {
	req.Header.Set("Accept", strings.Join([]string{
		oci.MediaTypeManifest, oci.MediaTypeIndex,
		"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
	}, ", "))
}

// content is where blobs are read: an image in a layout, or something in
// memory. verify tells whether a blob that the registry refused is damaged.
type content interface {
	open(ctx context.Context, b cache.Descriptor, from int64) (io.ReadCloser, error)
	verify(ctx context.Context, b cache.Descriptor) error
}

// upload sends blobs side by side and returns those whose bytes were sent, not
// those that were mounted, also when an error comes with them. p hears of the
// bytes.
func (r *repository) upload(ctx context.Context, from content, blobs []cache.Descriptor, p *progress) ([]cache.Descriptor, error) {
	for _, b := range blobs {
		p.expect(b.Size)
	}
	done := make([]bool, len(blobs))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, b := range blobs {
		group.Go(func() error {
			var err error
			done[i], err = r.uploadBlob(groupCtx, from, b, p)
			return err
		})
	}
	err := group.Wait()
	var sent []cache.Descriptor
	for i, b := range blobs {
		if done[i] {
			sent = append(sent, b)
		}
	}
	return sent, err
}

// tag puts the image's manifest under a tag.
func (r *repository) tag(ctx context.Context, m manifest, tag string) error {
	if _, err := r.putManifest(ctx, tag, m); err != nil {
		return r.immutable(ctx, tag, m.digest, fmt.Errorf("tag it %s: %w", tag, err))
	}
	return nil
}

// putManifest stores a manifest under a tag or under its own digest. linked
// tells that the registry lists it among its subject's referrers (OCI-Subject,
// distribution-spec v1.1, “Pushing Manifests with Subject”).
func (r *repository) putManifest(ctx context.Context, reference string, m manifest) (linked bool, err error) {
	err = registry.Retry(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, r.url("manifests/%s", reference), bytes.NewReader(m.raw))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", m.mediaType)
		resp, err := r.do(req, http.StatusCreated, http.StatusOK, http.StatusAccepted)
		if err != nil {
			return err
		}
		got := resp.Header.Get("Docker-Content-Digest")
		if got != "" && got != m.digest {
			return errors.New("the registry stored the manifest as " + got)
		}
		if got == "" && resp.StatusCode != http.StatusCreated { // what answers every path with a page does so here
			return fmt.Errorf("PUT %s: %s instead of 201 Created: %w", req.URL, resp.Status, registry.ErrNoRegistry)
		}
		linked = resp.Header.Get("OCI-Subject") != ""
		return nil
	})
	return linked, err
}

// manifestOf reads what a tag or a digest names; ok is false when the
// repository has no such manifest.
func (r *repository) manifestOf(ctx context.Context, reference string) (m manifest, ok bool, err error) {
	mediaType, raw, err := r.get(ctx, "manifests/"+reference)
	if registry.StatusOf(err) == http.StatusNotFound {
		return m, false, nil
	}
	return manifest{digest: string(cache.Sum(raw)), mediaType: mediaType, raw: raw}, err == nil, err
}

// referrers lists the manifests whose subject is digest. ok is false for a
// registry that has no referrers API: there the tag sha256-… lists them.
func (r *repository) referrers(ctx context.Context, digest string) (list []v1.Descriptor, ok bool, err error) {
	_, raw, err := r.get(ctx, "referrers/"+digest)
	if status := registry.StatusOf(err); status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusBadRequest {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var x v1.IndexManifest
	if err := json.Unmarshal(raw, &x); err != nil {
		return nil, false, fmt.Errorf("read the referrers of %s: %w", digest, err)
	}
	return x.Manifests, true, nil
}

// get reads a small document of the repository.
func (r *repository) get(ctx context.Context, path string) (mediaType string, body []byte, err error) {
	err = registry.Retry(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("%s", path), nil)
		if err != nil {
			return err
		}
		acceptManifests(req)
		resp, err := r.roundTrip(req)
		if err != nil {
			return r.cut(ctx, err)
		}
		defer resp.Body.Close()
		if err := registry.CheckResponse(resp, http.StatusOK); err != nil {
			return err
		}
		mediaType = resp.Header.Get("Content-Type")
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
		if err == nil && len(body) > maxManifest {
			return fmt.Errorf("read %s: more than %d bytes", path, maxManifest)
		}
		if err == nil && registry.IsPage(body) {
			return fmt.Errorf("GET %s: a page for browsers: %w", req.URL, registry.ErrNoRegistry)
		}
		return err
	})
	return mediaType, body, err
}
