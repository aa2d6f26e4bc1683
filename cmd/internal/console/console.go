// Package console draws a run's events for people and for programs. It is the
// only place that formats: stages emit, the console prints.
//
// stdout is the result: the summary of a run, the plan of a dry run, or, in
// JSON, every event. stderr is the progress. The first cause of a failure is
// the last line of stderr, "error: …"; a remedy, where there is one, stands
// right above it as "hint: …", and further lines of the cause (an excerpt, the
// causes of other stages) above that.
package console

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fastship/fastship/runner"
)

// Mode is how events are drawn.
type Mode int

// The modes. Plain suits terminals and CI logs alike; JSON writes one event a
// line to Out and nothing anywhere else.
const (
	Plain Mode = iota
	JSON
)

// Options say where and how a Console draws.
type Options struct {
	Out  io.Writer // the result
	Err  io.Writer // the progress
	Mode Mode
	// Redact masks the secrets in a text; nil masks nothing. It is called
	// with whole texts: decoded JSON strings, and lines before and after
	// their control characters are taken out.
	Redact func(string) string
	// TTY says that Err is a terminal, which gets a status line and keeps
	// the colours of child processes.
	TTY bool
	// Width tells the terminal's width in columns; nil means 80.
	Width func() int
}

// Console draws a stream of events. Emit must be called one at a time, as
// runner.Options.Emit is.
type Console struct {
	opt    Options
	mu     sync.Mutex // the status line is redrawn from its own goroutine
	err    error      // the first failed write; nothing is written after it
	column int        // width of the column of stage names
	bars   map[bar]*barState
	failed []stageError
	status *status // nil unless Err is a terminal
}

// stageError is a stage's own failure, kept until the run's cause is known.
type stageError struct{ stage, text string }

// New starts a Console. Close it when the run is over.
func New(opt Options) *Console {
	if opt.Redact == nil {
		opt.Redact = func(s string) string { return s }
	}
	if opt.Width == nil {
		opt.Width = func() int { return 80 }
	}
	c := &Console{opt: opt, column: len("rollout"), bars: map[bar]*barState{}}
	if opt.TTY && opt.Mode == Plain {
		c.status = newStatus(c)
	}
	return c
}

// Emit draws one event.
func (c *Console) Emit(e runner.Event) {
	if e.Body == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opt.Mode == JSON {
		c.json(e)
		return
	}
	c.plain(e)
	if c.status != nil {
		c.status.observe(e)
	}
}

// Close takes the status line away and returns the first error of a write to
// Out or Err: a result that did not arrive is a failure of the run.
func (c *Console) Close() error {
	if c.status != nil {
		c.status.stop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// write gives w one whole piece in one call, so that the lines of processes
// that share a log do not cut into each other.
func (c *Console) write(w io.Writer, s string) {
	if c.err != nil || s == "" {
		return
	}
	if c.status != nil {
		if erase := c.status.erase(); w == c.opt.Err {
			s = erase + s
		} else if erase != "" {
			c.put(c.opt.Err, erase)
		}
	}
	c.put(w, s)
}

func (c *Console) put(w io.Writer, s string) {
	if c.err != nil {
		return
	}
	if _, err := io.WriteString(w, s); err != nil {
		c.err = fmt.Errorf("write the run's output: %w", err)
	}
}

// seconds prints a duration the way a person reads it: 0.04s, 12.3s, 2m05s.
func seconds(s float64) string {
	switch {
	case s < 1:
		return fmt.Sprintf("%.2fs", s)
	case s < 59.95:
		return fmt.Sprintf("%.1fs", s)
	}
	d := time.Duration(s * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}
