package runner

import (
	"encoding/json"
	"time"
)

// Event is one thing that happened. Screens, logs, files and reports are all
// drawn from the stream of events and from nothing else.
type Event struct {
	Time  time.Time
	Stage string // empty for the run itself
	Body  Body
}

// Body is the content of an event: one of the types below, or a stage's own.
// It must survive encoding/json.
type Body interface {
	// Kind is the event's name in --json: lower-case words joined by dashes.
	Kind() string
}

// MarshalJSON gives the form of --json: the body's fields beside time, stage
// and event (the body's kind), one flat object.
func (e Event) MarshalJSON() ([]byte, error) {
	head, err := json.Marshal(struct {
		Time  time.Time `json:"time"`
		Event string    `json:"event"`
		Stage string    `json:"stage,omitempty"`
	}{e.Time.UTC(), e.Body.Kind(), e.Stage})
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(e.Body)
	if err != nil {
		return nil, err
	}
	if len(body) <= 2 { // "{}"
		return head, nil
	}
	return append(append(head[:len(head)-1], ','), body[1:]...), nil
}

// StageStarted opens a step.
type StageStarted struct{}

// StageFinished closes a step; every step of a run gets exactly one, started
// or not.
type StageFinished struct {
	Status  Status  `json:"status"`
	Reason  string  `json:"reason,omitempty"`
	Seconds float64 `json:"seconds"`
	Key     string  `json:"key,omitempty"`
	Error   string  `json:"error,omitempty"`
}

// Log is a line that a child process printed, without its line ending.
type Log struct {
	Stream string `json:"stream"` // stdout or stderr
	Line   string `json:"line"`
}

// Note is a fact worth a line on the screen: a choice made, a thing done.
type Note struct {
	Text string `json:"text"`
}

// Warning is a fault that did not stop the run, or a danger in its input.
type Warning struct {
	Text string `json:"text"`
}

// Progress counts bytes or pieces of one piece of work. Total is 0 while it
// is unknown; Done equals Total in the last one.
type Progress struct {
	What  string `json:"what"`
	Unit  string `json:"unit"` // bytes, files, tasks
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
}

// Diagnostic is a finding in the user's source: a compile error or warning.
type Diagnostic struct {
	Severity string `json:"severity"` // error or warning
	File     string `json:"file"`     // relative to the project's folder
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Message  string `json:"message"`
	Source   string `json:"source,omitempty"` // the text of that line
}

// TestFailure is one failed or broken test.
type TestFailure struct {
	Class   string `json:"class"`
	Name    string `json:"name"`
	Message string `json:"message,omitempty"`
	Frame   string `json:"frame,omitempty"` // the first frame in the user's own code
}

// Tests counts the tests of a job.
type Tests struct {
	Run     int `json:"run"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
}

// Planned is a step's plan in a dry run.
type Planned struct {
	Lines []string `json:"lines"`
}

// RunStarted opens the stream.
type RunStarted struct {
	ID     string   `json:"id"`
	Stages []string `json:"stages"` // in order
}

// RunFinished closes the stream: the outcome is the truth.
type RunFinished struct {
	ExitCode int     `json:"exitCode"`
	Seconds  float64 `json:"seconds"`
	Summary  string  `json:"summary,omitempty"` // what came out, when it went well
	// Cause is the first cause, when it did not: one line, and below it those
	// that show it, an excerpt for instance.
	Cause string `json:"cause,omitempty"`
	Hint  string `json:"hint,omitempty"` // the remedy
}

// Kind implements Body.
func (StageStarted) Kind() string { return "stage-started" }

// Kind implements Body.
func (StageFinished) Kind() string { return "stage-finished" }

// Kind implements Body.
func (Log) Kind() string { return "log" }

// Kind implements Body.
func (Note) Kind() string { return "note" }

// Kind implements Body.
func (Warning) Kind() string { return "warning" }

// Kind implements Body.
func (Progress) Kind() string { return "progress" }

// Kind implements Body.
func (Diagnostic) Kind() string { return "diagnostic" }

// Kind implements Body.
func (TestFailure) Kind() string { return "test-failure" }

// Kind implements Body.
func (Tests) Kind() string { return "tests" }

// Kind implements Body.
func (Planned) Kind() string { return "plan" }

// Kind implements Body.
func (RunStarted) Kind() string { return "run-started" }

// Kind implements Body.
func (RunFinished) Kind() string { return "run-finished" }
