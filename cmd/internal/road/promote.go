package road

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/push"
	"github.com/fastship/fastship/stages/rollout"
)

// Promotion is an image that a run built and pushed before.
type Promotion struct {
	Image string // repository@sha256:…
	// Of is the result of that run, where it is known: what it says of the
	// source and the image stays true.
	Of *Result
}

// ReadResult reads the result file of the run whose image is to be promoted.
// Errors are of class fault.BadInput.
func ReadResult(file string) (Promotion, error) {
	bad := func(hint, format string, args ...any) (Promotion, error) {
		return Promotion{}, fault.New(fault.BadInput, hint, "--from-result "+file+": "+format, args...)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return bad("name a file that fastship run --result wrote", "%w", err)
	}
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		return bad("name a file that fastship run --result wrote", "it is no result: %w", err)
	}
	switch {
	case r.Schema != ResultSchema:
		return bad("write it with this version of fastship", "its schema is %d, this fastship reads %d", r.Schema, ResultSchema)
	case r.ExitCode != 0:
		return bad("give its image by --image to deploy it all the same", "that run failed (exit code %d): %s", r.ExitCode, r.Cause)
	case r.Image == nil || r.Image.Reference == "":
		return bad("set image.repository, so that a run pushes", "that run pushed no image")
	}
	return Promotion{Image: r.Image.Reference, Of: &r}, nil
}

// Promote rolls out an image without building it: the same digest, copied to
// image.repository where it is not there. Checks, plan, result and record are
// those of Run, with the stages push and rollout.
func Promote(ctx context.Context, opt Options, p Promotion, emit func(runner.Event)) (Result, error) {
	result := Result{Schema: ResultSchema, Run: newRunID(), Environment: opt.Spec.Env}
	b, err := promotion(opt, p)
	if err != nil {
		return result, err
	}
	result.of(p)
	emit(runner.Event{Time: time.Now(), Body: runner.RunStarted{ID: result.Run, Stages: b.Names()}})
	options := runner.Options{Emit: emit, Begin: func() error {
		if err := makeStateDir(opt.stateDir()); err != nil {
			return fault.New(fault.Missing, "make the project's folder writable", "%w", err)
		}
		return nil
	}}
	if opt.DryRun {
		return result, b.Plan(ctx, options)
	}
	report, err := b.Run(ctx, options)
	err = cmp.Or(err, result.fill(report))
	if hasRun(report) {
		err = cmp.Or(err, writeRecord(opt.recordDir(), report))
	}
	return result, err
}

// of takes over what is known of the image and its source.
func (r *Result) of(p Promotion) {
	r.Image = &Image{Layers: []runner.Descriptor{}, Platforms: []string{}}
	if p.Of != nil {
		r.Commit, r.Tree, r.Branch, r.Dirty, r.Remote, r.Tests = p.Of.Commit, p.Of.Tree, p.Of.Branch, p.Of.Dirty, p.Of.Remote, p.Of.Tests
		known := *p.Of.Image
		r.Image = &known
	}
	_, r.Image.Digest, _ = strings.Cut(p.Image, "@")
	r.Image.Reference, r.Image.Tags = "", nil // until it is where it belongs
}

func promotion(opt Options, p Promotion) (*runner.Builder, error) {
	if !opt.Spec.Deploy.Deploys() {
		return nil, fault.New(fault.BadInput, "set deploy.service, or give --service or --env", "fastship.yaml names no service to deploy to%s", inEnv(opt.Spec.Env))
	}
	in := push.CopyIn{Reference: p.Image}
	if p.Of != nil {
		in.Tags = p.Of.Image.Tags
	}
	config := opt.Spec.Image.Push()
	if config.Repository == "" { // the image stays where it is
		config.Repository, _, _ = strings.Cut(p.Image, "@")
	}
	b := &runner.Builder{}
	reference := runner.Add(b, push.NewCopy(config, opt.pushDeps(), in), runner.Value(b, in))
	deployment, deps := opt.rollout()
	deployment.Repository = config.Repository
	runner.Add(b, rollout.Stage(deployment, deps), runner.Map(b, reference, func(p push.Out) rollout.In { return rollout.In{Image: p.Reference} }))
	return b, nil
}

func inEnv(env string) string {
	if env == "" {
		return ""
	}
	return fmt.Sprintf(" (environment %s)", env)
}
