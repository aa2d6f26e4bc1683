// Package rollout makes an ECS service run an image and follows the rollout
// to its true end. The machine that plans and judges is package deploy; this
// stage gives it its input and says in the runner's words what it found.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// Config is the deploy section of fastship.yaml.
type Config struct {
	Cluster   string        `yaml:"cluster"`   // name or ARN
	Service   string        `yaml:"service"`   // name or ARN
	Container string        `yaml:"container"` // empty: deploy.ChooseContainer finds it
	Timeout   time.Duration `yaml:"timeout"`   // default 15m, and the bake times of the service's strategy
	Region    string        `yaml:"region"`    // empty: the AWS SDK's own chain
	// Role is the ARN of a role to assume, ExternalID what its trust policy
	// may ask for. Empty: the credentials at hand.
	Role       string `yaml:"role"`
	ExternalID string `yaml:"externalId"`

	Rollback deploy.Policy `yaml:"rollback"` // auto, ask, never
	// TaskDefinition is a file, relative to Dir, that is the truth in place of
	// what the service runs; the image is put into it.
	TaskDefinition string   `yaml:"taskDefinition"`
	Before         []string `yaml:"before"` // a command that runs once with the new image before the service is touched
	After          []string `yaml:"after"`  // and one after the rollout has succeeded

	// Services are several that run the same image, instead of Service.
	Services []Member `yaml:"services"`
	// CodeDeploy names the application and deployment group of a service that
	// CodeDeploy deploys, APPLICATION/GROUP; empty: they are found.
	CodeDeploy string `yaml:"codedeploy"`
	// Schedules are EventBridge rules and schedules (names or ARNs) whose tasks
	// are to run the image, too.
	Schedules []string `yaml:"schedules"`

	// WaitFor is how far the rollout is followed; empty: steady.
	WaitFor deploy.Until `yaml:"waitFor"`
	// Dir is the folder of fastship.yaml.
	Dir string `yaml:"-"`
	// Repository is image.repository: it tells our container from sidecars
	// before there is an image.
	Repository string `yaml:"-"`
	// Image is what is known of the image before it is built.
	Image deploy.ImageFacts `yaml:"-"`
}

// Deploys reports whether there is a service to roll out.
func (c Config) Deploys() bool { return c.Service != "" || len(c.Services) > 0 }

// Member is one of several services, with what it has of its own.
type Member struct {
	Service        string `yaml:"service"`
	Container      string `yaml:"container"`
	TaskDefinition string `yaml:"taskDefinition"`
}

// In is the image to run.
type In struct {
	Image string // repository@sha256:…; empty, or ending in "@", in a plan while it is unknown
	// Bytes are the image's sizes, compressed, by platform (linux/amd64); nil
	// where nobody knows. They are for the records only.
	Bytes map[string]int64
}

// Out is how the rollout ended.
type Out struct {
	Outcome        string `json:"outcome"`        // deploy.Outcome's word
	TaskDefinition string `json:"taskDefinition"` // ARN of the revision that was rolled out
	Previous       string `json:"previous"`       // ARN of the revision that ran before
	Deployment     string `json:"deployment,omitempty"`
	Cause          string `json:"cause,omitempty"` // the first cause, when it failed
	// Of several services: their names, and how each of them ended.
	Service  string `json:"service,omitempty"`
	Services []Out  `json:"services,omitempty"`
}

// Summary says it in one line.
func (o Out) Summary() string {
	if o.Outcome == "" {
		return ""
	}
	names := []string{deploy.ShortName(o.TaskDefinition)}
	for i, each := range o.Services {
		names = append(names[:i], deploy.ShortName(each.TaskDefinition))
	}
	return "rollout of " + strings.Join(names, ", ") + ": " + o.Outcome
}

