package image

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/sizes"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/train"
	"github.com/fastship/fastship/stages/internal/oci"
)

// Values of Config.Train.
const (
	trainAuto  = "auto"
	trainFull  = "full"
	trainNever = "never"
)

// trainedLayer is the role of the archive's layer.
const trainedLayer = "cds"

// After how long a training that failed, or took too long, is tried once more.
const (
	tryAgain     = 24 * time.Hour
	tryAgainSlow = time.Hour
)

// trained is what training came to: an archive, or the reason why there is
// none, so that it is not tried again at every run.
type trained struct {
	train.Archive
	Reason string    `json:"reason,omitempty"`
	Slow   bool      `json:"slow,omitempty"` // the reason is that time ran out
	At     time.Time `json:"at"`
}

// stale tells that a failure is so long ago that it may go well now.
func (t trained) stale() bool {
	wait := tryAgain
	if t.Slow {
		wait = tryAgainSlow
	}
	return t.Reason != "" && time.Since(t.At) > wait
}

// train gives the application its archive on each base: the one of its key,
// or, where the image goes to a registry or each change is to be trained, one
// made now. It tells how many layers had to be written. An archive only ever
// makes the start faster, so that no fault of training fails the image.
func (s *Step) train(ctx context.Context, env runner.Env, app application, below []base) (written int, err error) {
	if s.config.Train == trainNever || app.Launch == nil {
		return 0, nil
	}
	for i := range below {
		b := &below[i]
		b.archive = nil
		if why := s.unfit(app.Launch, *b); why != "" {
			env.Emit(runner.Note{Text: "the start is not trained: " + why})
			continue
		}
		more, err := s.trainOn(ctx, env, app, b)
		if err != nil {
			return 0, err
		}
		written += more
	}
	return written, nil
}

func (s *Step) trainOn(ctx context.Context, env runner.Env, app application, b *base) (written int, err error) {
	below := *b
	key := s.trainedKey(app.Launch, below)
	got, _, ok := cache.Lookup[trained](ctx, s.deps.Cache, key)
	if !ok || got.stale() {
		if !s.trainsNow() {
			return 0, nil
		}
		if got, err = s.trainNow(ctx, env, app, below); err != nil {
			return 0, err
		}
		if got.At.IsZero() {
			return 0, nil // skipped, for a reason of this machine
		}
		var blobs []cache.Descriptor
		if got.Reason == "" {
			blobs, written = []cache.Descriptor{got.Layer.Descriptor}, 1
		}
		cache.Keep(ctx, s.deps.Cache, key, got, blobs)
	} else if got.Reason != "" {
		env.Emit(runner.Note{Text: "the start is not trained: " + got.Reason})
	}
	if got.Reason == "" {
		b.archive = &got.Layer
	}
	return written, nil
}

// trainsNow says whether an archive that is not there yet is made in this run.
// An image that stays on this machine is not worth the wait.
func (s *Step) trainsNow() bool { return s.config.Pushed || s.config.Train == trainFull }

func (s *Step) whole() bool { return s.config.Train == trainFull }

// unfit tells why this application cannot have an archive on this base; empty
// when it can.
func (s *Step) unfit(l *launch, below base) string {
	config := s.containerConfig(below)
	switch {
	case len(s.config.Entrypoint) > 0:
		return "image.entrypoint starts something else than the application"
	case l.Never != "":
		return l.Never
	case !s.whole() && l.Behind != "":
		return l.Behind
	case below.release > 0 && below.release < train.OldestJava:
		return fmt.Sprintf("the base has Java %d, and archives of the class path come with %d", below.release, train.OldestJava)
	case below.platform.Architecture != runtime.GOARCH:
		return fmt.Sprintf("this machine (%s) cannot run an image for %s", runtime.GOARCH, platformName(below.platform))
	}
	return train.Unfit(s.config.JVM, config.Env)
}

// containerConfig is the config that the image will have, as far as a start
// depends on it.
func (s *Step) containerConfig(below base) v1.Config {
	config := below.config
	config.User, config.WorkingDir = userOf(below.config.User), "/"+home
	_ = s.config.apply(&config) // Check has held it against its grammar
	return config
}

// trainedKey names an archive by everything that it depends on. The
// application is not part of it, unless its classes are.
func (s *Step) trainedKey(l *launch, below base) cache.Key {
	config := s.containerConfig(below)
	diffIDs := make([]string, len(below.layers))
	for i, layer := range below.layers {
		diffIDs[i] = string(layer.DiffID)
	}
	key := cache.NewKey("image trained", train.Version).Add("base", diffIDs).Add("java", below.java).
		Add("environment", config.Env).Add("base flags", below.flags).Add("flags", s.config.JVM).Add("user", config.User).
		Add("jars", s.config.packing()).Add("codec", s.config.baseCodec().Name).Add("libraries", l.Libraries)
	if s.whole() {
		key = key.Add("others", l.Others).Add("application", string(l.App)).Add("arguments", s.config.Args)
	}
	return key.Key()
}

