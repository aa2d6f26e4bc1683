package push

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// open reads a blob from a byte on.
func (s source) open(ctx context.Context, b cache.Descriptor, from int64) (io.ReadCloser, error) {
	body, err := readBlob(ctx, &s.http, s.url("blobs/%s", b.Digest), from)
	if err != nil {
		return nil, s.explain(b, err)
	}
	return body, nil
}

// readBlob reads a blob from a byte on, also where ranges are not known.
func readBlob(ctx context.Context, client *http.Client, url string, from int64) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, registry.Readable(err)
	}
	err = registry.CheckResponse(resp, http.StatusOK, http.StatusPartialContent)
	if err == nil && from > 0 && resp.StatusCode == http.StatusOK {
		_, err = io.CopyN(io.Discard, resp.Body, from)
	}
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

func (s source) explain(b cache.Descriptor, err error) error {
	return fmt.Errorf("read blob %s from %s: %w", b.Digest, s.repo, err)
}

// verify tells whether the source itself has a blob that is not what its
// digest says.
func (s source) verify(ctx context.Context, b cache.Descriptor) error {
	body, err := s.open(ctx, b, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, body); err != nil {
		return s.explain(b, err)
	}
	if cache.FromSum(h.Sum(nil)) != b.Digest {
		return fault.New(fault.ImageFailed, "push the image there again", "read blob %s from %s: %w", b.Digest, s.repo, cache.ErrCorrupt)
	}
	return nil
}

// mount takes a blob from another repository of the registry. Where that is
// refused, the registry answers with a place to upload to, which is left.
func (r *repository) mount(ctx context.Context, d cache.Digest, from string) (mounted bool, err error) {
	err = registry.Retry(ctx, func() error {
		query := url.Values{"mount": {string(d)}, "from": {from}}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url("blobs/uploads/")+"?"+query.Encode(), nil)
		if err != nil {
			return err
		}
		resp, err := r.do(req, http.StatusCreated, http.StatusAccepted)
		mounted = err == nil && resp.StatusCode == http.StatusCreated
		return err
	})
	if status := registry.StatusOf(err); status >= 400 && status < 500 {
		return false, nil // it may not read that repository: the bytes are sent
	}
	return mounted, err
}
