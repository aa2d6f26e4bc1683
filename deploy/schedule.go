package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// Schedule is what starts tasks by time or event beside a service: a rule of
// EventBridge, or a schedule of EventBridge Scheduler.
type Schedule struct {
	Kind   string // "rule" or "schedule"
	Name   string
	Within string // the event bus or the schedule group; empty: the default one
	Starts []Start
}

// Start is one of its targets that starts ECS tasks.
type Start struct {
	TaskDefinition string // ARN; without a revision it means the family's latest
	// Raw is what AWS has of the target (of a rule) or of all of the schedule,
	// as it came over the wire: whatever is left out of it when it is sent back
	// is reset.
	Raw json.RawMessage
}

// ErrNoSchedule is what reading a schedule that does not exist gives.
var ErrNoSchedule = errors.New("no such rule or schedule")

// ScheduleKeeper reads and changes schedules.
type ScheduleKeeper interface {
	// Schedule finds one by its ARN, or by a name in the default event bus or
	// the default schedule group. Errors are those of Reader; ErrNoSchedule;
	// and fault.BadInput for a name that both have.
	Schedule(ctx context.Context, name string) (Schedule, error)
	// Retarget makes a start run another task definition, and sends all else
	// back as it was. It may be repeated.
	Retarget(ctx context.Context, s Schedule, start Start, taskDefinition string) error
}

// Move is a start that is to run another task definition.
type Move struct {
	Schedule Schedule
	Start    Start
	To       string          // ARN of a revision that is there; empty: Register comes first
	Register json.RawMessage // body of RegisterTaskDefinition
	latest   bool            // it runs the family's latest: registering is all
}

// String says a move to a person.
func (m Move) String() string {
	to := "a new revision of it with the new image"
	if m.To != "" {
		to = ShortName(m.To)
	}
	return fmt.Sprintf("move %s %s from %s to %s", m.Schedule.Kind, m.Schedule.Name, ShortName(m.Start.TaskDefinition), to)
}

// FindMoves reads the schedules with these names and finds which of their
// starts do not run image yet. revisions are the service's (or services') own
// new revisions, ARNs by family: a start of such a family moves there. One of
// another family, which has a container from image's repository, gets a
// revision of its own. A schedule that starts nothing of either is
// fault.BadInput. An empty image is one that nobody knows yet.
func FindMoves(ctx context.Context, api Reader, keeper ScheduleKeeper, names []string, revisions map[string]string, image string) ([]Move, error) {
	var moves []Move
	for _, name := range names {
		s, err := eventually(ctx, func() (Schedule, error) { return keeper.Schedule(ctx, name) })
		if errors.Is(err, ErrNoSchedule) {
			return nil, fault.New(fault.Missing, "correct deploy.schedules, or deploy.region", "find rule or schedule %s: there is none", name)
		}
		if err != nil {
			return nil, fmt.Errorf("read rule or schedule %s: %w", name, err)
		}
		ours := false
		for _, start := range s.Starts {
			m, mine, needed, err := findMove(ctx, api, s, start, revisions, image)
			if err != nil {
				return nil, err
			}
			ours = ours || mine
			if needed {
				moves = append(moves, m)
			}
		}
		if !ours {
			return nil, fault.New(fault.BadInput, "take it out of deploy.schedules, or have it start a task with a container from image.repository",
				"%s %s starts no task of this image%s", s.Kind, s.Name, startsOf(s))
		}
	}
	return moves, nil
}

func startsOf(s Schedule) string {
	if len(s.Starts) == 0 {
		return ": it has no ECS target"
	}
	var words []string
	for _, start := range s.Starts {
		words = append(words, ShortName(start.TaskDefinition))
	}
	return ": it starts " + strings.Join(words, ", ")
}

func findMove(ctx context.Context, api Reader, s Schedule, start Start, revisions map[string]string, image string) (m Move, mine, needed bool, err error) {
	family, revision, pinned := strings.Cut(ShortName(start.TaskDefinition), ":")
	m = Move{Schedule: s, Start: start, latest: !pinned || revision == ""}
	if to, own := revisions[family]; own {
		m.To = to
		return m, true, !m.latest && to != start.TaskDefinition, nil
	}
	definition, err := eventually(ctx, func() (TaskDefinition, error) { return api.TaskDefinition(ctx, start.TaskDefinition) })
	if err != nil {
		return m, false, false, fmt.Errorf("read task definition %s, which %s %s starts: %w", ShortName(start.TaskDefinition), s.Kind, s.Name, err)
	}
	containers, err := definition.Containers()
	if err != nil {
		return m, false, false, err
	}
	matching := filter(containers, func(c ContainerDefinition) bool { return Repository(c.Image) == Repository(image) })
	if len(matching) != 1 {
		return m, false, false, nil
	}
	if !known(image) || matching[0].Image == image {
		return m, true, !known(image), nil
	}
	wanted, err := CloneTaskDefinition(definition.Raw, matching[0].Name, image)
	if err != nil {
		return m, true, false, fmt.Errorf("clone task definition %s: %w", ShortName(definition.ARN), err)
	}
	latest, err := eventually(ctx, func() (TaskDefinition, error) { return api.TaskDefinition(ctx, family) })
	if err != nil {
		return m, true, false, err
	}
	if latest.Active() && sameDefinition(latest.Raw, wanted, matching[0].Name, image) {
		m.To = latest.ARN
	} else {
		m.Register = wanted
	}
	return m, true, true, nil
}

// Carry does the moves: each registers what it needs and retargets, and told
// hears of it. It stops at the first that fails.
func Carry(ctx context.Context, api API, keeper ScheduleKeeper, moves []Move, told func(Move)) error {
	registered := map[string]string{} // by body: two schedules of one definition get one revision
	for _, m := range moves {
		if m.To == "" {
			body := string(m.Register)
			if registered[body] == "" {
				arn, err := api.Register(ctx, m.Register)
				if err != nil {
					return fmt.Errorf("register a revision of %s for %s %s: %w", ShortName(m.Start.TaskDefinition), m.Schedule.Kind, m.Schedule.Name, err)
				}
				registered[body] = arn
			}
			m.To = registered[body]
		}
		if !m.latest {
			if _, err := eventually(ctx, func() (struct{}, error) {
				return struct{}{}, keeper.Retarget(ctx, m.Schedule, m.Start, m.To)
			}); err != nil {
				return fmt.Errorf("%s: %w", m, err)
			}
		}
		told(m)
	}
	return nil
}
