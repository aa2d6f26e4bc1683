package rollout

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// Group is the stage for several services that run one image. They are updated
// and followed side by side. Once one of them is rolled back, or could not be
// begun, the others go back, too, so that all run one image again; where
// deploy.rollback is never, and where a service is left as it failed, each goes
// on to its own end. The first failure in time is the error.
type Group struct {
	cfg   Config
	steps []*Step
	deps  Deps
}

var _ runner.Step[In, Out] = (*Group)(nil)

// Stage is the step for a configuration: of one service, or of several.
func Stage(cfg Config, deps Deps) interface {
	runner.Step[In, Out]
	Destination
} {
	if len(cfg.Services) == 0 {
		return New(cfg, deps)
	}
	return NewGroup(cfg, deps)
}

// NewGroup makes the stage for the services of cfg.
func NewGroup(cfg Config, deps Deps) *Group {
	if deps.Ask != nil { // one question at a time
		var mu sync.Mutex
		ask := deps.Ask
		deps.Ask = func(ctx context.Context, question string) bool {
			mu.Lock()
			defer mu.Unlock()
			return ask(ctx, question)
		}
	}
	return &Group{cfg: cfg, steps: Each(cfg, deps), deps: deps}
}

// Each makes a step for every service that cfg names: for Service one, with
// Services one for each of them.
func Each(cfg Config, deps Deps) (steps []*Step) {
	if len(cfg.Services) == 0 {
		return []*Step{New(cfg, deps)}
	}
	if deps.Connect == nil {
		deps.Connect = once(cfg.connect)
	}
	for i, m := range cfg.Services {
		own, mine := cfg, deps
		own.Services, own.Service, own.Schedules = nil, m.Service, nil // which are moved once, by the group
		own.Container = firstOf(m.Container, cfg.Container)
		own.TaskDefinition = firstOf(m.TaskDefinition, cfg.TaskDefinition)
		if deps.State != "" {
			mine.State = filepath.Join(deps.State, "services", deploy.ShortName(m.Service))
		}
		step := New(own, mine)
		step.roles.never = i >= simulations
		steps = append(steps, step)
	}
	return steps
}

// checkServices refuses a list of services that means nothing.
func checkServices(cfg Config) error {
	if cfg.Service != "" {
		return fault.New(fault.BadInput, "leave one of them out; \"\" empties what the file says elsewhere", "deploy.service and deploy.services are both there")
	}
	seen := map[string]bool{}
	for _, m := range cfg.Services {
		name := deploy.ShortName(m.Service)
		switch {
		case m.Service == "":
			return fault.New(fault.BadInput, "name the ECS service: {service: web}", "an entry of deploy.services has no service")
		case seen[name]:
			return fault.New(fault.BadInput, "name each service once", "deploy.services has %s twice", name)
		}
		seen[name] = true
	}
	return nil
}

// Name implements runner.Step.
func (*Group) Name() string { return "rollout" }

func (g *Group) name(i int) string { return deploy.ShortName(g.steps[i].cfg.Service) }

// env puts the service's name before what one of them has to say.
func (g *Group) env(env runner.Env, i int) runner.Env {
	return Named(env, g.name(i))
}

// Named puts a service's name before what is told of it.
func Named(env runner.Env, name string) runner.Env {
	emit := env.Emit
	env.Emit = func(b runner.Body) {
		switch t := b.(type) {
		case runner.Note:
			t.Text = name + ": " + t.Text
			b = t
		case runner.Warning:
			t.Text = name + ": " + t.Text
			b = t
		case runner.Log:
			t.Line = name + ": " + t.Line
			b = t
		}
		emit(b)
	}
	return env
}

