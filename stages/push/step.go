package push

import (
	"cmp"
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
	"github.com/fastship/fastship/internal/sizes"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci/registry"
	"github.com/fastship/fastship/stages/push/sign"
)

// Step pushes the image.
type Step struct {
	config Config
	deps   Deps
	keys   *keychain

	mu     sync.Mutex
	remote *repository // once connected
	absent bool        // Check found no repository, which Run is to make
	begun  bool        // Run has begun
	key    *sign.Key   // once read
}

// New makes the step.
func New(c Config, d Deps) *Step {
	if c.Login == loginFresh {
		d.Logins = ""
	}
	return &Step{config: c, deps: d, keys: newKeychain(d)}
}

// Name implements runner.Step.
func (*Step) Name() string { return "push" }

// validTag is the distribution specification's grammar.
var validTag = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// Check looks at the names, logs in to the registry and reads the repository.
func (s *Step) Check(ctx context.Context) error {
	repo, err := s.parse()
	if err == nil {
		err = s.checkFiles(ctx)
	}
	if err != nil {
		return err
	}
	if _, err := s.signer(ctx); err != nil {
		return err
	}
	r, err := s.connect(ctx, repo)
	if err == nil {
		err = s.look(ctx, r)
	}
	return registry.Explain(fault.Missing, "push to", repo, repo.Registry, err)
}

