// Package road is the wiring: which stages a run has and how one's output
// becomes the next one's input.
package road

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fastship/fastship/cmd/internal/spec"
	"github.com/fastship/fastship/internal/ci"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image"
)

// The stages, in the order of the road.
const (
	stageSource  = "source"
	stageMaven   = "maven"
	stageImage   = "image"
	stagePush    = "push"
	stageRollout = "rollout"
)

// StageNames lists the stages in the order of the road.
func StageNames() []string {
	return []string{stageSource, stageMaven, stageImage, stagePush, stageRollout}
}

// Options are one run as the command line asks for it.
type Options struct {
	Dir         string // the project's folder, absolute
	Spec        *spec.Spec
	Environ     []string
	Home        string // the user's home folder, empty when there is none
	CacheDir    string // absolute
	CacheBytes  int64  // the cache's size cap; 0 for its default
	CI          ci.Info
	DryRun      bool
	Sandbox     bool
	Keep        bool // go on serving in the sandbox until ctx ends
	Force       bool
	Explain     bool   // say which part of a key differs from the last run's
	From, Until string // names of stages, or empty
	// Jar is what the image is made of instead of what Maven builds; nil for
	// the whole road. Such a run is not recorded.
	Jar *image.In
	// CopyLayout is a folder, absolute, for a second OCI layout; empty for none.
	CopyLayout string
	// Whole says that the layout is wanted with every layer, though the image
	// is one that would be pushed.
	Whole bool
	// Secret is told what must not be shown, as it is found.
	Secret func(values ...string)
	// Ask asks a person a question that has a yes or no; nil where nobody is.
	Ask func(ctx context.Context, question string) bool
}

// stateDir is where a project keeps what fastship made of it.
func (o Options) stateDir() string { return filepath.Join(o.Dir, ".fastship") }

// recordDir is where the runs of one environment are remembered, apart from
// those of others.
func (o Options) recordDir() string { return envDir(o.stateDir(), o.Spec.Env) }

// RecordDir is where the runs of the project in dir are remembered for an
// environment (empty: none).
func RecordDir(dir, env string) string { return envDir(Options{Dir: dir}.stateDir(), env) }

func envDir(stateDir, env string) string {
	if env == "" {
		return stateDir
	}
	return filepath.Join(stateDir, "envs", env)
}

// Run takes the project along the road and returns what came of it, also
// when an error comes with it.
func Run(ctx context.Context, opt Options, emit func(runner.Event)) (Result, error) {
	result := Result{Schema: ResultSchema, Run: newRunID(), Environment: opt.Spec.Env}
	tell := func(body runner.Body) { emit(runner.Event{Time: time.Now(), Body: body}) }
	memory, err := openMemory(opt, tell)
	if err != nil {
		return result, err
	}
	record, err := readRecord(opt.recordDir())
	if err != nil && opt.From != "" {
		return result, err
	}
	if !opt.DryRun {
		defer memory.close(context.WithoutCancel(ctx))
	}
	place := &place{opt: opt, memory: &memory.Cache, tell: tell}
	defer place.close(context.WithoutCancel(ctx))
	b, err := build(opt, memory, place)
	if err != nil {
		return result, err
	}
	tell(runner.RunStarted{ID: result.Run, Stages: b.Names()})
	tellScope(opt, tell)
	options := runner.Options{
		Emit: emit, From: opt.From, Until: opt.Until, Given: record,
		Begin: func() error { return begin(ctx, opt, memory, place) },
	}
	if opt.DryRun {
		return result, b.Plan(ctx, options)
	}
	report, err := b.Run(ctx, options)
	err = cmp.Or(err, result.fill(report))
	if hasRun(report) && opt.Jar == nil {
		err = cmp.Or(err, writeRecord(opt.recordDir(), report))
	}
	if err == nil && result.Rollout != nil && place.seen != nil {
		result.Sandbox, err = place.answer(ctx, result.Jar)
	}
	return result, err
}

// begin is the first moment at which a run writes.
func begin(ctx context.Context, opt Options, memory *memory, place *place) error {
	if err := makeStateDir(opt.stateDir()); err != nil {
		return fault.New(fault.Missing, "make the project's folder writable", "%w", err)
	}
	if err := memory.try(ctx); err != nil {
		return err
	}
	if !opt.Sandbox {
		return nil
	}
	return place.open(ctx)
}

// hasRun tells whether any stage began, which is when there is something to
// record.
func hasRun(report runner.Report) bool {
	return slices.ContainsFunc(report.Steps, func(s runner.StepReport) bool { return s.Seconds > 0 })
}

// makeStateDir makes the folder that git, and the source's identity, leave
// out, and tries that it can be written to.
func makeStateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, ".gitignore"), []byte("*\n"))
}

// newRunID is unique enough to tell runs in one log apart: the time to the
// second and 24 random bits.
func newRunID() string {
	var b [3]byte
	rand.Read(b[:])
	return time.Now().UTC().Format("20060102-150405-") + hex.EncodeToString(b[:])
}
