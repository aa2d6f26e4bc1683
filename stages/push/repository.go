package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// repository speaks the OCI distribution protocol (distribution-spec v1.1) to
// one repository. The library's own pusher is not used: it asks for every
// blob on its own and sends it in two requests, retries with a sleep that no
// context ends, and does not tell what it sent.
type repository struct {
	repo name.Repository
	http http.Client
	// there is what the tags named before, by tag; for messages.
	there map[string]string
}

// parallel is how many blobs are asked for or sent at once.
const parallel = 4

func (r *repository) url(format string, args ...any) string {
	u := url.URL{Scheme: r.repo.Scheme(), Host: r.repo.RegistryStr(), Path: "/v2/" + r.repo.RepositoryStr() + "/" + fmt.Sprintf(format, args...)}
	return u.String()
}

// do sends one request and returns the response's head; its body is closed.
func (r *repository) do(req *http.Request, codes ...int) (*http.Response, error) {
	resp, err := r.http.Do(req)
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

func acceptManifests(req *http.Request) {
	req.Header.Set("Accept", strings.Join([]string{
		oci.MediaTypeManifest, oci.MediaTypeIndex,
		"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
	}, ", "))
}

// probe reads a tag, whether it is there or not, to see that the registry
// lets us in. A repository that does not exist is made by the first push,
// except on ECR.
func (r *repository) probe(ctx context.Context, tag string) error {
	err := registry.Retry(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("manifests/%s", tag), nil)
		if err != nil {
			return err
		}
		acceptManifests(req)
		_, err = r.do(req, http.StatusOK)
		return err
	})
	if registry.StatusOf(err) != http.StatusNotFound {
		return err
	}
	if _, ok := parseECR(r.repo.RegistryStr()); ok && registry.HasCode(err, transport.NameUnknownErrorCode) {
		return fault.New(fault.Missing, "create it: aws ecr create-repository --repository-name "+r.repo.RepositoryStr(), "push to %s: the repository does not exist", r.repo)
	}
	return nil
}

// unlike returns the tags that do not name digest.
func (r *repository) unlike(ctx context.Context, tags []string, digest string) ([]string, error) {
	r.there = map[string]string{}
	var left []string
	for _, t := range tags {
		d, err := r.digestOf(ctx, t)
		if err != nil {
			return nil, err
		}
		if r.there[t] = d; d != digest {
			left = append(left, t)
		}
	}
	return left, nil
}

// digestOf returns what a tag names, or nothing.
func (r *repository) digestOf(ctx context.Context, tag string) (digest string, err error) {
	err = registry.Retry(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, r.url("manifests/%s", tag), nil)
		if err != nil {
			return err
		}
		acceptManifests(req)
		resp, err := r.do(req, http.StatusOK, http.StatusNotFound)
		if err == nil && resp.StatusCode == http.StatusOK {
			digest = resp.Header.Get("Docker-Content-Digest")
		}
		return err
	})
	return digest, err
}

// send uploads the image's blobs that the registry does not have, and counts.
func (r *repository) send(ctx context.Context, env runner.Env, image image, out *Out) error {
	missing, err := r.missing(ctx, image.blobs)
	if err != nil {
		return err
	}
	out.Reused = len(image.blobs) - len(missing)
	sent, err := r.upload(ctx, image, missing, env.Emit)
	for _, b := range sent {
		out.Blobs++
		out.Bytes += b.Size
	}
	return err
}

// content is where blobs are read: an image in a layout, or something in
// memory. verify tells whether a blob that the registry refused is damaged.
type content interface {
	open(ctx context.Context, b cache.Descriptor, from int64) (io.ReadCloser, error)
	verify(ctx context.Context, b cache.Descriptor) error
}

