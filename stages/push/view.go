package push

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// view is what a look at a tag showed. A registry that holds an image holds
// its blobs: none of them has to be asked for.
type view struct {
	tag    string
	digest string                // empty: no such tag
	blobs  map[cache.Digest]bool // nil when they are not known
	ours   bool                  // the image is the one that this machine pushed last
	at     time.Time
}

// freshFor is how long a look is as good as another one.
const freshFor = 10 * time.Second

// look reads a tag, whether it is there or not: it shows whether the registry
// lets us in, and which blobs it has. The tag of this machine's last push is
// asked for its digest alone; of another one, the manifest is read. absent
// tells that the repository does not exist, where pushing does not make it.
func (r *repository) look(ctx context.Context, tag string) (absent bool, err error) {
	absent, err = r.see(ctx, tag)
	if errors.Is(err, errNoRepository) {
		return true, nil
	}
	return absent, err
}

func (r *repository) see(ctx context.Context, tag string) (absent bool, err error) {
	last := r.memory.last(r.repo.RepositoryStr())
	r.seen = view{tag: tag, at: time.Now()}
	if last.Tag == tag {
		digest, err := r.digestOf(ctx, tag)
		if err != nil {
			return false, err
		}
		if r.seen.digest = digest; digest == last.Digest {
			r.seen.ours, r.seen.blobs = true, map[cache.Digest]bool{}
			for _, d := range last.Blobs {
				r.seen.blobs[d] = true
			}
			return false, nil
		}
	}
	mediaType, raw, err := r.get(ctx, "manifests/"+tag)
	if registry.StatusOf(err) == http.StatusNotFound {
		return r.isECR() && registry.HasCode(err, transport.NameUnknownErrorCode), nil
	}
	if err != nil {
		return false, err
	}
	r.seen.digest = string(cache.Sum(raw))
	if m := (manifest{r.seen.digest, mediaType, raw}); types.MediaType(mediaType).IsImage() {
		r.seen.blobs = m.holds()
	}
	return false, nil
}

// holds lists the blobs that an image's being there proves.
func (m manifest) holds() map[cache.Digest]bool {
	var parsed v1.Manifest
	if json.Unmarshal(m.raw, &parsed) != nil {
		return nil
	}
	held := map[cache.Digest]bool{}
	for _, b := range append(parsed.Layers, parsed.Config) {
		if len(b.URLs) == 0 { // else it is somewhere else
			held[cache.Digest(b.Digest.String())] = true
		}
	}
	return held
}

// errNoRepository is what the API of a registry says that cut the connection.
var errNoRepository = errors.New("the repository does not exist")

// cut looks behind a connection that was cut: ECR sometimes does so where it
// should say that there is no such repository.
func (r *repository) cut(ctx context.Context, err error) error {
	if err != nil && r.api != nil && registry.StatusOf(err) == 0 && ctx.Err() == nil && r.api.isAbsent(ctx, r.repo.RepositoryStr()) {
		return errNoRepository
	}
	return err
}

func (r *repository) isECR() bool {
	_, ok := parseECR(r.repo.RegistryStr())
	return ok
}

// errAbsent is a repository that ECR does not make by itself.
func (r *repository) errAbsent() error {
	return fault.New(fault.Missing, "set image.create: true, or create it: aws ecr create-repository --repository-name "+r.repo.RepositoryStr(), "push to %s: the repository does not exist", r.repo)
}

// unlike returns the tags that do not name digest, as far as that is worth a
// question: an image that this machine has not pushed, where its last one is
// seen to be there, is taken for new. If it is not, its manifest is sent again.
func (r *repository) unlike(ctx context.Context, tags []string, digest string) ([]string, error) {
	r.there = map[string]string{}
	isNew := r.seen.ours && !slices.Contains(r.memory.last(r.repo.RepositoryStr()).Pushed, digest)
	var left []string
	for _, t := range tags {
		d, err := r.named(ctx, t, isNew)
		if err != nil {
			return nil, err
		}
		if r.there[t] = d; d != digest {
			left = append(left, t)
		}
	}
	return left, nil
}

// named returns what a tag names, empty where it names nothing or was not
// worth asking for.
func (r *repository) named(ctx context.Context, tag string, isNew bool) (string, error) {
	switch {
	case r.seen.tag == tag && time.Since(r.seen.at) < freshFor:
		return r.seen.digest, nil
	case isNew:
		return "", nil
	}
	return r.digestOf(ctx, tag)
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
		if err = r.cut(ctx, err); err == nil && resp.StatusCode == http.StatusOK {
			digest = resp.Header.Get("Docker-Content-Digest")
		}
		return err
	})
	if registry.StatusOf(err) == http.StatusMethodNotAllowed { // a proxy lets no HEAD through
		m, ok, err := r.manifestOf(ctx, tag)
		if err != nil || !ok {
			return "", err
		}
		return m.digest, nil
	}
	return digest, err
}
