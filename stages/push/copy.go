package push

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/sizes"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// CopyIn is an image in a registry, to be had in another repository by the
// same digest.
type CopyIn struct {
	Reference string   // repository@sha256:…
	Tags      []string // to give it there, where the configuration names none
}

// Copy is the push of an image that was pushed before: its bytes go from one
// repository to another, and with them its platforms' images and whatever
// names it as its subject. Nothing is built and nothing changes its digest.
type Copy struct {
	step *Step
	in   CopyIn // as it is known from the start: Check reads it
}

var _ runner.Step[CopyIn, Out] = (*Copy)(nil)

// NewCopy makes the step that brings an image to the configured repository.
func NewCopy(c Config, d Deps, in CopyIn) *Copy {
	if len(c.Tags) == 0 {
		c.Tags = in.Tags
	}
	return &Copy{step: New(c, d), in: in}
}

// Name implements runner.Step.
func (*Copy) Name() string { return "push" }

// Check implements runner.Step: the image is there, and the target lets us in.
func (c *Copy) Check(ctx context.Context) error {
	if _, _, err := c.root(ctx, c.in); err != nil {
		return err
	}
	return c.step.Check(ctx)
}

// source reads manifests and blobs of the repository that an image is in.
type source struct {
	*repository
}

// root is the image's manifest and where it is.
func (c *Copy) root(ctx context.Context, in CopyIn) (source, manifest, error) {
	ref, err := registry.ParseReference("image", in.Reference, c.step.options())
	if err != nil {
		return source{}, manifest{}, err
	}
	digest, ok := ref.(name.Digest)
	if !ok {
		return source{}, manifest{}, fault.New(fault.BadInput, "name it by its digest: repository@sha256:…", "%s names no digest: a tag may move", in.Reference)
	}
	repo := ref.Context()
	client, err := registry.Connect(ctx, repo, transport.PullScope, c.step.options())
	if err != nil {
		return source{}, manifest{}, registry.Explain(fault.Missing, "read from", repo, repo.Registry, err)
	}
	from := source{&repository{repo: repo, http: http.Client{Transport: client.Transport}}}
	m, found, err := from.manifestOf(ctx, digest.DigestStr())
	switch {
	case err != nil:
		return from, m, registry.Explain(fault.Missing, "read from", repo, repo.Registry, err)
	case !found:
		return from, m, fault.New(fault.Missing, "name an image that was pushed", "find %s: the repository has no such image", in.Reference)
	case m.digest != digest.DigestStr():
		return from, m, fault.New(fault.Missing, "", "read %s: the registry sent %s", in.Reference, m.digest)
	}
	return from, m, nil
}

// Plan implements runner.Step.
func (c *Copy) Plan(ctx context.Context, in CopyIn) (runner.Plan[Out], error) {
	var plan runner.Plan[Out]
	from, root, err := c.root(ctx, in)
	if err != nil {
		return plan, err
	}
	repo, err := c.step.parse()
	if err != nil {
		return plan, err
	}
	to, err := c.step.connect(ctx, repo)
	if err == nil {
		var left []string
		tags := c.tags(root)
		plan.Out = Out{Reference: repo.Name() + "@" + root.digest, Tags: tags}
		if left, err = to.unlike(ctx, tags, root.digest); err == nil && len(left) == 0 {
			plan.Lines = []string{fmt.Sprintf("nothing to copy: %s is there, tagged %s", plan.Out.Reference, strings.Join(tags, ", "))}
			return plan, nil
		}
		plan.Lines = []string{fmt.Sprintf("copy %s from %s to %s, tagged %s: the blobs that are missing there", root.digest, from.repo, repo, strings.Join(tags, ", "))}
	}
	return plan, registry.Explain(fault.Missing, "push to", repo, repo.Registry, err)
}

func (c *Copy) tags(root manifest) []string {
	return c.step.tags(In{Digest: root.digest})
}

// Run implements runner.Step. The tags move last, when all is there.
func (c *Copy) Run(ctx context.Context, env runner.Env, in CopyIn) (runner.Result[Out], error) {
	repo, err := c.step.parse()
	if err != nil {
		return runner.Result[Out]{}, err
	}
	r, err := c.run(ctx, env, repo, in)
	if err != nil && ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	if f := fault.ClassOf(err); f == fault.Missing || f == fault.BadInput { // Check was fine, and work has begun
		err = fault.New(fault.ImageFailed, fault.HintOf(err), "%w", err)
	}
	return r, registry.Explain(fault.ImageFailed, "push to", repo, repo.Registry, err)
}