// upload sends blobs side by side and returns those that were sent, also when
// an error comes with them. emit hears of the bytes.
func (r *repository) upload(ctx context.Context, from content, blobs []cache.Descriptor, emit func(runner.Body)) ([]cache.Descriptor, error) {
	p := &progress{emit: emit}
	for _, b := range blobs {
		p.total += b.Size
	}
	done := make([]bool, len(blobs))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, b := range blobs {
		group.Go(func() error {
			err := r.uploadBlob(groupCtx, from, b, p)
			done[i] = err == nil
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

// missing returns the blobs that the registry does not have.
func (r *repository) missing(ctx context.Context, blobs []cache.Descriptor) ([]cache.Descriptor, error) {
	has := make([]bool, len(blobs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, b := range blobs {
		group.Go(func() (err error) {
			return registry.Retry(ctx, func() (err error) {
				has[i], err = r.has(ctx, b.Digest)
				return err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var missing []cache.Descriptor
	for i, b := range blobs {
		if !has[i] {
			missing = append(missing, b)
		}
	}
	return missing, nil
}

func (r *repository) has(ctx context.Context, d cache.Digest) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, r.url("blobs/%s", d), nil)
	if err != nil {
		return false, err
	}
	resp, err := r.do(req, http.StatusOK, http.StatusNotFound)
	return err == nil && resp.StatusCode == http.StatusOK, err
}

// uploadBlob sends one blob: POST for a place, PUT with the body, as
// containerd does. A try that failed may have got through all the same, so the
// next one asks first.
func (r *repository) uploadBlob(ctx context.Context, from content, b cache.Descriptor, p *progress) error {
	again := false
	err := registry.Retry(ctx, func() error {
		if again {
			if there, err := r.has(ctx, b.Digest); err == nil && there {
				p.add(b.Size)
				return nil
			}
		}
		again = true
		count := &counted{p: p}
		err := r.put(ctx, from, b, count)
		if err != nil {
			count.undo()
		}
		return err
	})
	if registry.HasCode(err, transport.DigestInvalidErrorCode) {
		if damage := from.verify(ctx, b); damage != nil {
			return fmt.Errorf("send %s: %w", b.Digest, damage)
		}
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", b.Digest, err)
	}
	return nil
}

func (r *repository) put(ctx context.Context, from content, b cache.Descriptor, count *counted) error {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url("blobs/uploads/"), nil)
	if err != nil {
		return err
	}
	resp, err := r.do(post, http.StatusAccepted, http.StatusCreated)
	if err != nil {
		return err
	}
	place, err := resp.Location()
	if err != nil {
		return fmt.Errorf("the registry gave no place to upload to: %w", err)
	}
	query := place.Query()
	query.Set("digest", string(b.Digest))
	place.RawQuery = query.Encode()

	put, err := http.NewRequestWithContext(ctx, http.MethodPut, place.String(), nil)
	if err != nil {
		return err
	}
	put.ContentLength = b.Size
	put.GetBody = func() (io.ReadCloser, error) { // for a redirect or a stale connection
		return count.reader(&lateReader{open: func() (io.ReadCloser, error) { return from.open(ctx, b, 0) }}), nil
	}
	if put.Body, err = put.GetBody(); err != nil {
		return err
	}
	if b.Size == 0 {
		put.Body = http.NoBody
	}
	put.Header.Set("Content-Type", "application/octet-stream")
	_, err = r.do(put, http.StatusCreated)
	return err
}

// lateReader opens what it reads when it is read: a request's body may be
// asked for several times, and each costs a request to the base's registry.
type lateReader struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
}

func (l *lateReader) Read(p []byte) (n int, err error) {
	if l.r == nil {
		if l.r, err = l.open(); err != nil {
			l.r = nil
			return 0, err
		}
	}
	return l.r.Read(p)
}

func (l *lateReader) Close() error {
	if l.r == nil {
		return nil
	}
	return l.r.Close()
}

// tag puts the image's manifest under a tag.
func (r *repository) tag(ctx context.Context, m manifest, tag string) error {
	if _, err := r.putManifest(ctx, tag, m); err != nil {
		return errImmutable(tag, r.there[tag], fmt.Errorf("tag it %s: %w", tag, err))
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
		if got := resp.Header.Get("Docker-Content-Digest"); got != "" && got != m.digest {
			return errors.New("the registry stored the manifest as " + got)
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
		resp, err := r.http.Do(req)
		if err != nil {
			return err
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
		return err
	})
	return mediaType, body, err
}
