package console

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fastship/fastship/runner"
)

// plain draws one event as lines of text. Every line but a diagnostic's
// begins with the stage's name in a column of fixed width; a diagnostic begins
// with its path, where editors and CI systems look for it.
func (c *Console) plain(e runner.Event) {
	switch b := e.Body.(type) {
	case runner.StageStarted:
		// its first line, or its end, tells
	case runner.RunStarted:
		for _, s := range b.Stages {
			c.column = max(c.column, len(s))
		}
		c.say("run", b.ID+": "+strings.Join(b.Stages, ", "))
	case runner.Log:
		lines := c.lines(b.Line)
		for i := range lines {
			lines[i] = "| " + lines[i]
		}
		c.write(c.opt.Err, c.columns(e.Stage, lines))
	case runner.Note:
		c.say(e.Stage, b.Text)
	case runner.Warning:
		c.say(e.Stage, "warning: "+b.Text)
	case runner.Diagnostic:
		c.diagnostic(b)
	case runner.TestFailure:
		c.testFailure(e.Stage, b)
	case runner.Tests:
		if b.Run == 0 {
			return // the stage says why
		}
		c.say(e.Stage, fmt.Sprintf("%d tests run, %d failed, %d skipped", b.Run, b.Failed, b.Skipped))
	case runner.Progress:
		c.progress(e, b)
	case runner.Planned:
		c.planned(e.Stage, b)
	case runner.StageFinished:
		c.stageFinished(e.Stage, b)
	case runner.RunFinished:
		c.runFinished(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			raw = []byte(err.Error())
		}
		c.say(e.Stage, b.Kind()+": "+string(maskJSON(raw, c.maskValue)))
	}
}

// say prints a text to Err under the stage's name.
func (c *Console) say(stage, text string) {
	c.write(c.opt.Err, c.columns(stage, c.lines(text)))
}

// columns puts the stage's name before the first line and leaves its column
// empty before the others.
func (c *Console) columns(stage string, lines []string) string {
	var s strings.Builder
	for i, line := range lines {
		if i > 0 {
			stage = ""
		}
		s.WriteString(strings.TrimRight(fmt.Sprintf("%-*s  %s", c.column, stage, line), " "))
		s.WriteByte('\n')
	}
	return s.String()
}

func (c *Console) diagnostic(d runner.Diagnostic) {
	head := d.File
	if d.Line > 0 {
		head += fmt.Sprintf(":%d", d.Line)
		if d.Column > 0 {
			head += fmt.Sprintf(":%d", d.Column)
		}
	}
	lines := c.lines(head + ": " + d.Severity + ": " + d.Message)
	for i := range lines[1:] {
		lines[1+i] = "    " + lines[1+i]
	}
	if d.Source != "" {
		source := c.lines(expandTabs(d.Source))[0]
		lines = append(lines, "    "+source)
		if d.Column > 0 && d.Column <= len([]rune(source))+1 {
			lines = append(lines, "    "+strings.Repeat(" ", d.Column-1)+"^")
		}
	}
	c.write(c.opt.Err, strings.Join(lines, "\n")+"\n")
}

// expandTabs puts tab stops at every 8th column, which is how javac counts
// the columns that it reports (DiagnosticSource.getColumnNumber).
func expandTabs(s string) string {
	var b strings.Builder
	column := 0
	for _, r := range s {
		n := 1
		if r == '\t' {
			n, r = 8-column%8, ' '
		}
		b.WriteString(strings.Repeat(string(r), n))
		column += n
	}
	return b.String()
}

func (c *Console) testFailure(stage string, f runner.TestFailure) {
	text := "FAILED " + f.Class + "." + f.Name
	if f.Message != "" {
		text += ": " + f.Message
	}
	lines := c.lines(text)
	if f.Frame != "" {
		lines = append(lines, c.lines("at "+strings.TrimPrefix(strings.TrimSpace(f.Frame), "at "))...)
	}
	for i := range lines[1:] {
		lines[1+i] = "    " + lines[1+i]
	}
	c.write(c.opt.Err, c.columns(stage, lines))
}

func (c *Console) planned(stage string, p runner.Planned) {
	lines := p.Lines
	if len(lines) == 0 {
		lines = []string{"nothing to do"}
	}
	c.write(c.opt.Out, c.columns(stage, c.lines(strings.Join(lines, "\n"))))
}

func (c *Console) stageFinished(stage string, f runner.StageFinished) {
	if f.Status == runner.Cancelled && f.Seconds == 0 {
		return // it never began, which the end of the screen explains
	}
	text := string(f.Status)
	if f.Seconds > 0 {
		text += " " + seconds(f.Seconds)
	}
	if f.Reason != "" {
		text += " (" + f.Reason + ")"
	}
	c.say(stage, text)
	if f.Status == runner.Failed && f.Error != "" {
		c.failed = append(c.failed, stageError{stage, f.Error})
	}
}

// runFinished prints the end of a run: the lines that show the cause, the
// remedy, and the cause's first line as the last of all.
func (c *Console) runFinished(f runner.RunFinished) {
	if f.ExitCode == 0 {
		c.say("run", "done "+seconds(f.Seconds))
		if f.Summary != "" {
			c.write(c.opt.Out, strings.Join(c.lines(f.Summary), "\n")+"\n")
		}
		return
	}
	c.say("run", "failed "+seconds(f.Seconds))
	for _, e := range c.failed {
		if firstLine(e.text) != firstLine(f.Cause) {
			c.say(e.stage, "also failed: "+e.text)
		}
	}
	cause := c.lines(f.Cause)
	if f.Cause == "" {
		cause = []string{fmt.Sprintf("exit code %d", f.ExitCode)}
	}
	tail := slices.Clone(cause[1:])
	if f.Hint != "" {
		tail = append(tail, "hint: "+strings.Join(c.lines(f.Hint), " "))
	}
	tail = append(tail, "error: "+cause[0])
	c.write(c.opt.Err, strings.Join(tail, "\n")+"\n")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(line)
}