// Deps replace parts of the world. The zero value is AWS.
type Deps struct {
	// Connect makes the client of the API in a region (empty: the AWS SDK's
	// choice). Errors are of class fault.Missing. Default: by Region, Role and
	// ExternalID of the configuration.
	Connect func(ctx context.Context, region string) (deploy.API, error)
	// PollEvery replaces the pace that AWS's request limits ask for.
	PollEvery time.Duration
	// Jitter gives numbers in [0,1) that keep followers apart; default
	// math/rand/v2.
	Jitter func() float64
	// Logs gives the last lines that a dead container printed. Default
	// deploy.LastWords, by CloudWatch Logs.
	Logs func(task, container string) []string
	// Ask asks a person a question that has a yes or no; nil where nobody is.
	Ask func(ctx context.Context, question string) bool
	// Getenv looks up variables in the task definition's file; by default none
	// is set.
	Getenv func(name string) (string, bool)
	// State is the folder (absolute) that remembers a rollout which has not
	// ended, for the run after one that was killed, and what the last ones took,
	// for Doctor. Empty: none does.
	State string
	// Explain gives the remedy for a cause, in one imperative sentence, or
	// the empty string. Default Remedy.
	Explain func(cause string, logs []string) string
}

const (
	defaultTimeout = 15 * time.Minute
	retryEvery     = 2 * time.Second // of the first reads
	lastLines      = 50              // of a dead container's log are shown
)

// Step is the stage.
type Step struct {
	cfg  Config
	deps Deps

	mu     sync.Mutex
	api    deploy.API // by first
	seen   *deploy.Plan
	unread []string // what Check could not look up

	roles simulated
}

var _ runner.Step[In, Out] = (*Step)(nil)

// New makes the stage.
func New(cfg Config, deps Deps) *Step {
	if deps.Connect == nil {
		deps.Connect = once(cfg.connect)
	}
	if deps.Explain == nil {
		deps.Explain = Remedy
	}
	return &Step{cfg: cfg, deps: deps}
}

// timeout is deploy.timeout; by default it leaves room for the bake times that
// the service's own configuration asks for.
func (s *Step) timeout(bake time.Duration) time.Duration {
	if s.cfg.Timeout > 0 {
		return s.cfg.Timeout
	}
	return defaultTimeout + bake
}

// remembered connects once: a role is assumed by one call, and a client knows
// what it has read before. A failure is not remembered.
func remembered(connect func(context.Context, string) (deploy.API, error)) func(context.Context, string) (deploy.API, error) {
	var mu sync.Mutex
	var api deploy.API
	return func(ctx context.Context, region string) (deploy.API, error) {
		mu.Lock()
		defer mu.Unlock()
		if api != nil {
			return api, nil
		}
		found, err := connect(ctx, region)
		if err == nil {
			api = found
		}
		return found, err
	}
}

func (c Config) connect(ctx context.Context, region string) (deploy.API, error) {
	cfg, err := awsconf.Load(ctx, awsconf.Options{Region: region, Role: c.Role, ExternalID: c.ExternalID})
	if err != nil {
		return nil, err
	}
	return ecs.New(cfg), nil
}

// Name implements runner.Step.
func (s *Step) Name() string { return "rollout" }

