package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// Step pushes the image.
type Step struct {
	config Config
	deps   Deps

	mu     sync.Mutex
	remote *repository // once connected
}

// New makes the step.
func New(c Config, d Deps) *Step { return &Step{config: c, deps: d} }

// Name implements runner.Step.
func (*Step) Name() string { return "push" }

// validTag is the distribution specification's grammar.
var validTag = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// Check looks at the names, logs in to the registry and reads the repository.
func (s *Step) Check(ctx context.Context) error {
	repo, err := s.parse()
	if err != nil {
		return err
	}
	r, err := s.connect(ctx, repo)
	if err == nil {
		err = r.probe(ctx, slices.Concat(s.config.Tags, []string{"latest"})[0])
	}
	return registry.Explain(fault.Missing, "push to", repo, repo.Registry, err)
}

func (s *Step) parse() (name.Repository, error) {
	for _, tag := range s.config.Tags {
		if !validTag.MatchString(tag) {
			return name.Repository{}, fault.New(fault.BadInput, "a tag has letters, digits, _ . and -, at most 128", "image.tags: %q is no tag", tag)
		}
	}
	return registry.ParseRepository("image.repository", s.config.Repository, s.options())
}

func (s *Step) options() registry.Options {
	return registry.Options{
		Insecure: s.config.Insecure, Keychain: &keychain{deps: s.deps, next: s.deps.Keychain},
		Transport: s.deps.Transport, UserAgent: "fastship",
	}
}

// connect logs in once per Step.
func (s *Step) connect(ctx context.Context, repo name.Repository) (*repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.remote != nil {
		return s.remote, nil
	}
	client, err := registry.Connect(ctx, repo, transport.PushScope, s.options())
	if err != nil {
		return nil, err
	}
	s.remote = &repository{repo: repo, http: http.Client{Transport: client.Transport}}
	return s.remote, nil
}

// tags are those of the configuration, or the one that names the source: the
// commit's first 12 digits when the tree is clean, else the image's.
func (s *Step) tags(in In) []string {
	if len(s.config.Tags) > 0 {
		var once []string
		for _, t := range s.config.Tags {
			if !slices.Contains(once, t) {
				once = append(once, t)
			}
		}
		return once
	}
	id := strings.TrimPrefix(in.Digest, "sha256:")
	if in.Commit != "" && !in.Dirty {
		id = in.Commit
	}
	if len(id) < 12 {
		return nil
	}
	return []string{id[:12]}
}

// Plan tells what would be sent where, as far as the registry shows.
func (s *Step) Plan(ctx context.Context, in In) (runner.Plan[Out], error) {
	repo, err := s.parse()
	if err != nil {
		return runner.Plan[Out]{}, err
	}
	tags := s.tags(in)
	plan := runner.Plan[Out]{Out: Out{Tags: tags}}
	named := "tagged " + strings.Join(tags, ", ")
	if len(tags) == 0 {
		named = "tagged with the first 12 digits of its digest"
	}
	if in.Digest == "" {
		plan.Lines = []string{fmt.Sprintf("push the image to %s, %s: the blobs that are missing there", repo, named)}
		return plan, nil
	}
	plan.Out.Reference = repo.Name() + "@" + in.Digest
	r, err := s.connect(ctx, repo)
	if err != nil {
		return plan, registry.Explain(fault.Missing, "push to", repo, repo.Registry, err)
	}
	left, err := r.unlike(ctx, tags, in.Digest)
	switch {
	case err != nil:
		return plan, registry.Explain(fault.Missing, "push to", repo, repo.Registry, err)
	case len(left) == 0:
		plan.Lines = []string{fmt.Sprintf("nothing to push: %s@%s is there, %s", repo, in.Digest, named)}
	default:
		plan.Lines = []string{fmt.Sprintf("push %s to %s, %s: the blobs that are missing there", in.Digest, repo, named)}
	}
	return plan, nil
}

// Run pushes. The tags move last, when everything they need is there.
func (s *Step) Run(ctx context.Context, env runner.Env, in In) (runner.Result[Out], error) {
	repo, err := s.parse()
	if err != nil {
		return runner.Result[Out]{}, err
	}
	r, err := s.run(ctx, env, repo, in)
	if err != nil && ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	return r, registry.Explain(fault.ImageFailed, "push to", repo, repo.Registry, err)
}

func (s *Step) run(ctx context.Context, env runner.Env, repo name.Repository, in In) (runner.Result[Out], error) {
	tags := s.tags(in)
	r := runner.Result[Out]{Out: Out{Reference: repo.Name() + "@" + in.Digest, Tags: tags}}
	image, err := readImage(in.Layout, in.Digest)
	if err != nil {
		return r, err
	}
	if image.base, err = newBase(in.Base, s.options()); err != nil {
		return r, err
	}
	remote, err := s.connect(ctx, repo)
	if err != nil {
		return r, err
	}
	left, err := remote.unlike(ctx, tags, in.Digest)
	if err != nil {
		return r, err
	}
	if len(left) == 0 {
		r.Status, r.Reason, r.Out.Reused = runner.Cached, "already there", len(image.blobs)
		env.Emit(runner.Note{Text: fmt.Sprintf("%s is there already, tagged %s", r.Out.Reference, strings.Join(tags, ", "))})
		return r, nil
	}
	if err := remote.send(ctx, env, image, &r.Out); err != nil {
		return r, err
	}
	for _, child := range image.children {
		if _, err := remote.putManifest(ctx, child.digest, child); err != nil {
			return r, err
		}
	}
	for _, t := range left {
		if err := remote.tag(ctx, image.root, t); err != nil {
			return r, err
		}
	}
	env.Emit(runner.Note{Text: fmt.Sprintf("pushed %s, tagged %s: %d blobs sent (%s), %d there already", r.Out.Reference, strings.Join(tags, ", "), r.Out.Blobs, bytesText(r.Out.Bytes), r.Out.Reused)})
	return r, nil
}

func bytesText(n int64) string {
	if n < 1_000_000 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// errImmutable is the registry's refusal to move a tag.
func errImmutable(tag string, there string, err error) error {
	e, ok := errors.AsType[*transport.Error](err)
	if !ok || e.StatusCode < 400 || e.StatusCode >= 500 || !strings.Contains(strings.ToLower(err.Error()), "immutable") {
		return err
	}
	what := "another image"
	if there != "" {
		what = there
	}
	return fault.New(fault.ImageFailed, "push under another tag (image.tags), or leave image.tags out: the default names the commit", "tag %s is immutable and names %s: %w", tag, what, err)
}