// trainNow trains, and tells so. Its time is zero when this machine cannot.
func (s *Step) trainNow(ctx context.Context, env runner.Env, app application, below base) (trained, error) {
	start := time.Now()
	if err := s.bringForTraining(ctx, env, below); err != nil {
		return s.untrained(ctx, env, err)
	}
	if err := container.Available(ctx); err != nil {
		return s.untrained(ctx, env, err)
	}
	env.Emit(runner.Note{Text: "training the start: once for these libraries and this base"})
	archive, err := train.Run(ctx, s.trainRequest(env, app, below))
	if err != nil {
		return s.untrained(ctx, env, err)
	}
	archive.Layer.Descriptor.Name = trainedLayer
	env.Emit(runner.Note{Text: fmt.Sprintf("trained the start in %.1f s: %d classes, %s compressed; %s",
		time.Since(start).Seconds(), archive.Classes, sizes.Text(archive.Layer.Descriptor.Size), archive.Start)})
	return trained{Archive: archive, At: time.Now().UTC()}, nil
}

// bringForTraining fetches a base that the push would have left in its
// registry, but only for who has asked for training.
func (s *Step) bringForTraining(ctx context.Context, env runner.Env, below base) error {
	if !below.lazy {
		return nil
	}
	ref, err := s.find(ctx, below.platform)
	if err != nil {
		return fmt.Errorf("fetch the base: %w", err)
	}
	if !s.whole() && len(s.present(ctx, below, descriptorsOf(below.layers))) < len(below.layers) {
		return fault.New(fault.Missing, "image.train: full fetches them", "the base's layers are left in their registry")
	}
	_, err = s.bring(ctx, &ref, below.layers, env.Emit)
	if err != nil {
		return fmt.Errorf("fetch the base: %w", err)
	}
	return nil
}

func descriptorsOf(layers []oci.Layer) []cache.Descriptor {
	all := make([]cache.Descriptor, len(layers))
	for i, l := range layers {
		all[i] = l.Descriptor
	}
	return all
}

func (s *Step) untrained(ctx context.Context, env runner.Env, err error) (trained, error) {
	refused, isRefused := errors.AsType[*train.Refused](err)
	switch {
	case ctx.Err() != nil:
		return trained{}, context.Cause(ctx)
	case lost(err):
		return trained{}, err // build makes the layer again
	case isRefused:
		env.Emit(runner.Warning{Text: "the start could not be trained, the image goes without: " + refused.Reason})
		return trained{Reason: refused.Reason, Slow: refused.Slow, At: time.Now().UTC()}, nil
	case fault.ClassOf(err) == fault.Missing:
		env.Emit(runner.Note{Text: fmt.Sprintf("the start is not trained: %v (%s)", err, fault.HintOf(err))})
		return trained{}, nil
	}
	env.Emit(runner.Warning{Text: fmt.Sprintf("the start could not be trained, the image goes without: %v", err)})
	return trained{}, nil
}

func (s *Step) trainRequest(env runner.Env, app application, below base) train.Request {
	config := s.containerConfig(below)
	r := train.Request{
		Store: s.deps.Cache.Blobs, Layers: slices.Concat(below.layers, app.Layers), Codec: s.config.baseCodec().Within(s.budget),
		Java: below.java, Release: below.release, Env: config.Env, User: config.User, Dir: config.WorkingDir,
		Base: below.flags, Flags: s.config.JVM, Options: app.Launch.options(below.release), Main: app.Launch.Main, Args: config.Cmd,
		App: "/" + home + "/app.jar", Whole: s.whole(), Emit: env.Emit,
	}
	for _, l := range app.Launch.Libraries {
		r.Libraries = append(r.Libraries, "/"+l.Path)
	}
	for _, l := range app.Launch.Others {
		r.Others = append(r.Others, "/"+l.Path)
	}
	return r
}

// withArchive puts the archive's layer above the released libraries, where
// only they and the base move it; one of a whole application on top.
func (s *Step) withArchive(app application, b base) application {
	if b.archive == nil {
		return app
	}
	at := len(app.Layers)
	for i, l := range app.Layers {
		if !s.whole() && strings.HasPrefix(l.Descriptor.Name, appjar.Dependencies) {
			at = i + 1
		}
	}
	app.Layers = slices.Insert(slices.Clone(app.Layers), at, *b.archive)
	return app
}

// planTrain says in a dry run what would become of the start.
func (s *Step) planTrain() string {
	switch s.config.Train {
	case trainNever:
		return ""
	case trainFull:
		return "train the start of this very application, unless that is cached"
	}
	if s.config.Pushed {
		return "train the start over the released libraries, unless that is cached"
	}
	return "take the trained start of these libraries, if one is cached"
}

// entrypoint starts the jar itself, unless there is an archive over libraries,
// which want to come first: only so does the JVM read all of its manifest
// (Class-Path, Add-Opens, Launcher-Agent-Class). There are no flags but the
// user's, because a flag here cannot be replaced by JAVA_TOOL_OPTIONS at run
// time.
func (s *Step) entrypoint(l *launch, b base) []string {
	jar := []string{"-jar", "/" + home + "/app.jar"}
	java := slices.Concat([]string{b.java}, b.flags)
	switch {
	case b.archive == nil:
		return slices.Concat(java, s.config.JVM, jar)
	case s.whole():
		return slices.Concat(java, train.Arguments(), s.config.JVM, jar)
	}
	return slices.Concat(java, train.Arguments(), s.config.JVM, l.options(b.release), []string{l.Main})
}

// checkTrain holds image.train against its values.
func (c Config) checkTrain() error {
	if !slices.Contains([]string{"", trainAuto, trainFull, trainNever}, c.Train) {
		return fault.New(fault.BadInput, "write auto, full or never", "image.train: %q is none of auto, full and never", c.Train)
	}
	return nil
}
