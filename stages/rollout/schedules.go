package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// findMoves is what has to be done about deploy.schedules once the services run
// revisions (ARNs by family), which hold image.
func findMoves(ctx context.Context, cfg Config, api deploy.API, revisions map[string]string, image string) (deploy.ScheduleKeeper, []deploy.Move, error) {
	if len(cfg.Schedules) == 0 {
		return nil, nil, nil
	}
	keeper, ok := api.(deploy.ScheduleKeeper)
	if !ok {
		return nil, nil, errors.New("move deploy.schedules: this client knows no schedules")
	}
	moves, err := deploy.FindMoves(ctx, api, keeper, cfg.Schedules, revisions, image)
	return keeper, moves, err
}

// planned are the services' families before there is a revision; where the
// image is not known either, all that is known of it is its repository.
func planned(cfg Config, image string, plans ...deploy.Plan) (map[string]string, string) {
	revisions := map[string]string{}
	for _, p := range plans {
		revisions[p.Truth().Family()] = p.Existing
	}
	if image == "" {
		image = cfg.Repository + "@"
	}
	return revisions, image
}

// checkSchedules refuses schedules that are not there or start nothing of ours.
func checkSchedules(ctx context.Context, cfg Config, api deploy.API, plans ...deploy.Plan) error {
	revisions, image := planned(cfg, "", plans...)
	_, _, err := findMoves(ctx, cfg, api, revisions, image)
	if err != nil && fault.ClassOf(err) == fault.Internal && ctx.Err() == nil {
		err = fault.New(fault.Missing, "check the network, deploy.region and deploy.schedules", "%w", err)
	}
	return err
}

// scheduleLines says the moves of a plan.
func scheduleLines(ctx context.Context, cfg Config, api deploy.API, image string, plans ...deploy.Plan) (lines []string, err error) {
	revisions, image := planned(cfg, image, plans...)
	_, moves, err := findMoves(ctx, cfg, api, revisions, image)
	for _, m := range moves {
		lines = append(lines, m.String())
	}
	return lines, err
}

// moveSchedules has deploy.schedules start the revisions that the services run
// now. Errors are of class fault.RolloutFailed.
func moveSchedules(ctx context.Context, env runner.Env, cfg Config, api deploy.API, revisions []string, image string) error {
	if len(cfg.Schedules) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	byFamily := map[string]string{}
	for _, arn := range revisions {
		byFamily[deploy.TaskDefinition{ARN: arn}.Family()] = arn
	}
	keeper, moves, err := findMoves(limited, cfg, api, byFamily, image)
	if err == nil {
		err = deploy.Carry(limited, api, keeper, moves, func(m deploy.Move) {
			env.Emit(runner.Note{Text: fmt.Sprintf("%s %s starts %s now", m.Schedule.Kind, m.Schedule.Name, deploy.ShortName(m.To))})
		})
	}
	if err != nil {
		env.Emit(runner.Note{Text: "the service runs the new revision all the same; the same command again moves what is left"})
		return inRollout(ctx, err)
	}
	return nil
}

// move is moveSchedules after this service's rollout.
func (s *Step) move(ctx context.Context, env runner.Env, w *way) error {
	return moveSchedules(ctx, env, s.cfg, w.api, []string{w.out.TaskDefinition}, w.plan.Image)
}

// moveBack is moveSchedules after the service went back to a revision.
func (s *Step) moveBack(ctx context.Context, env runner.Env, api deploy.API, revision string) error {
	if len(s.cfg.Schedules) == 0 {
		return nil
	}
	image, err := s.imageOf(ctx, api, revision)
	if err != nil {
		return err
	}
	return moveSchedules(ctx, env, s.cfg, api, []string{revision}, image)
}

// moveBack is moveSchedules after all services went back, each to a revision
// of its own; what else there is of the image goes back to the first one's.
func (g *Group) moveBack(ctx context.Context, env runner.Env, outs []Out) error {
	if len(g.cfg.Schedules) == 0 {
		return nil
	}
	lead := g.steps[0]
	api, _, err := lead.target(ctx)
	if err != nil {
		return err
	}
	image, err := lead.imageOf(ctx, api, outs[0].TaskDefinition)
	if err != nil {
		return g.of(0, err)
	}
	var revisions []string
	for _, o := range outs {
		revisions = append(revisions, o.TaskDefinition)
	}
	return moveSchedules(ctx, env, g.cfg, api, revisions, image)
}

// imageOf is the image that a revision gives to the container which gets ours.
func (s *Step) imageOf(ctx context.Context, api deploy.API, revision string) (string, error) {
	definition, err := api.TaskDefinition(ctx, revision)
	if err != nil {
		return "", inRollout(ctx, fmt.Errorf("move deploy.schedules back: %w", err))
	}
	containers, err := definition.Containers()
	if err != nil {
		return "", inRollout(ctx, err)
	}
	name, err := deploy.ChooseContainer(containers, s.cfg.Container, s.cfg.Repository)
	if err != nil {
		return "", inRollout(ctx, err)
	}
	at := slices.IndexFunc(containers, func(c deploy.ContainerDefinition) bool { return c.Name == name })
	return containers[at].Image, nil // one of theirs was chosen
}
