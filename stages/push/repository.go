package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
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

// send uploads the blobs that the registry does not have, and counts.
func (r *repository) send(ctx context.Context, env runner.Env, image image, out *Out) error {
	missing, err := r.missing(ctx, image.blobs)
	if err != nil {
		return err
	}
	out.Reused = len(image.blobs) - len(missing)
	p := &progress{emit: env.Emit}
	for _, b := range missing {
		p.total += b.Size
	}
	sent := make([]bool, len(missing))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, b := range missing {
		group.Go(func() error {
			err := r.upload(groupCtx, image, b, p)
			sent[i] = err == nil
			return err
		})
	}
	err = group.Wait()
	for i, b := range missing {
		if sent[i] {
			out.Blobs++
			out.Bytes += b.Size
		}
	}
	return err
}

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

// upload sends one blob: POST for a place, PUT with the body, as containerd
// does. A try that failed may have got through all the same, so the next one
// asks first.
func (r *repository) upload(ctx context.Context, image image, b cache.Descriptor, p *progress) error {
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
		err := r.put(ctx, image, b, count)
		if err != nil {
			count.undo()
		}
		return err
	})
	if registry.HasCode(err, transport.DigestInvalidErrorCode) {
		if damage := image.verify(b); damage != nil {
			return fault.New(fault.ImageFailed, "remove the folder "+image.layout+" and run again", "send %s: %w", b.Digest, damage)
		}
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", b.Digest, err)
	}
	return nil
}

func (r *repository) put(ctx context.Context, image image, b cache.Descriptor, count *counted) error {
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

	body, err := image.open(b)
	if err != nil {
		return err
	}
	put, err := http.NewRequestWithContext(ctx, http.MethodPut, place.String(), count.reader(body))
	if err != nil {
		body.Close()
		return err
	}
	put.ContentLength = b.Size
	put.GetBody = func() (io.ReadCloser, error) { // for a redirect or a stale connection
		body, err := image.open(b)
		if err != nil {
			return nil, err
		}
		return count.reader(body), nil
	}
	if b.Size == 0 {
		put.Body = http.NoBody
	}
	put.Header.Set("Content-Type", "application/octet-stream")
	_, err = r.do(put, http.StatusCreated)
	return err
}

// tag puts the manifest under a tag.
func (r *repository) tag(ctx context.Context, image image, tag string) error {
	err := registry.Retry(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, r.url("manifests/%s", tag), bytes.NewReader(image.manifest))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", image.mediaType)
		resp, err := r.do(req, http.StatusCreated, http.StatusOK, http.StatusAccepted)
		if err != nil {
			return err
		}
		if got := resp.Header.Get("Docker-Content-Digest"); got != "" && got != image.digest {
			return errors.New("the registry stored the manifest as " + got)
		}
		return nil
	})
	if err != nil {
		return errImmutable(tag, r.there[tag], fmt.Errorf("tag it %s: %w", tag, err))
	}
	return nil
}
