package road

import (
	"context"
	"time"

	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/maven"
	"github.com/fastship/fastship/stages/source"
)

// RestoreRepository fills a Maven repository from the cache: folder, or, where
// it is empty, the one that a plain mvn would use.
func RestoreRepository(ctx context.Context, opt Options, folder string, emit func(runner.Event)) (maven.Transferred, error) {
	return transfer(ctx, opt, emit, func(step *maven.Step, env runner.Env, in maven.In) (maven.Transferred, error) {
		return step.Restore(ctx, env, in, folder)
	})
}

// SaveRepository keeps a Maven repository in the cache: folder, or, where it
// is empty, the one that a plain mvn uses.
func SaveRepository(ctx context.Context, opt Options, folder string, emit func(runner.Event)) (maven.Transferred, error) {
	return transfer(ctx, opt, emit, func(step *maven.Step, env runner.Env, in maven.In) (maven.Transferred, error) {
		return step.Save(ctx, env, in, folder)
	})
}

func transfer(ctx context.Context, opt Options, emit func(runner.Event), work func(*maven.Step, runner.Env, maven.In) (maven.Transferred, error)) (maven.Transferred, error) {
	tell := func(body runner.Body) { emit(runner.Event{Time: time.Now(), Stage: "cache", Body: body}) }
	memory, err := openMemory(opt, tell)
	if err != nil {
		return maven.Transferred{}, err
	}
	if err := memory.remotes.check(ctx); err != nil {
		return maven.Transferred{}, err
	}
	step := mavenStep(opt, memory, nil)
	if err := step.Check(ctx); err != nil {
		return maven.Transferred{}, err
	}
	plan, err := source.New(source.Config{Dir: opt.Dir}).Plan(ctx, source.In{})
	if err != nil {
		return maven.Transferred{}, err
	}
	return work(step, runner.Env{Emit: tell}, mavenIn(plan.Out))
}
