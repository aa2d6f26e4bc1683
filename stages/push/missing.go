package push

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// send uploads the image's blobs that the registry does not have, and counts
// them with those that were sent before the image was whole.
func (r *repository) send(ctx context.Context, env runner.Env, image image, out *Out) error {
	p := &progress{}
	if r.early != nil {
		p = r.early.p
	}
	p.show(env.Emit)
	err := r.sendRest(ctx, image, p, out)
	out.add(r.early.end())
	out.Reused = max(0, len(image.blobs)-out.Blobs)
	return err
}

// sendRest sends what was not begun early, beside what was; then, once more,
// what failed there.
func (r *repository) sendRest(ctx context.Context, image image, p *progress, out *Out) error {
	lacking, begun, unknown := r.early.handOver(image.blobs)
	missing, err := r.missing(ctx, unknown, false)
	if err != nil {
		return err
	}
	sent, err := r.upload(ctx, image, append(lacking, missing...), p)
	out.add(sent)
	if err != nil {
		return err
	}
	failed, err := r.early.await(ctx, begun)
	if err == nil && len(failed) > 0 {
		missing, err = r.missing(ctx, failed, false)
	}
	if err != nil || len(failed) == 0 {
		return err
	}
	sent, err = r.upload(ctx, image, missing, p)
	out.add(sent)
	return err
}

// sendSurely asks for each of the image's blobs, whatever was seen or
// remembered, and sends what is missing.
func (r *repository) sendSurely(ctx context.Context, env runner.Env, image image, out *Out) error {
	missing, err := r.missing(ctx, image.blobs, true)
	if err != nil {
		return err
	}
	sent, err := r.upload(ctx, image, missing, &progress{emit: env.Emit})
	out.add(sent)
	out.Reused = max(0, len(image.blobs)-out.Blobs)
	return err
}

// add counts blobs that were sent.
func (o *Out) add(sent []cache.Descriptor) {
	for _, b := range sent {
		o.Blobs++
		o.Bytes += b.Size
	}
}

// missing returns the blobs that have to be sent. Those of an image that the
// registry was just seen to hold are there; beside such an image, a small blob
// is sent sooner than asked for.
func (r *repository) missing(ctx context.Context, blobs []cache.Descriptor, surely bool) ([]cache.Descriptor, error) {
	var missing, unsure []cache.Descriptor
	for _, b := range blobs {
		switch {
		case surely || r.seen.blobs == nil:
			unsure = append(unsure, b)
		case r.seen.blobs[b.Digest]:
		case b.Size <= smallBlob:
			missing = append(missing, b)
		default:
			unsure = append(unsure, b)
		}
	}
	has, err := r.haveAll(ctx, unsure)
	if err != nil {
		return nil, err
	}
	for i, b := range unsure {
		if !has[i] {
			missing = append(missing, b)
		}
	}
	return missing, nil
}

// haveAll tells which blobs are there: by one call to ECR, else one by one.
func (r *repository) haveAll(ctx context.Context, blobs []cache.Descriptor) ([]bool, error) {
	if len(blobs) == 0 {
		return nil, nil
	}
	if r.api != nil {
		if has, err := r.api.available(ctx, r.repo.RepositoryStr(), blobs); err == nil {
			return has, nil
		} // without permission or a way to the API, the registry itself answers
	}
	has := make([]bool, len(blobs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, b := range blobs {
		group.Go(func() error {
			return registry.Retry(ctx, func() (err error) {
				has[i], err = r.has(ctx, b)
				return err
			})
		})
	}
	return has, group.Wait()
}

// has asks for a blob. Something of another size is not it, and where a proxy
// lets no HEAD through, nothing is known to be there.
func (r *repository) has(ctx context.Context, b cache.Descriptor) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, r.url("blobs/%s", b.Digest), nil)
	if err != nil {
		return false, err
	}
	resp, err := r.do(req, http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed)
	if err != nil || resp.StatusCode != http.StatusOK {
		return false, err
	}
	return resp.ContentLength <= 0 || resp.ContentLength == b.Size, nil // some tell no size
}

// holder names a repository of this registry from which a blob may be
// mounted; empty when none is known.
func (r *repository) holder(b cache.Descriptor) string {
	if other := r.memory.holder(r.repo.RepositoryStr(), b.Digest); other != "" {
		return other
	}
	if base := r.base.Load(); base != nil && *base != r.repo.RepositoryStr() {
		return *base
	}
	return ""
}
