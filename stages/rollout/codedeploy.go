package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// byCodeDeploy is how CodeDeploy deploys a service.
type byCodeDeploy struct {
	client deploy.CodeDeployAPI
	group  deploy.CodeDeployGroup
	last   json.RawMessage // the AppSpec of the last deployment; nil: not known
	id     string          // of ours, once it is begun
}

// codeDeploy finds it, by reads only.
func (s *Step) codeDeploy(ctx context.Context, api deploy.API, plan deploy.Plan) (*byCodeDeploy, error) {
	client, ok := api.(deploy.CodeDeployAPI)
	if !ok {
		return nil, errors.New("deploy by CodeDeploy: this client does not know it")
	}
	application, group, _ := strings.Cut(s.cfg.CodeDeploy, "/")
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	g, last, err := deploy.FindCodeDeployGroup(limited, client, plan.Before, application, group)
	if err != nil && ctx.Err() == nil && fault.ClassOf(err) == fault.Internal {
		err = fault.New(fault.Missing, "check the network, deploy.region and AWS_ENDPOINT_URL", "read from CodeDeploy: %w", err)
	}
	return &byCodeDeploy{client: client, group: g, last: last.AppSpec}, err
}

// beginByCodeDeploy is begin where CodeDeploy deploys. A run that was killed
// needs no memory: CodeDeploy lists what goes on.
func (s *Step) beginByCodeDeploy(ctx context.Context, env runner.Env, w *way, before func() error) error {
	by, err := s.codeDeploy(ctx, w.api, w.plan)
	if err == nil {
		err = before()
	}
	if err == nil {
		if len(s.cfg.Before) > 0 {
			w.start = time.Now()
		}
		if by.last == nil {
			env.Emit(runner.Warning{Text: "the AppSpec of the last deployment is not known: this one has no hooks"})
		}
		limited, cancel := context.WithTimeout(ctx, s.timeout(0))
		defer cancel()
		by.id, w.out.TaskDefinition, err = deploy.ApplyByCodeDeploy(limited, w.api, by.client, w.plan, by.group, by.last, func(e deploy.Event) { tell(env.Emit, e) })
	}
	w.by, w.out.Deployment = by, ""
	if by != nil {
		w.out.Deployment = by.id
	}
	if err == nil {
		return nil
	}
	w.out.Outcome, w.out.Cause = string(deploy.Failed), err.Error()
	return inRollout(ctx, err)
}

// watchCodeDeploy is watch where CodeDeploy deploys.
func (s *Step) watchCodeDeploy(ctx context.Context, env runner.Env, w *way, seen func(deploy.Event)) (deploy.Result, error) {
	f := deploy.CodeDeployFollower{
		ID: w.by.id, Target: w.plan.Target, TaskDefinition: w.out.TaskDefinition, Previous: w.out.Previous, Group: w.by.group, Essential: w.plan.Essential,
		Options: deploy.Options{
			Timeout: s.timeout(w.by.group.Waits), PollEvery: s.deps.PollEvery, Jitter: s.deps.Jitter, Rollback: s.cfg.Rollback, Until: s.cfg.WaitFor, Ask: s.deps.Ask,
		},
	}
	result, err := f.Follow(ctx, w.by.client, func(e deploy.Event) {
		if seen != nil {
			seen(e)
		}
		tell(env.Emit, e)
	})
	if err != nil {
		env.Emit(runner.Note{Text: "CodeDeploy goes on with deployment " + f.ID + " without fastship"})
		return result, err
	}
	if result.Outcome == deploy.Succeeded && result.Detail != "" {
		tell(env.Emit, deploy.LeftEarly{What: result.Detail})
	}
	s.remember(w, result.Outcome, deploy.Timing{}) // its tasks' times are CodeDeploy's own
	w.out.Outcome, w.out.Cause = string(result.Outcome), result.Cause
	return result, nil
}