// look reads the tag that tells most: the one of this machine's last push.
func (s *Step) look(ctx context.Context, r *repository) error {
	tag := cmp.Or(r.memory.last(r.repo.RepositoryStr()).Tag, append(s.config.Tags, "latest")[0])
	absent, err := r.look(ctx, tag)
	if err != nil || !absent {
		return err
	}
	if !s.config.Create {
		return r.errAbsent()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent = true
	return nil
}

const (
	loginKept  = "kept"
	loginFresh = "fresh"
)

func (s *Step) parse() (name.Repository, error) {
	for _, tag := range s.config.Tags {
		if !validTag.MatchString(tag) {
			return name.Repository{}, fault.New(fault.BadInput, "a tag has letters, digits, _ . and -, at most 128", "image.tags: %q is no tag", tag)
		}
	}
	if !slices.Contains([]string{"", loginKept, loginFresh}, s.config.Login) {
		return name.Repository{}, fault.New(fault.BadInput, "write kept or fresh", "image.login: %q is neither kept nor fresh", s.config.Login)
	}
	repo, err := registry.ParseRepository("image.repository", s.config.Repository, s.options())
	if err != nil {
		return repo, err
	}
	return repo, s.config.Scan.check(repo.RegistryStr())
}

func (s *Step) options() registry.Options {
	return registry.Options{
		Insecure: s.config.Insecure, Keychain: s.keys, Refused: s.keys.reject,
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
	host := repo.RegistryStr()
	r := &repository{repo: repo, memory: openMemory(s.deps.State, host), patience: s.deps.patience}
	options := s.options()
	options.Known = r.memory.read().Known
	options.Learnt = func(k registry.Known) { r.memory.change(func(n *notes) { n.Known = &k }) }
	if region, ok := parseECR(host); ok {
		r.api, r.chunk = newECR(s.deps, host, region), ecrChunk
		options.Known = &registry.Known{Basic: true} // as ECR's documentation has it
	}
	client, err := registry.Connect(ctx, repo, transport.PushScope, options)
	if err != nil {
		return nil, err
	}
	if client.Known != nil {
		r.memory.change(func(n *notes) { n.Known = client.Known })
	}
	r.http.Transport = client.Transport
	s.remote = r
	return r, nil
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
		plan.Lines = append([]string{fmt.Sprintf("push the image to %s, %s: the blobs that are missing there", repo, named)}, s.config.Sign.plan()...)
		return plan, nil
	}
	plan.Out.Reference = repo.Name() + "@" + in.Digest
	r, err := s.connect(ctx, repo)
	if err != nil {
		return plan, registry.Explain(fault.Missing, "push to", repo, repo.Registry, err)
	}
	left := tags
	if s.absent {
		plan.Lines = append(plan.Lines, fmt.Sprintf("create the repository %s", repo))
	} else {
		left, err = r.unlike(ctx, tags, in.Digest)
	}
	switch {
	case err != nil:
		return plan, registry.Explain(fault.Missing, "push to", repo, repo.Registry, err)
	case len(left) == 0:
		plan.Lines = append(plan.Lines, fmt.Sprintf("nothing to push: %s@%s is there, %s", repo, in.Digest, named))
	default:
		plan.Lines = append(plan.Lines, fmt.Sprintf("push %s to %s, %s: the blobs that are missing there", in.Digest, repo, named))
		plan.Lines = append(plan.Lines, s.config.Sign.plan()...)
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
	if err == nil {
		err = s.writeFiles(ctx, env, r.Out.Reference)
	}
	if err != nil && ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	return r, registry.Explain(fault.ImageFailed, "push to", repo, repo.Registry, err)
}

func (s *Step) run(ctx context.Context, env runner.Env, repo name.Repository, in In) (r runner.Result[Out], err error) {
	end := s.begin(ctx)
	defer func() { r.Out.add(end()) }() // what was sent early, where the push did not come to that
	tags := s.tags(in)
	r.Out = Out{Reference: repo.Name() + "@" + in.Digest, Tags: tags}
	key, err := s.signer(ctx)
	if err != nil {
		return r, err
	}
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
	defer s.save(env, remote)
	defer func() {
		if remote.ahead.unused() {
			env.Background("take back uploads that were opened for nothing", func(ctx context.Context) error {
				remote.withdraw(ctx)
				return nil
			})
		}
	}()
	if err := s.create(ctx, env, remote); err != nil {
		return r, err
	}
	left, err := remote.unlike(ctx, tags, in.Digest)
	if err != nil {
		return r, err
	}
	if len(left) > 0 {
		err = s.send(ctx, env, remote, image, left, &r.Out)
	} else if err = s.gate(ctx, env, remote, in.Digest); err == nil {
		r.Status, r.Reason, r.Out.Reused = runner.Cached, "already there", len(image.blobs)
		env.Emit(runner.Note{Text: fmt.Sprintf("%s is there already, tagged %s", r.Out.Reference, strings.Join(tags, ", "))})
	}
	if err != nil {
		return r, err
	}
	remote.memory.pushed(repo.RepositoryStr(), tags[0], image)
	switch {
	case key == nil:
		s.attachLater(env, remote, image.root)
	case len(left) == 0: // signed by an earlier run, if it came that far
		return r, s.attach(ctx, env, remote, image.root, key)
	}
	return r, nil
}

// create makes the repository that Check did not find.
func (s *Step) create(ctx context.Context, env runner.Env, r *repository) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.absent {
		return nil
	}
	if err := r.api.create(ctx, r.repo.RepositoryStr()); err != nil {
		return err
	}
	s.absent = false
	env.Emit(runner.Note{Text: fmt.Sprintf("created the repository %s", r.repo)})
	return nil
}

// save keeps what was learnt for the next run.
func (s *Step) save(env runner.Env, r *repository) {
	if err := errors.Join(r.memory.save(), s.keys.keep()); err != nil {
		env.Emit(runner.Warning{Text: fmt.Sprintf("remember the registry: %v; the next run asks it again", err)})
	}
}

// send brings blobs, manifests and tags to the registry, in this order, and
// tells. What was taken for there on the word of an earlier answer, and turns
// out not to be, is sent after all.
func (s *Step) send(ctx context.Context, env runner.Env, r *repository, i image, tags []string, out *Out) error {
	if i.base != nil && i.base.repo.RegistryStr() == r.repo.RegistryStr() {
		base := i.base.repo.RepositoryStr()
		r.base.Store(&base)
	}
	if err := r.send(ctx, env, i, out); err != nil {
		return err
	}
	err := s.name(ctx, env, r, i, tags)
	if lacksBlobs(err) {
		env.Emit(runner.Note{Text: "the registry lacks blobs that it had, or said it had: looking at each"})
		r.seen = view{}
		r.memory.change(func(n *notes) { n.NoSingle = true })
		if err := r.sendSurely(ctx, env, i, out); err != nil {
			return err
		}
		err = s.name(ctx, env, r, i, tags)
	}
	if err != nil {
		return err
	}
	env.Emit(runner.Note{Text: fmt.Sprintf("pushed %s, tagged %s: %d blobs sent (%s), %d there already", out.Reference, strings.Join(out.Tags, ", "), out.Blobs, sizes.Text(out.Bytes), out.Reused)})
	return nil
}

// name stores the manifests: those of an index first, then the image's own
// under its tags. With a gate, the tags come after the scan, and with a key
// after the signatures: nobody finds the image under a tag before.
func (s *Step) name(ctx context.Context, env runner.Env, r *repository, i image, tags []string) error {
	for _, child := range i.children {
		if _, err := r.putManifest(ctx, child.digest, child); err != nil {
			return err
		}
	}
	key, err := s.signer(ctx)
	if err != nil {
		return err
	}
	if s.config.Scan.Fail != "" || key != nil {
		if _, err := r.putManifest(ctx, i.root.digest, i.root); err != nil {
			return err
		}
	}
	if s.config.Scan.Fail != "" {
		if err := s.gate(ctx, env, r, i.root.digest); err != nil {
			return err
		}
	}
	if key != nil {
		if err := s.attach(ctx, env, r, i.root, key); err != nil {
			return err
		}
	}
	for _, t := range tags {
		if err := r.tag(ctx, i.root, t); err != nil {
			return err
		}
	}
	return nil
}

// lacksBlobs tells that a manifest was refused for what it consists of, as far
// as that can be told: registries differ in the code.
func lacksBlobs(err error) bool {
	if fault.ClassOf(err) != fault.Internal || registry.HasCode(err, transport.NameUnknownErrorCode) || registry.HasCode(err, transport.NameInvalidErrorCode) || registry.HasCode(err, transport.TagInvalidErrorCode) {
		return false
	}
	status := registry.StatusOf(err)
	return status == http.StatusNotFound || status == http.StatusBadRequest
}
