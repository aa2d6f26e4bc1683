package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/sizes"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/extra"
	"github.com/fastship/fastship/stages/image/jre"
	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// Step makes the image.
type Step struct {
	config Config
	deps   Deps

	settled sync.Once   // the compression
	budget  *oci.Budget // of all that is compressed

	foreseen chan []Foreseen // one message at most

	mu       sync.Mutex
	found    map[string]reference // the base by platform, once it is resolved
	checked  []target             // as Check found them, with a jlink base
	prepared *prepared            // nil when there is nothing, or it was taken
	running  bool                 // Run has begun
	ahead    *ahead               // nil when nothing was made ahead
	below    []base               // of the image that was made
	// attachments are those of the image that was made, nil before.
	attachments func(context.Context) ([]Attachment, error)
}

// New makes the step.
func New(c Config, d Deps) *Step {
	c.Base = cmp.Or(c.Base, jlink)
	if d.Getenv == nil {
		d.Getenv = func(string) (string, bool) { return "", false }
	}
	return &Step{config: c, deps: d, budget: oci.NewBudget(0), foreseen: make(chan []Foreseen, 1)}
}

// Name implements runner.Step.
func (*Step) Name() string { return "image" }

// Check looks at everything but the jar: flags, the layout's folder, and
// whether the base can be had.
func (s *Step) Check(ctx context.Context) error {
	for _, flag := range s.config.JVM {
		if !strings.HasPrefix(flag, "-") && !strings.HasPrefix(flag, "@") {
			return fault.New(fault.BadInput, "write each flag as one list item, such as -Xmx512m", "image.jvm: %q is no JVM flag: java would take it for the main class", flag)
		}
	}
	if !slices.Contains([]string{"", jarsStored, jarsVerbatim}, s.config.Jars) {
		return fault.New(fault.BadInput, "write stored or verbatim", "image.jars: %q is neither stored nor verbatim", s.config.Jars)
	}
	if !slices.Contains([]string{"", compressionAuto, compressionGzip, compressionZstd}, s.config.Compression) {
		return fault.New(fault.BadInput, "write auto, gzip or zstd", "image.compression: %q is none of auto, gzip and zstd", s.config.Compression)
	}
	if err := s.config.checkTrain(); err != nil {
		return err
	}
	if err := s.config.check(s.config.Base, s.config.JVM); err != nil {
		return err
	}
	if err := extra.Check(ctx, s.config.Dir, s.config.Files); err != nil {
		return err
	}
	if err := s.config.Outputs.check(ctx, s.deps.Getenv); err != nil {
		return err
	}
	return s.checkBase(ctx)
}