// Check implements runner.Step: all that is wrong with any of the services.
func (g *Group) Check(ctx context.Context) error {
	if err := checkServices(g.cfg); err != nil {
		return err
	}
	var found runner.Findings
	for i, err := range g.all(func(i int) error { return g.steps[i].Check(ctx) }) {
		if several, ok := errors.AsType[runner.Findings](err); ok {
			for _, each := range several {
				found = append(found, g.of(i, each))
			}
		} else if err != nil {
			found = append(found, g.of(i, err))
		}
	}
	if len(found) == 0 && len(g.cfg.Schedules) > 0 {
		api, plans, err := g.prepare(ctx, "")
		if err != nil {
			return err
		}
		return checkSchedules(ctx, g.cfg, api, plans...)
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return found[0]
	}
	return found
}

// prepare reads all services once more, for what concerns them together.
func (g *Group) prepare(ctx context.Context, image string) (deploy.API, []deploy.Plan, error) {
	plans, apis := make([]deploy.Plan, len(g.steps)), make([]deploy.API, len(g.steps))
	for i, err := range g.all(func(i int) (err error) { apis[i], plans[i], err = g.steps[i].prepare(ctx, image); return err }) {
		if err != nil {
			return nil, nil, g.of(i, err)
		}
	}
	return apis[0], plans, nil
}

// of names the service in an error, whose class and remedy stay.
func (g *Group) of(i int, err error) error {
	if _, classed := errors.AsType[*fault.Error](err); !classed {
		return err // an interrupt
	}
	return fault.New(fault.ClassOf(err), fault.HintOf(err), "service %s: %w", g.name(i), err)
}

// ForEach does something for each service at the same time: for one as it is,
// for several with their names before what is told. The error is that of the
// first in their order that failed; the others' are told as warnings.
func ForEach(ctx context.Context, env runner.Env, steps []*Step, do func(*Step, context.Context, runner.Env) (Out, error)) (Out, error) {
	if len(steps) == 1 {
		return do(steps[0], ctx, env)
	}
	g := &Group{steps: steps}
	r := newRun(g, env)
	errs := g.all(func(i int) error {
		out, err := do(steps[i], ctx, g.env(env, i))
		r.ways[i] = &way{out: out}
		if err != nil {
			r.failed(i, err)
		}
		return err
	})
	if ctx.Err() != nil {
		return r.out(), context.Cause(ctx)
	}
	if r.first < 0 {
		return r.out(), nil
	}
	r.first = slices.IndexFunc(errs, func(err error) bool { return err != nil })
	return r.out(), r.verdict()
}

// Rollback is Step's, for the services of cfg at the same time. deploy.schedules
// go back once, after all of them.
func Rollback(ctx context.Context, env runner.Env, cfg Config, deps Deps, to string) (Out, error) {
	g := NewGroup(cfg, deps)
	out, err := ForEach(ctx, env, g.steps, func(s *Step, ctx context.Context, env runner.Env) (Out, error) {
		return s.Rollback(ctx, env, to)
	})
	if err != nil || len(cfg.Services) == 0 { // the one service took them with it
		return out, err
	}
	outs := out.Services
	if len(g.steps) == 1 {
		outs = []Out{out}
	}
	return out, g.moveBack(ctx, env, outs)
}

// all does something for every service at the same time.
func (g *Group) all(do func(i int) error) []error {
	errs := make([]error, len(g.steps))
	var wait sync.WaitGroup
	for i := range g.steps {
		wait.Go(func() { errs[i] = do(i) })
	}
	wait.Wait()
	return errs
}

// Plan implements runner.Step.
func (g *Group) Plan(ctx context.Context, in In) (runner.Plan[Out], error) {
	var all runner.Plan[Out]
	plans := make([]runner.Plan[Out], len(g.steps))
	for i, err := range g.all(func(i int) (err error) { plans[i], err = g.steps[i].Plan(ctx, in); return err }) {
		if err != nil {
			return all, g.of(i, err)
		}
		for _, line := range plans[i].Lines {
			all.Lines = append(all.Lines, g.name(i)+": "+line)
		}
		plans[i].Out.Service = g.name(i)
		all.Out.Services = append(all.Out.Services, plans[i].Out)
	}
	if len(g.cfg.Schedules) > 0 {
		api, prepared, err := g.prepare(ctx, in.Image)
		if err != nil {
			return all, err
		}
		moves, err := scheduleLines(ctx, g.cfg, api, in.Image, prepared...)
		if err != nil {
			return all, err
		}
		all.Lines = append(all.Lines, moves...)
	}
	return all, nil
}