// Check implements runner.Step: credentials, an active service that fastship
// can drive, an unambiguous container.
func (s *Step) Check(ctx context.Context) error {
	if s.cfg.Service == "" {
		return fault.New(fault.BadInput, "set deploy.service to the name of an ECS service", "no service to deploy to: deploy.service is empty")
	}
	if err := errors.Join(deploy.CheckPolicy(s.cfg.Rollback), deploy.CheckUntil(s.cfg.WaitFor)); err != nil {
		return err
	}
	api, plan, err := s.first(ctx)
	if err != nil {
		return err
	}
	s.simulate(ctx, api, plan)
	bad, _ := plan.Truth().Fits(plan.Container, s.cfg.Image)
	bad = append(bad, s.premises(ctx, api, plan)...)
	if plan.Before.ByCodeDeploy() {
		if _, err := s.codeDeploy(ctx, api, plan); err != nil {
			bad = append(bad, err)
		}
	}
	if err := checkSchedules(ctx, s.cfg, api, plan); err != nil {
		bad = append(bad, err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(bad) > 1 {
		return runner.Findings(bad)
	}
	return errors.Join(bad...)
}

// Plan implements runner.Step.
func (s *Step) Plan(ctx context.Context, in In) (runner.Plan[Out], error) {
	api, plan, err := s.prepare(ctx, in.Image)
	if err != nil {
		return runner.Plan[Out]{}, err
	}
	moves, err := scheduleLines(ctx, s.cfg, api, in.Image, plan)
	if err != nil {
		return runner.Plan[Out]{}, err
	}
	lines := s.taskLines(plan, moves)
	_, doubts := plan.Truth().Fits(plan.Container, s.cfg.Image)
	doubts = append(doubts, s.unreadPremises()...)
	if plan.Action == deploy.Update {
		denied, unread := s.denied(ctx)
		doubts = append(append(doubts, denied...), unread...)
	}
	for _, d := range doubts {
		lines = append(lines, "warning: "+d)
	}
	return runner.Plan[Out]{Lines: lines, Out: Out{TaskDefinition: plan.Existing, Previous: plan.Current.ARN}}, nil
}

// prepare only reads. What it cannot read is missing or refused.
func (s *Step) prepare(ctx context.Context, image string) (deploy.API, deploy.Plan, error) {
	api, err := s.deps.Connect(ctx, s.cfg.Region)
	if err != nil {
		return nil, deploy.Plan{}, err
	}
	file, err := s.definition()
	if err != nil {
		return nil, deploy.Plan{}, err
	}
	target := deploy.Target{Cluster: s.cfg.Cluster, Service: s.cfg.Service}
	plan, err := deploy.PrepareFile(ctx, api, target, s.cfg.Container, s.cfg.Repository, image, file)
	if ctx.Err() != nil {
		return nil, deploy.Plan{}, context.Cause(ctx)
	}
	if err != nil && fault.ClassOf(err) == fault.Internal {
		err = fault.New(fault.Missing, "check the network, deploy.region and AWS_ENDPOINT_URL", "read service %s from ECS: %w", s.cfg.Service, err)
	}
	return api, plan, err
}

// Run implements runner.Step. Whatever goes wrong here is of one of the four
// classes of a rollout; Out tells the outcome then too.
func (s *Step) Run(ctx context.Context, env runner.Env, in In) (runner.Result[Out], error) {
	way, err := s.ready(ctx, env, in)
	if err != nil {
		return runner.Result[Out]{}, err
	}
	if way.plan.Action == deploy.Nothing {
		return runner.Result[Out]{Out: way.out, Status: runner.Cached, Reason: "already running"}, s.move(ctx, env, way)
	}
	if err := s.begin(ctx, env, way, func() error { return s.before(ctx, env, way) }); err != nil {
		return runner.Result[Out]{Out: way.out}, err
	}
	result, err := s.watch(ctx, env, way, nil)
	switch {
	case err != nil:
		return runner.Result[Out]{Out: way.out}, err
	case result.Outcome != deploy.Succeeded:
		return runner.Result[Out]{Out: way.out}, s.verdict(ctx, env, way.api, result)
	}
	if err := s.move(ctx, env, way); err != nil {
		return runner.Result[Out]{Out: way.out}, err
	}
	return runner.Result[Out]{Out: way.out}, s.after(ctx, env, way)
}

// way is one service's way through a run.
type way struct {
	api   deploy.API
	plan  deploy.Plan
	begun deploy.Begun
	by    *byCodeDeploy // where CodeDeploy deploys; else nil
	start time.Time     // of the wait's deadline
	bytes int64         // that a task pulls; 0: not known
	out   Out
}

// ready plans, and tells what is doubtful.
func (s *Step) ready(ctx context.Context, env runner.Env, in In) (*way, error) {
	w := &way{start: time.Now()}
	var err error
	if w.api, w.plan, err = s.patiently(ctx, in.Image, func(e deploy.Event) { tell(env.Emit, e) }); err != nil {
		return nil, inRollout(ctx, err)
	}
	w.bytes = in.Bytes[w.plan.Truth().Platform()]
	_, doubts := w.plan.Truth().Fits(w.plan.Container, s.cfg.Image)
	if w.plan.Action == deploy.Update {
		soon, cancel := context.WithTimeout(ctx, patience)
		denied, _ := s.denied(soon)
		cancel()
		doubts = append(doubts, denied...)
	}
	for _, d := range doubts {
		env.Emit(runner.Warning{Text: d})
	}
	w.out = Out{TaskDefinition: w.plan.Existing, Previous: w.plan.Current.ARN}
	if w.plan.Action == deploy.Nothing {
		s.told()
		w.out.Outcome = string(deploy.Succeeded)
	}
	return w, nil
}

// begin carries the plan out, or finds what a run that was killed began of it.
// before is what has to be done first in a rollout that nobody began.
func (s *Step) begin(ctx context.Context, env runner.Env, w *way, before func() error) error {
	emit := func(e deploy.Event) { tell(env.Emit, e) }
	if w.plan.Before.ByCodeDeploy() {
		return s.beginByCodeDeploy(ctx, env, w, before)
	}
	begun, found := s.resume(ctx, w.api, w.plan)
	var err error
	if found {
		emit(deploy.Began{Deployment: begun.ID, TaskDefinition: begun.TaskDefinition, Resumed: true})
	} else if err = before(); err == nil {
		if len(s.cfg.Before) > 0 {
			w.start = time.Now() // the task had a deadline of its own
		}
		intent := w.plan.Intend(time.Now())
		s.keep(intent)
		if begun, err = s.apply(ctx, w.api, w.plan, emit); err == nil {
			s.keep(intent.With(begun))
		}
	}
	w.begun = begun
	w.out.Deployment, w.out.TaskDefinition = begun.ID, begun.TaskDefinition
	w.out.Previous = firstOf(begun.Previous, w.out.Previous)
	if err == nil {
		return nil
	}
	w.out.Outcome, w.out.Cause = string(deploy.Failed), err.Error()
	if ctx.Err() == nil {
		s.told()
	} else {
		env.Emit(runner.Note{Text: "service " + w.plan.Before.Name + " may have been updated: if so, the rollout goes on in ECS without fastship"})
	}
	return inRollout(ctx, err)
}

// watch follows what was begun to its end. An error says that the end is not
// known. seen, unless nil, gets the events, too.
func (s *Step) watch(ctx context.Context, env runner.Env, w *way, seen func(deploy.Event)) (deploy.Result, error) {
	if w.by != nil {
		return s.watchCodeDeploy(ctx, env, w, seen)
	}
	follower := deploy.NewFollower(w.begun, w.plan.Essential, deploy.Options{
		Timeout: s.timeout(w.plan.Before.Bake), PollEvery: s.deps.PollEvery, Jitter: s.deps.Jitter, Rollback: s.cfg.Rollback, Until: s.cfg.WaitFor, Ask: s.deps.Ask,
	}, w.start)
	result, err := deploy.Follow(ctx, w.api, w.plan.Target, follower, func(e deploy.Event) {
		if seen != nil {
			seen(e)
		}
		tell(env.Emit, e)
	})
	if err != nil {
		if !errors.Is(err, errTurnedBack) {
			env.Emit(runner.Note{Text: "the rollout of " + deploy.ShortName(w.begun.TaskDefinition) + " goes on in ECS without fastship"})
		}
		return result, err
	}
	s.remember(w, result.Outcome, follower.Timing())
	s.told()
	w.out.Outcome, w.out.Cause = string(result.Outcome), result.Cause
	return result, nil
}

// patiently is prepare after the build, which a passing fault of ECS must not
// have been for nothing.
func (s *Step) patiently(ctx context.Context, image string, emit func(deploy.Event)) (deploy.API, deploy.Plan, error) {
	limited, cancel := context.WithTimeout(ctx, s.timeout(0))
	defer cancel()
	for told := false; ; told = true {
		api, plan, err := s.prepare(ctx, image)
		if !deploy.Transient(err) {
			return api, plan, err
		}
		if !told {
			emit(deploy.Trouble{Err: err})
		}
		select {
		case <-limited.Done():
			return nil, deploy.Plan{}, err
		case <-time.After(retryEvery):
		}
	}
}

// apply bounds the writes by the same deadline as the wait.
func (s *Step) apply(ctx context.Context, api deploy.API, plan deploy.Plan, emit func(deploy.Event)) (deploy.Begun, error) {
	limited, cancel := context.WithTimeout(ctx, s.timeout(0))
	defer cancel()
	begun, err := deploy.Apply(limited, api, plan, emit)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fault.New(fault.RolloutTimedOut, "run it again, or raise deploy.timeout", "%w (deadline of %s)", err, s.timeout(0))
	}
	return begun, err
}

// verdict is the error of an outcome, after the last words of the container
// that shows the cause.
func (s *Step) verdict(ctx context.Context, env runner.Env, api deploy.API, r deploy.Result) error {
	if r.Outcome == deploy.Succeeded {
		return nil
	}
	logs, where := s.lastWords(ctx, api, r.Failure)
	for _, line := range logs[max(0, len(logs)-lastLines):] {
		env.Emit(runner.Log{Stream: "stderr", Line: line})
	}
	for _, text := range []string{where, r.Detail} {
		if text != "" {
			env.Emit(runner.Note{Text: text})
		}
	}
	hint := s.deps.Explain(r.Cause, logs)
	if r.Failure != nil && strings.Contains(r.Cause, "another platform") {
		if definition, err := api.TaskDefinition(ctx, r.Failure.Definition); err == nil {
			hint = platformHint(definition, s.cfg.Image.Platform)
		}
	}
	if hint == "" {
		hint = nextStep[r.Outcome]
	}
	return fault.New(classes[r.Outcome], hint, "the rollout %s: %s", r.Outcome.Words(), r.Cause)
}

// lastWords is the end of what the dead container printed, or where it is.
func (s *Step) lastWords(ctx context.Context, api deploy.API, f *deploy.Failure) (lines []string, where string) {
	switch {
	case f == nil:
		return nil, ""
	case s.deps.Logs != nil:
		return s.deps.Logs(f.Task, f.Container), ""
	}
	return deploy.LastWords(ctx, api, api, *f)
}

var classes = map[deploy.Outcome]fault.Class{
	deploy.Failed:         fault.RolloutFailed,
	deploy.RollbackFailed: fault.RolloutFailed,
	deploy.Stopped:        fault.RolloutFailed,
	deploy.RolledBack:     fault.RolledBack,
	deploy.Superseded:     fault.Superseded,
	deploy.TimedOut:       fault.RolloutTimedOut,
}

var nextStep = map[deploy.Outcome]string{
	deploy.Stopped:    "ask who stopped it, then run again",
	deploy.Superseded: "look at what the other deployment brings; run again to put this image back",
	deploy.TimedOut:   "look at the service's tasks and events, or raise deploy.timeout",
}

// inRollout gives an error of Run a rollout's class: classes 2 and 3 are for
// what is found before any work. The remedy stays.
func inRollout(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Class >= fault.RolloutFailed {
		return err
	}
	return fault.New(fault.RolloutFailed, fault.HintOf(err), "%w", fmt.Errorf("deploy: %w", err))
}
