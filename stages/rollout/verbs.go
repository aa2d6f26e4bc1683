package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// shownHistory is how many service deployments a status shows.
const shownHistory = 5

// target is the service that the configuration names, with a client for it.
func (s *Step) target(ctx context.Context) (deploy.API, deploy.Target, error) {
	t := deploy.Target{Cluster: s.cfg.Cluster, Service: s.cfg.Service}
	if t.Service == "" {
		return nil, t, fault.New(fault.BadInput, "set deploy.service in fastship.yaml, or give --service", "no service is named: deploy.service is empty")
	}
	api, err := s.deps.Connect(ctx, s.cfg.Region)
	return api, t, err
}

// missing makes what could not be read at the start the user's to mend.
func (s *Step) missing(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case fault.ClassOf(err) != fault.Internal:
		return err
	}
	return fault.New(fault.Missing, "check the network, deploy.region and AWS_ENDPOINT_URL", "read service %s from ECS: %w", s.cfg.Service, err)
}

// Status reads what the service is doing. It only reads.
func (s *Step) Status(ctx context.Context) (deploy.Status, error) {
	api, target, err := s.target(ctx)
	if err != nil {
		return deploy.Status{}, err
	}
	status, err := deploy.ReadStatus(ctx, api, target, shownHistory)
	return status, s.missing(ctx, err)
}

// Diff is what a rollout of image would do: the steps, and the change of the
// task definition by lines. It only reads.
func (s *Step) Diff(ctx context.Context, image string) (steps, definition []string, err error) {
	if _, _, err := s.target(ctx); err != nil {
		return nil, nil, err
	}
	_, plan, err := s.prepare(ctx, image)
	if err != nil {
		return nil, nil, err
	}
	definition, err = plan.Diff()
	return plan.Lines(), definition, err
}

// Wait follows what goes on in the service, whoever began it, and changes
// nothing. Errors are those of Run.
func (s *Step) Wait(ctx context.Context, env runner.Env) (Out, error) {
	api, target, err := s.target(ctx)
	if err != nil {
		return Out{}, err
	}
	begun, done, err := deploy.Ongoing(ctx, api, target)
	if err != nil {
		return Out{}, s.missing(ctx, err)
	}
	if done {
		env.Emit(runner.Note{Text: fmt.Sprintf("service %s runs %s steadily: nothing to wait for", deploy.ShortName(s.cfg.Service), deploy.ShortName(begun.TaskDefinition))})
		return Out{Outcome: string(deploy.Succeeded), TaskDefinition: begun.TaskDefinition, Deployment: begun.ID}, nil
	}
	tell(env.Emit, deploy.Began{Deployment: begun.ID, TaskDefinition: begun.TaskDefinition, Found: true})
	r, out, err := s.follow(ctx, env, api, target, begun, deploy.Never)
	if err != nil {
		return out, err
	}
	return out, s.verdict(ctx, env, api, r)
}

// Rollback moves the service back: to the revision or image digest that to
// names, else to the last revision that was steady. What goes on is rolled
// back by ECS itself. Going back well is no error, whatever fastship run would
// say of it.
func (s *Step) Rollback(ctx context.Context, env runner.Env, to string) (Out, error) {
	api, target, err := s.target(ctx)
	if err != nil {
		return Out{}, err
	}
	way, err := deploy.WayBack(ctx, api, target, to)
	if err != nil {
		return Out{}, s.missing(ctx, err)
	}
	out := Out{TaskDefinition: way.To, Previous: way.From}
	if way.Nothing {
		env.Emit(runner.Note{Text: fmt.Sprintf("nothing to do: the service runs %s steadily", deploy.ShortName(way.To))})
		out.Outcome = string(deploy.Succeeded)
		return out, s.moveBack(ctx, env, api, way.To)
	}
	env.Emit(runner.Note{Text: "going back to " + deploy.ShortName(way.To)})
	begun, err := way.Go(ctx, api, target, func(e deploy.Event) { tell(env.Emit, e) })
	if err != nil {
		return out, inRollout(ctx, err)
	}
	r, followed, err := s.follow(ctx, env, api, target, begun, deploy.Never)
	if err != nil {
		return followed, err
	}
	if way.Stop != "" && r.Outcome == deploy.RolledBack {
		r.Outcome = deploy.Succeeded
	}
	out.Outcome, out.Deployment = string(r.Outcome), begun.ID
	if r.Outcome == deploy.Succeeded {
		if way.Stop == "" { // one that was deregistered since has come back as another
			out.TaskDefinition = followed.TaskDefinition
		}
		return out, s.moveBack(ctx, env, api, out.TaskDefinition)
	}
	out.Cause = r.Cause
	return out, s.verdict(ctx, env, api, r)
}

// follow watches a deployment under this step's configuration.
func (s *Step) follow(ctx context.Context, env runner.Env, api deploy.API, target deploy.Target, begun deploy.Begun, policy deploy.Policy) (deploy.Result, Out, error) {
	follower := deploy.NewFollower(begun, nil, deploy.Options{
		Timeout: s.timeout(begun.Bake), PollEvery: s.deps.PollEvery, Jitter: s.deps.Jitter, Rollback: policy,
	}, time.Now())
	out := Out{TaskDefinition: begun.TaskDefinition, Previous: begun.Previous, Deployment: begun.ID}
	r, err := deploy.Follow(ctx, api, target, follower, func(e deploy.Event) { tell(env.Emit, e) })
	if err != nil {
		if errors.Is(err, context.Cause(ctx)) {
			env.Emit(runner.Note{Text: "ECS goes on without fastship"})
		}
		return r, out, err
	}
	out.Outcome, out.Cause = string(r.Outcome), r.Cause
	return r, out, nil
}

// Doctor reads where the time of the service's rollouts goes, and what would
// save some. It only reads.
func (s *Step) Doctor(ctx context.Context) (deploy.Report, error) {
	api, target, err := s.target(ctx)
	if err != nil {
		return deploy.Report{}, err
	}
	exam, err := deploy.Examine(ctx, api, target)
	if err != nil {
		return deploy.Report{}, s.missing(ctx, err)
	}
	exam.Records = s.records(exam.Service.ARN)
	return deploy.Diagnose(exam), nil
}
