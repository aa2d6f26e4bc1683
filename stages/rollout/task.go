package rollout

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// Task runs a command once in the service's environment, with the image that
// the service runs, or another. Errors are those of Run; a command that ends
// with another code than 0 is of class fault.RolloutFailed.
func (s *Step) Task(ctx context.Context, env runner.Env, image string, command []string) error {
	api, target, err := s.target(ctx)
	if err != nil {
		return err
	}
	plan, err := deploy.Prepare(ctx, api, target, s.cfg.Container, s.cfg.Repository, image)
	if err != nil {
		return s.missing(ctx, err)
	}
	if image == "" {
		plan.Image = plan.OldImage
	}
	return s.once(ctx, env, api, plan, "task", command)
}

// once runs a command as a task of its own, with the plan's image.
func (s *Step) once(ctx context.Context, env runner.Env, api deploy.API, plan deploy.Plan, what string, command []string) error {
	definition, err := deploy.OneOffDefinition(plan.Truth().Raw, plan.Container, plan.Image, command)
	if err != nil {
		return err
	}
	env.Emit(runner.Note{Text: fmt.Sprintf("%s: %s", what, strings.Join(command, " "))})
	failure, err := deploy.RunOnce(ctx, api, plan.Target, deploy.OneOff{
		Definition: definition, Container: plan.Container, Timeout: s.timeout(0), Token: rand.Text(), PollEvery: s.deps.PollEvery,
	}, func(line string) { env.Emit(runner.Log{Stream: "stdout", Line: line}) })
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return inRollout(ctx, fmt.Errorf("%s: %w", what, err))
	case failure != nil:
		hint := s.deps.Explain(failure.Text, nil)
		return fault.New(fault.RolloutFailed, hint, "%s: %s", what, *failure)
	}
	env.Emit(runner.Note{Text: what + ": ended with exit code 0"})
	return nil
}

// before runs deploy.before with the new image, while the service runs on as
// it is.
func (s *Step) before(ctx context.Context, env runner.Env, w *way) error {
	if len(s.cfg.Before) == 0 || w.plan.Action != deploy.Update {
		return nil
	}
	err := s.once(ctx, env, w.api, w.plan, "deploy.before", s.cfg.Before)
	if err != nil {
		env.Emit(runner.Note{Text: fmt.Sprintf("service %s was not touched: it runs %s", w.plan.Before.Name, deploy.ShortName(w.plan.Current.ARN))})
	}
	return err
}

// after runs deploy.after once the rollout has succeeded.
func (s *Step) after(ctx context.Context, env runner.Env, w *way) error {
	if len(s.cfg.After) == 0 {
		return nil
	}
	err := s.once(ctx, env, w.api, w.plan, "deploy.after", s.cfg.After)
	if err != nil {
		env.Emit(runner.Note{Text: fmt.Sprintf("service %s runs the new revision all the same", w.plan.Before.Name)})
	}
	return err
}

// taskLines are the plan's lines with the tasks around them, and the moves of
// schedules.
func (s *Step) taskLines(plan deploy.Plan, moves []string) (lines []string) {
	if len(s.cfg.Before) > 0 && plan.Action == deploy.Update {
		lines = append(lines, "run a task with the new image: "+strings.Join(s.cfg.Before, " "))
	}
	lines = append(append(lines, plan.Lines()...), moves...)
	if len(s.cfg.After) > 0 && plan.Action != deploy.Nothing {
		lines = append(lines, "run a task after it: "+strings.Join(s.cfg.After, " "))
	}
	return lines
}