// Run implements runner.Step. Errors are those of Step's, with the service's
// name before them.
func (g *Group) Run(ctx context.Context, env runner.Env, in In) (runner.Result[Out], error) {
	r := newRun(g, env)
	for i, err := range g.all(func(i int) (err error) { r.ways[i], err = g.steps[i].ready(ctx, g.env(env, i), in); return err }) {
		if err != nil {
			return runner.Result[Out]{}, g.of(i, err)
		}
	}
	if !slices.ContainsFunc(r.ways, func(w *way) bool { return w.plan.Action != deploy.Nothing }) {
		return runner.Result[Out]{Out: r.out(), Status: runner.Cached, Reason: "already running"}, r.move(ctx)
	}
	lead := max(0, slices.IndexFunc(r.ways, func(w *way) bool { return w.plan.Action == deploy.Update }))
	r.before = r.once(lead, func() error { return g.steps[lead].before(ctx, g.env(env, lead), r.ways[lead]) })
	owns := make([]context.Context, len(g.steps))
	for i := range g.steps {
		owns[i], r.stop[i] = context.WithCancelCause(ctx)
		defer r.stop[i](nil)
	}
	g.all(func(i int) error { r.roll(ctx, owns[i], i); return nil })
	switch {
	case ctx.Err() != nil:
		return runner.Result[Out]{Out: r.out()}, context.Cause(ctx)
	case r.first >= 0:
		return runner.Result[Out]{Out: r.out()}, r.verdict()
	}
	if err := r.move(ctx); err != nil {
		return runner.Result[Out]{Out: r.out()}, err
	}
	if err := g.steps[lead].after(ctx, g.env(env, lead), r.ways[lead]); err != nil {
		return runner.Result[Out]{Out: r.out()}, g.of(lead, err)
	}
	return runner.Result[Out]{Out: r.out()}, nil
}

// move has the schedules start what the services run now.
func (r *run) move(ctx context.Context) error {
	var revisions []string
	for _, w := range r.ways {
		revisions = append(revisions, w.out.TaskDefinition)
	}
	return moveSchedules(ctx, r.env, r.cfg, r.ways[0].api, revisions, r.ways[0].plan.Image)
}

// out is the services' ends: first that of the first which failed, and all.
func (r *run) out() Out {
	var all Out
	for i, w := range r.ways {
		w.out.Service = r.name(i)
		all.Services = append(all.Services, w.out)
	}
	lead := r.ways[max(r.first, 0)].out
	all.Outcome, all.TaskDefinition, all.Previous, all.Deployment, all.Cause = lead.Outcome, lead.TaskDefinition, lead.Previous, lead.Deployment, lead.Cause
	if r.first >= 0 {
		all.Service = r.name(r.first)
	}
	return all
}

// names of services in a list for people.
func (r *run) names(which []int) string {
	var words []string
	for _, i := range which {
		words = append(words, r.name(i))
	}
	return strings.Join(words, ", ")
}

// verdict is the error of the first service that failed. Those that could not
// be brought back with it make it a rollback that failed.
func (r *run) verdict() error {
	err := r.errs[r.first]
	for i, other := range r.errs {
		if i != r.first {
			r.env.Emit(runner.Warning{Text: r.of(i, other).Error()})
		}
	}
	if len(r.stuck) == 0 {
		return r.of(r.first, err)
	}
	return fault.New(fault.RolloutFailed, "look at "+r.names(r.stuck)+": it did not go back with the others; fastship deploy rollback --service NAME tries again",
		"service %s: %w; and %s did not go back", r.name(r.first), err, r.names(r.stuck))
}