// checkBase tells whether the base can be had for every platform.
func (s *Step) checkBase(ctx context.Context) error {
	platforms, err := s.platforms(ctx)
	if err != nil {
		return err
	}
	if s.config.Base != jlink {
		if err := s.jlinkOnly(); err != nil {
			return err
		}
		for _, p := range platforms {
			if _, err := s.find(ctx, p); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := s.certificates(); err != nil {
		return err
	}
	if s.deps.JDK == nil {
		return nil
	}
	java, err := s.deps.JDK(ctx)
	if err != nil || java == "" {
		return err
	}
	targets, err := s.targets(ctx, java)
	s.mu.Lock()
	s.checked = targets
	s.mu.Unlock()
	return err
}

// jlinkOnly refuses what another base cannot have.
func (s *Step) jlinkOnly() error {
	for key, set := range map[string]bool{
		"modules": len(s.config.Modules) > 0, "jdks": len(s.config.JDKs) > 0,
		"certificates": len(s.config.Certificates) > 0, "debug": s.config.Debug,
	} {
		if set {
			return fault.New(fault.BadInput, "leave image."+key+" out, or set image.base: jlink", "image.%s goes with the jlink base; %s has what it has", key, s.config.Base)
		}
	}
	return nil
}

// Plan tells what would be built and what is cached already.
func (s *Step) Plan(ctx context.Context, in In) (runner.Plan[Out], error) {
	plan, err := s.plan(ctx, in)
	plan.Lines = slices.Concat(plan.Lines, s.planExtras(ctx), s.config.Outputs.lines())
	return plan, err
}

func (s *Step) plan(ctx context.Context, in In) (runner.Plan[Out], error) {
	s.settle(ctx)
	plan := runner.Plan[Out]{Out: Out{Layout: s.config.Layout}}
	platforms, err := s.platforms(ctx)
	if err != nil {
		return plan, err
	}
	plan.Out.Platform = platformName(platforms[0])
	baseLine, err := s.planBase(ctx, in, platforms)
	if err != nil {
		return plan, err
	}
	say := func(format string, args ...any) { plan.Lines = append(plan.Lines, fmt.Sprintf(format, args...)) }
	if in.Jar.Name == "" {
		say("make an image of the jar that Maven builds, in %s", s.config.Layout)
		say("%s", baseLine)
		return plan, nil
	}
	app, err := appjar.Open(ctx, in.Jar.Name, s.options(in, in.stamps(s.deps.State)))
	if err != nil {
		if _, statErr := os.Stat(in.Jar.Name); errors.Is(statErr, fs.ErrNotExist) {
			say("make an image of %s, once it is built, in %s", in.Jar.Name, s.config.Layout)
			say("%s", baseLine)
			return plan, nil
		}
		return plan, err
	}
	defer app.Close()
	plan.Out.Kind = app.Kind
	say("make an image of %s (%s) in %s", in.Jar.Name, app.Kind, s.config.Layout)
	say("%s", baseLine)
	roles, files, err := planLayers(app)
	if err != nil {
		return plan, err
	}
	for _, role := range roles {
		verb := "write"
		if _, _, ok := cache.Lookup[madeLayer](ctx, s.deps.Cache, s.layerKey(files[role])); ok {
			verb = "take from the cache"
		}
		say("%s layer %s: %s", verb, role, contents(files[role]))
	}
	if line := s.planTrain(); line != "" {
		say("%s", line)
	}
	return plan, nil
}

func contents(files []layerFile) string {
	var size int64
	for _, f := range files {
		size += f.size
	}
	if len(files) == 1 {
		return fmt.Sprintf("%s, %s", filepath.Base(files[0].Path), sizes.Text(size))
	}
	return fmt.Sprintf("%d jars, %s", len(files), sizes.Text(size))
}

func (s *Step) planBase(ctx context.Context, in In, platforms []v1.Platform) (string, error) {
	if s.config.Base == jlink {
		if in.JavaHome == "" {
			return "link a Java runtime from the JDK that builds the jar, unless one is cached", nil
		}
		targets, err := s.targets(ctx, in.JavaHome)
		var from []string
		for _, t := range targets {
			from = append(from, fmt.Sprint(t.jdk))
		}
		return fmt.Sprintf("link a Java runtime from %s, unless one is cached", strings.Join(from, ", and another from ")), err
	}
	var parts []string
	for _, p := range platforms {
		ref, err := s.find(ctx, p)
		if err != nil {
			return "", err
		}
		verb := "fetch"
		if s.config.leavesBase() && ref.ref != nil {
			verb = "stand on"
		} else if s.haveBase(ctx, ref.digest, p) {
			verb = "take from the cache"
		}
		parts = append(parts, fmt.Sprintf("%s the base %s", verb, pinned(ref.name, ref.digest.String())))
	}
	return strings.Join(parts, ", "), nil
}

// Run makes the image and its layout.
func (s *Step) Run(ctx context.Context, env runner.Env, in In) (runner.Result[Out], error) {
	var r runner.Result[Out]
	s.settle(ctx)
	targets, err := s.targets(ctx, in.JavaHome)
	if err != nil { // before any work
		return r, err
	}
	targets = s.again(targets)
	ahead := s.takeAhead()
	before, _ := oci.ReadLayout(s.config.Layout, "")
	coming := s.coming(ctx, len(targets)+1) // a config for each platform, and a layer
	defer coming.end(env)
	defer ahead.end(env)
	out, written, err := s.make(ctx, env, in, targets, ahead, coming)
	if err != nil {
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		return r, fault.As(fault.ImageFailed, fmt.Errorf("make the image: %w", err))
	}
	r.Out = out
	s.attest(env, in, out)
	if written == 0 && string(before.Manifest.Digest) == out.Digest {
		r.Status, r.Reason = runner.Cached, "the same image is in the layout"
	}
	env.Emit(runner.Note{Text: fmt.Sprintf("%s image on %s: %d layers, %s, %d of them new", out.Kind, out.Base, len(out.Layers), sizes.Text(out.Size), written)})
	if err := s.deliver(ctx, env, in, out); err != nil {
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		return r, fault.As(fault.ImageFailed, err)
	}
	return r, nil
}

// entryMemory is what an entry of the open jar takes, bytes: nothing for most
// applications, 28 MB for one of 70,000 entries.
const entryMemory = 400

// make makes the image of what is known of the jar, else reads the jar. It
// returns how many layers had to be made.
func (s *Step) make(ctx context.Context, env runner.Env, in In, targets []target, ahead *ahead, coming *coming) (Out, int, error) {
	book := in.stamps(s.deps.State)
	defer book.Save()
	key := s.name(book, in, targets)
	if app, ok := s.recall(ctx, key); ok {
		app.warn(env)
		app.note(env)
		below, err := s.bases(ctx, env, targets, app.Needs)
		if err != nil && !lost(err) {
			return Out{}, 0, err
		}
		if err == nil {
			err = s.judge(ctx, env, in, nil, app, below)
			if err != nil && !lost(err) {
				return Out{}, 0, err
			}
		}
		if err == nil {
			out, written, err := s.finish(ctx, env, in, book, app, below, 0, coming)
			if !lost(err) {
				return out, written, err
			}
		}
	}
	libraries := openReleased(s.deps.State)
	options := s.options(in, book)
	options.Known = func(e appjar.Entry) cache.Digest { return cmp.Or(libraries.digest(e), ahead.digest(e)) }
	jar, err := appjar.Open(ctx, in.Jar.Name, options)
	if err != nil {
		return Out{}, 0, err
	}
	defer jar.Close()
	release, err := s.budget.Reserve(ctx, int64(len(jar.Archive().File))*entryMemory)
	if err != nil {
		return Out{}, 0, err
	}
	defer release()
	app := application{Kind: jar.Kind, Release: jar.Release, Warnings: jar.Warnings}
	app.warn(env)
	out, written, err := s.build(ctx, env, in, targets, book, jar, &app, ahead, coming)
	if lost(err) {
		// Between look-up and use a blob was evicted or found to be broken,
		// and is out of the cache now: what is missing is made again.
		env.Emit(runner.Warning{Text: fmt.Sprintf("the cache lost a layer, making it again: %v", err)})
		out, written, err = s.build(ctx, env, in, targets, book, jar, &app, nil, coming)
	}
	if err == nil {
		app.note(env)
		libraries.learn(jar)
		s.remember(ctx, book, key, in, jar, app)
	}
	return out, written, err
}

func (s *Step) options(in In, book *stamp.Book) appjar.Options {
	return appjar.Options{Main: s.config.Main, Stored: s.config.Jars != jarsVerbatim, Snapshots: in.Snapshots, Modules: in.Modules, Digest: book.Digest}
}

// build reads the jar and makes base and layers side by side, then the image
// of them.
func (s *Step) build(ctx context.Context, env runner.Env, in In, targets []target, book *stamp.Book, jar *appjar.App, app *application, ahead *ahead, coming *coming) (Out, int, error) {
	var (
		below   []base
		written int
	)
	watch := ahead.sights()
	if watch == nil && s.config.Base == jlink && s.config.packing() != jarsVerbatim && runtime.GOMAXPROCS(0) <= watching {
		watch = jre.NewWatch(jars(jar))
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if s.config.Base == jlink {
			linker := targets[0].linker
			if app.Needs, err = jre.Inspect(groupCtx, s.deps.Cache, linker, jars(jar), s.modules(linker), watch); err != nil {
				return err
			}
		}
		if below, err = s.bases(groupCtx, env, targets, app.Needs); err == nil && s.config.Base == jlink {
			for _, b := range below { // another one's are brought by its registry, or by the push
				coming.has(b.layers...)
			}
		}
		return err
	})
	group.Go(func() (err error) {
		defer watch.Close()
		written, err = s.makeLayers(groupCtx, jar, app, ahead, coming, watch)
		return err
	})
	group.Go(func() (err error) {
		app.Newest, err = s.newestLibrary(groupCtx, jar)
		return err
	})
	if err := group.Wait(); err != nil {
		return Out{}, 0, err
	}
	if err := s.judge(ctx, env, in, jar, *app, below); err != nil {
		return Out{}, 0, err
	}
	return s.finish(ctx, env, in, book, *app, below, written, coming)
}

// finish puts the application on its bases, and the user's files on top.
// written are the application's new layers.
func (s *Step) finish(ctx context.Context, env runner.Env, in In, book *stamp.Book, app application, below []base, written int, coming *coming) (Out, int, error) {
	for _, b := range below {
		if err := app.fits(in, b); err != nil {
			return Out{}, 0, err
		}
		app.Newest.warn(env, b)
		if !b.cached {
			written += len(b.layers)
		}
	}
	files, more, err := s.extras(ctx, book)
	if err != nil {
		return Out{}, 0, err
	}
	s.config.warnOfPages(env, app.Layers)
	app.Layers = slices.Concat(app.Layers, files)
	coming.has(files...)
	trained, err := s.train(ctx, env, app, below)
	if err != nil {
		return Out{}, 0, err
	}
	for _, b := range below {
		if b.archive != nil {
			coming.has(*b.archive)
		}
	}
	out, err := s.assemble(ctx, in, app, below)
	s.mu.Lock()
	s.below = below
	s.mu.Unlock()
	if err == nil {
		s.keepMade(out, app)
		s.keepNeeds(app.Needs)
	}
	return out, written + more + trained, err
}