func (c *Copy) run(ctx context.Context, env runner.Env, repo name.Repository, in CopyIn) (runner.Result[Out], error) {
	from, root, err := c.root(ctx, in)
	if err != nil {
		return runner.Result[Out]{}, err
	}
	tags := c.tags(root)
	r := runner.Result[Out]{Out: Out{Reference: repo.Name() + "@" + root.digest, Tags: tags}}
	to, err := c.step.connect(ctx, repo)
	if err != nil {
		return r, err
	}
	left, err := to.unlike(ctx, tags, root.digest)
	if err != nil {
		return r, err
	}
	if len(left) == 0 {
		r.Status, r.Reason = runner.Cached, "already there"
		env.Emit(runner.Note{Text: fmt.Sprintf("%s is there already, tagged %s", r.Out.Reference, strings.Join(tags, ", "))})
		return r, nil
	}
	if from.repo.Name() != to.repo.Name() { // else there is but a tag to set
		k := &copying{from: from, to: to, emit: env.Emit, out: &r.Out}
		if err := k.whole(ctx, root); err != nil {
			return r, err
		}
		if err := k.signatures(ctx, root); err != nil {
			return r, err
		}
	}
	for _, t := range left {
		if err := to.tag(ctx, root, t); err != nil {
			return r, err
		}
	}
	env.Emit(runner.Note{Text: fmt.Sprintf("copied %s from %s, tagged %s: %d blobs sent (%s), %d there already", r.Out.Reference, from.repo, strings.Join(tags, ", "), r.Out.Blobs, sizes.Text(r.Out.Bytes), r.Out.Reused)})
	return r, nil
}

// copying is one image on its way.
type copying struct {
	from source
	to   *repository
	emit func(runner.Body)
	out  *Out
}

// whole brings a manifest by its digest, what it consists of before it and what
// is attached to it behind it.
func (k *copying) whole(ctx context.Context, m manifest) error {
	children := []manifest{}
	if types.MediaType(m.mediaType).IsIndex() {
		var x v1.IndexManifest
		if err := json.Unmarshal(m.raw, &x); err != nil {
			return fmt.Errorf("read index %s: %w", m.digest, err)
		}
		for _, d := range x.Manifests {
			child, err := k.read(ctx, d.Digest.String())
			if err != nil {
				return err
			}
			children = append(children, child)
		}
	} else if err := k.blobs(ctx, m); err != nil {
		return err
	}
	for _, child := range children {
		if err := k.whole(ctx, child); err != nil {
			return err
		}
	}
	if _, err := k.to.putManifest(ctx, m.digest, m); err != nil {
		return err
	}
	return k.attached(ctx, m.digest)
}

func (k *copying) read(ctx context.Context, digest string) (manifest, error) {
	m, found, err := k.from.manifestOf(ctx, digest)
	if err == nil && (!found || m.digest != digest) {
		err = fault.New(fault.ImageFailed, "push the image again", "%s has no manifest %s, which the image consists of", k.from.repo, digest)
	}
	return m, err
}

// attached brings what names a manifest as its subject: SBOMs, provenance,
// signatures. A registry without the referrers API lists them under a tag
// (distribution-spec v1.1, “Referrers Tag Schema”).
func (k *copying) attached(ctx context.Context, digest string) error {
	list, ok, err := k.from.referrers(ctx, digest)
	if err != nil {
		return err
	}
	tag := strings.Replace(digest, ":", "-", 1)
	if !ok {
		m, found, err := k.from.manifestOf(ctx, tag)
		var x v1.IndexManifest
		if err != nil || !found || json.Unmarshal(m.raw, &x) != nil {
			return err
		}
		list = x.Manifests
	}
	linked := true
	for _, d := range list {
		m, err := k.read(ctx, d.Digest.String())
		if err != nil {
			return err
		}
		if err := k.blobs(ctx, m); err != nil {
			return err
		}
		own, err := k.to.putManifest(ctx, m.digest, m)
		if err != nil {
			return err
		}
		linked = linked && own
	}
	if linked {
		return nil
	}
	return k.list(ctx, tag, list)
}

// list adds to the tag that stands for the referrers API.
func (k *copying) list(ctx context.Context, tag string, more []v1.Descriptor) error {
	x := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	there, found, err := k.to.manifestOf(ctx, tag)
	if err != nil {
		return err
	}
	if found {
		if err := json.Unmarshal(there.raw, &x); err != nil {
			return fmt.Errorf("read %s of %s: %w", tag, k.to.repo, err)
		}
	}
	known := map[v1.Hash]bool{}
	for _, d := range x.Manifests {
		known[d.Digest] = true
	}
	for _, d := range more {
		if !known[d.Digest] {
			x.Manifests = append(x.Manifests, d)
		}
	}
	raw, err := json.Marshal(x)
	if err != nil {
		return err
	}
	_, err = k.to.putManifest(ctx, tag, manifest{digest: string(cache.Sum(raw)), mediaType: string(types.OCIImageIndex), raw: raw})
	return err
}

// blobs brings what the target lacks: mounted in the same registry, else
// streamed, never kept.
func (k *copying) blobs(ctx context.Context, m manifest) error {
	blobs, err := m.blobs()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var lacking []cache.Descriptor
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, b := range blobs {
		group.Go(func() error {
			there, err := k.has(inner, b)
			mu.Lock()
			defer mu.Unlock()
			if !there {
				lacking = append(lacking, b)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	k.out.Reused += len(blobs) - len(lacking)
	sent, err := k.to.upload(ctx, k.from, lacking, &progress{emit: k.emit})
	k.out.add(sent)
	return err
}

// has looks whether the target has a blob, or takes it from a repository
// beside it.
func (k *copying) has(ctx context.Context, b cache.Descriptor) (there bool, err error) {
	err = registry.Retry(ctx, func() (err error) {
		there, err = k.to.has(ctx, b)
		return err
	})
	if err != nil || there || k.from.repo.RegistryStr() != k.to.repo.RegistryStr() {
		return there, err
	}
	return k.to.mount(ctx, b.Digest, k.from.repo.RepositoryStr())
}
