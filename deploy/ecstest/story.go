package ecstest

import (
	"context"
	"fmt"
	"time"
)

// Story is what becomes of a scripted task. The zero value is a task that
// comes up at once, passes its checks and runs until it is stopped. The tags
// are the keys of stories in YAML files.
type Story struct {
	NoRoom     string        `yaml:"noRoom"`     // why the task cannot be placed: "no container instance met all of its requirements. …"
	Pull       time.Duration `yaml:"pull"`       // how long the pull takes
	PullError  string        `yaml:"pullError"`  // "CannotPullContainerError: …": the pull ends like this
	Start      time.Duration `yaml:"start"`      // from the pull's end to the containers' start
	StartError string        `yaml:"startError"` // "CannotStartContainerError: …" instead of a start
	Ready      time.Duration `yaml:"ready"`      // from the start until checks pass
	NeverReady bool          `yaml:"neverReady"` // checks never pass
	Unready    time.Duration `yaml:"unready"`    // from the start until checks fail again; 0: never
	Why        string        `yaml:"why"`        // reason of a failing target check
	Prints     []string      `yaml:"prints"`     // what the first essential container writes right after its start
	Crash      bool          `yaml:"crash"`      // the first essential container ends by itself …
	After      time.Duration `yaml:"after"`      // … this long after the start
	Code       int           `yaml:"code"`       // … with this exit code
	Reason     string        `yaml:"reason"`     // … and this reason, "OutOfMemoryError: …"
	Shutdown   time.Duration `yaml:"shutdown"`   // from SIGTERM to the end
	IgnoreTERM bool          `yaml:"ignoreTerm"` // ends by SIGKILL only
	Address    string        `yaml:"address"`    // for Listening; empty: made up
}

// Script is a TaskRuntime in which nothing really runs. Its keys are images
// or "family:revision" (which goes first); what has no story lives the zero
// Story.
type Script map[string]Story

// Start looks up the story of the task and plays it.
func (s Script) Start(ctx context.Context, spec TaskSpec, report func(TaskEvent)) (Task, error) {
	return ScriptFunc(s.story).Start(ctx, spec, report)
}

// Place implements Placer by the story's NoRoom.
func (s Script) Place(spec TaskSpec) string { return s.story(spec).NoRoom }

func (s Script) story(spec TaskSpec) Story {
	if story, ok := s[fmt.Sprintf("%s:%d", spec.Family, spec.Revision)]; ok {
		return story
	}
	for _, c := range spec.Containers {
		if story, ok := s[c.Image]; ok {
			return story
		}
	}
	return Story{}
}

// ScriptFunc is a Script that decides for each task by itself.
type ScriptFunc func(spec TaskSpec) Story

// Start plays the story that the function tells for the task.
func (f ScriptFunc) Start(ctx context.Context, spec TaskSpec, report func(TaskEvent)) (Task, error) {
	p := &player{
		Story: f(spec), spec: spec, report: report, done: make(chan struct{}),
		running: map[string]bool{}, queue: make(chan func(), 16),
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	go p.play()
	return p, nil
}
