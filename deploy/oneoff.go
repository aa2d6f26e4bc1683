package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/pause"
)

// TaskRunner runs tasks that belong to no service's count.
type TaskRunner interface {
	// RunTask starts one task of a definition on the service's network and
	// capacity. The same token, at most 64 characters, starts no second one.
	RunTask(ctx context.Context, t Target, definition, token string) (Task, error)
	// StopTask ends it early, with a reason that ECS shows.
	StopTask(ctx context.Context, t Target, arn, reason string) error
	// Deregister makes a revision unusable.
	Deregister(ctx context.Context, definition string) error
	// Follow reads a log stream forward from a token that an earlier call
	// gave; empty is the stream's begin. ErrNoLog says that there is none yet.
	Follow(ctx context.Context, s LogStream, from string) (lines []string, next string, err error)
}

// OneOff is a command that runs once in a service's environment: same image,
// roles, network, variables and secrets.
type OneOff struct {
	Definition json.RawMessage // RegisterTaskDefinition's body
	Container  string
	Timeout    time.Duration
	Token      string        // unique to this run
	PollEvery  time.Duration // default 3 s
}

const (
	oneOffPoll = 3 * time.Second
	logDrain   = 12 * time.Second // after the end, for lines that come late
	goodbye    = 15 * time.Second // for the clean-up, also after an interrupt
)

// OneOffDefinition makes the definition of a throw-away revision: a clone with
// the command in place of container's entry point. ContainerOverride has no
// entryPoint, so an override would make it arguments of the application. It is
// registered under a family of its own, FAMILY-task, the container is the one
// that the task ends with, and its health check is left out.
func OneOffDefinition(raw json.RawMessage, container, image string, command []string) (json.RawMessage, error) {
	if len(command) == 0 {
		return nil, fault.New(fault.BadInput, "give the command behind --", "there is no command to run")
	}
	clone, err := CloneTaskDefinition(raw, container, image)
	if err != nil {
		return nil, err
	}
	var definition map[string]json.RawMessage
	var family string
	var containers []map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(clone, &definition), json.Unmarshal(definition["family"], &family), json.Unmarshal(definition["containerDefinitions"], &containers)); err != nil {
		return nil, fmt.Errorf("read the task definition: %w", err)
	}
	set := func(m map[string]json.RawMessage, key string, v any) {
		var setErr error
		m[key], setErr = marshal(v)
		err = errors.Join(err, setErr)
	}
	for _, c := range containers {
		var name string
		if err := json.Unmarshal(c["name"], &name); err != nil {
			return nil, fmt.Errorf("read the task definition: %w", err)
		}
		set(c, "essential", name == container)
		if name == container {
			set(c, "entryPoint", command[:1])
			set(c, "command", command[1:])
			delete(c, "healthCheck")
		}
	}
	set(definition, "family", family[:min(len(family), 250)]+"-task")
	set(definition, "containerDefinitions", containers)
	if err != nil {
		return nil, err
	}
	return marshal(definition)
}

// RunOnce registers, runs, follows and cleans up. emit gets each line of the
// container's output as CloudWatch shows it. failure is nil when the command
// ended with 0; an error says that the outcome is not known: the task is
// stopped then. It ends with ctx or after the timeout, which stop the task.
func RunOnce(ctx context.Context, api API, target Target, o OneOff, emit func(line string)) (failure *Failure, err error) {
	if o.PollEvery == 0 {
		o.PollEvery = oneOffPoll
	}
	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	definition, err := eventually(limited, func() (string, error) { return api.Register(limited, o.Definition) })
	if err != nil {
		return nil, fmt.Errorf("register a revision for the task: %w", err)
	}
	defer clean(ctx, func(ctx context.Context) { _ = api.Deregister(ctx, definition) }) // it costs nothing to stay
	task, err := eventually(limited, func() (Task, error) { return api.RunTask(limited, target, definition, o.Token) })
	if err != nil {
		return nil, fmt.Errorf("run the task: %w", err)
	}
	w := &watcher{api: api, o: o, task: task, emit: emit, config: logConfigOf(o.Definition, o.Container)}
	if err := w.follow(limited, target); err != nil {
		clean(ctx, func(ctx context.Context) { _ = api.StopTask(ctx, target, task.ARN, "fastship: "+err.Error()) })
		if ctx.Err() == nil && limited.Err() != nil {
			err = fault.New(fault.RolloutTimedOut, "raise deploy.timeout, or look at what the command waits for", "the task did not end within %s; it was stopped", o.Timeout)
		}
		return nil, err
	}
	return w.verdict(), nil
}

// clean does what must be done also after an interrupt.
func clean(ctx context.Context, do func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	do(ctx)
}

// watcher follows one task and its log.
type watcher struct {
	api    API
	o      OneOff
	task   Task
	emit   func(string)
	config logConfig
	token  string
}

func logConfigOf(definition json.RawMessage, container string) logConfig {
	config, _ := logConfiguration(TaskDefinition{Raw: definition}, container) // unreadable: no log
	return config
}

// follow returns when the task has ended and its log is at its end, or with
// the error of ctx.
func (w *watcher) follow(ctx context.Context, target Target) error {
	for !w.task.over() {
		if err := pause.For(ctx, w.o.PollEvery); err != nil {
			return err
		}
		found, err := w.api.Tasks(ctx, target, TaskQuery{Known: []string{w.task.ARN}})
		switch {
		case err != nil && !Transient(err):
			return fmt.Errorf("follow the task: %w", err)
		case err == nil && len(found) == 1:
			w.task = found[0]
		}
		w.read(ctx)
	}
	for end := time.Now().Add(logDrain); w.config.Driver == "awslogs" && w.ran() && time.Now().Before(end); {
		if pause.For(ctx, w.o.PollEvery) != nil {
			break // the outcome is known
		}
		w.read(ctx)
	}
	return nil
}

func (w *watcher) ran() bool {
	for _, c := range w.task.Containers {
		if c.Name == w.o.Container {
			return c.Exit != nil || c.Runtime != ""
		}
	}
	return false
}

// read passes on what the log has got. A log that cannot be read is no reason
// to give the task up.
func (w *watcher) read(ctx context.Context) {
	if w.config.Driver != "awslogs" {
		return
	}
	f := Failure{Task: w.task.ID(), Container: w.o.Container}
	for _, c := range w.task.Containers {
		if c.Name == w.o.Container {
			f.Runtime = c.Runtime
		}
	}
	for {
		lines, next, err := w.api.Follow(ctx, w.config.stream(f), w.token)
		if err != nil {
			return
		}
		for _, line := range lines {
			w.emit(line)
		}
		if next == w.token || len(lines) == 0 {
			w.token = next
			return
		}
		w.token = next
	}
}

// verdict is nil for a command that ended with 0.
func (w *watcher) verdict() *Failure {
	for _, c := range w.task.Containers {
		if c.Name == w.o.Container && c.Exit != nil && *c.Exit == 0 {
			return nil
		}
	}
	f, failed := failureOf(w.task, map[string]bool{w.o.Container: true})
	if !failed {
		f.Text = "the task ended without an exit code: " + orElse(oneLine(w.task.StoppedReason), "ECS gives no reason")
	}
	return &f
}
