package console_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/cmd/internal/console"
	"github.com/fastship/fastship/runner"
)

var update = flag.Bool("update", false, "write the golden files")

// shipped is a stage's own event, unknown to the console.
type shipped struct {
	To    string         `json:"to"`
	Notes map[string]any `json:"notes"`
}

func (shipped) Kind() string { return "shipped" }

const secret = `p"ss<wörd>\`

func redact(s string) string { return strings.ReplaceAll(s, secret, "***") }

// stream is one run with every kind of event in it.
func stream() []runner.Event {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := 0.0
	var events []runner.Event
	add := func(after float64, stage string, b runner.Body) {
		at += after
		events = append(events, runner.Event{Time: start.Add(time.Duration(at * float64(time.Second))), Stage: stage, Body: b})
	}
	add(0, "", runner.RunStarted{ID: "r1", Stages: []string{"source", "maven", "image", "push", "rollout"}})
	add(0, "source", runner.StageStarted{})
	add(0.04, "source", runner.StageFinished{Status: runner.Ran, Seconds: 0.04})
	add(0, "maven", runner.StageStarted{})
	add(0.1, "maven", runner.Note{Text: "JDK 17.0.1 from JAVA_HOME\nas the pom asks"})
	add(0.1, "maven", runner.Log{Stream: "stdout", Line: "[INFO] token " + secret + " in a line"})
	add(0, "maven", runner.Log{Stream: "stdout", Line: ""})
	add(0, "maven", runner.Log{Stream: "stdout", Line: "\x1b[1;31mred\x1b[m \x1b[2J\x1b]0;title\x07clear\x9b2J p\"ss\x1b[1m<wörd>\\ done"})
	add(0, "maven", runner.Log{Stream: "stderr", Line: "10%\r20%\a\x00"})
	add(0, "maven", runner.Warning{Text: "the cache is full"})
	add(0, "maven", runner.Diagnostic{Severity: "error", File: "src/A.java", Line: 12, Column: 17, Message: "cannot find symbol\nsymbol: y", Source: "\tint  xy=y;"})
	add(0, "maven", runner.Diagnostic{Severity: "warning", File: "pom.xml", Message: "no encoding"})
	add(0, "maven", runner.TestFailure{Class: "com.acme.FooTest", Name: "adds", Message: "expected 1\nbut was 2", Frame: "com.acme.FooTest.adds(FooTest.java:7)"})
	add(0, "maven", runner.Tests{Run: 12, Failed: 1, Skipped: 2})
	add(12, "maven", runner.StageFinished{Status: runner.Ran, Seconds: 12.2, Key: "abc"})
	add(0, "image", runner.StageStarted{})
	add(0, "image", runner.StageFinished{Status: runner.Cached, Seconds: 0.2, Reason: "nothing changed"})
	add(0, "push", runner.StageStarted{})
	for i := range 6 {
		add(0.9, "push", runner.Progress{What: "layer 1", Unit: "bytes", Done: int64(i) * 10e6, Total: 50e6})
	}
	add(0, "push", runner.Progress{What: "layer 1", Unit: "bytes", Done: 50e6, Total: 50e6})
	add(0, "push", runner.Progress{What: "manifests", Unit: "files", Done: 1, Total: 1})
	add(0, "push", runner.Planned{Lines: []string{"push to localhost:5000/a", "tag it latest"}})
	add(0, "push", runner.Planned{})
	add(0, "push", shipped{To: "a " + secret, Notes: map[string]any{secret: []any{secret, 7, "a<b"}}})
	add(90, "push", runner.StageFinished{Status: runner.Failed, Seconds: 95.4, Error: "put blob: 500"})
	add(0, "rollout", runner.StageFinished{Status: runner.Cancelled, Reason: "an earlier step did not finish"})
	return events
}

func failure() runner.Event {
	return runner.Event{Time: time.Unix(0, 0), Body: runner.RunFinished{ExitCode: 2, Seconds: 107.6,
		Cause: "fastship.yaml:1:1: unknown key\n> 1 | a: " + secret + "\n      ^", Hint: "remove it"}}
}

func success() runner.Event {
	return runner.Event{Time: time.Unix(0, 0), Body: runner.RunFinished{Seconds: 107.6, Summary: "http://127.0.0.1:8080/?" + secret}}
}

func draw(t *testing.T, opt console.Options, events ...runner.Event) (stdout, stderr string) {
	t.Helper()
	var out, progress bytes.Buffer
	opt.Out, opt.Err = &out, &progress
	c := console.New(opt)
	for _, e := range events {
		c.Emit(e)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String(), progress.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestPlain(t *testing.T) {
	out, progress := draw(t, console.Options{Redact: redact}, append(stream(), failure())...)
	golden(t, "plain.stdout", out)
	golden(t, "plain.stderr", progress)
	if strings.ContainsAny(out+progress, "\x1b\a\r\x00\u009b") {
		t.Error("control characters reached a log")
	}
	if strings.Contains(out+progress, secret) {
		t.Error("the secret reached a log")
	}
	lines := strings.Split(strings.TrimRight(progress, "\n"), "\n")
	if got, want := lines[len(lines)-1], "error: fastship.yaml:1:1: unknown key"; got != want {
		t.Errorf("the last line is %q, want the cause %q", got, want)
	}
	out, progress = draw(t, console.Options{Redact: redact}, success())
	if out != "http://127.0.0.1:8080/?***\n" || progress != "run      done 1m48s\n" {
		t.Errorf("success: stdout %q, stderr %q", out, progress)
	}
	_, progress = draw(t, console.Options{}, runner.Event{Body: runner.RunFinished{ExitCode: 130}})
	if !strings.HasSuffix(progress, "\nerror: exit code 130\n") {
		t.Errorf("a failure without a cause ends with %q", progress)
	}
}

func TestJSON(t *testing.T) {
	out, progress := draw(t, console.Options{Mode: console.JSON, TTY: true, Redact: redact}, append(stream(), failure(), success())...)
	golden(t, "json.stdout", out)
	if encoded, _ := json.Marshal(secret); strings.Contains(out, strings.Trim(string(encoded), `"`)) {
		t.Error("the secret reached the stream in its encoded form")
	}
	if progress != "" {
		t.Errorf("stderr has %q", progress)
	}
	for line := range strings.Lines(out) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if event["event"] == "" || event["time"] == nil {
			t.Errorf("%s: no event or no time", line)
		}
		if s, ok := event["line"].(string); ok && strings.Contains(s, secret) {
			t.Errorf("%s: the secret is there once decoded", line)
		}
	}
}

// TestTerminal holds that on a terminal only colours come through, and that
// the status line never stands in the way of another.
func TestTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out, progress bytes.Buffer
		c := console.New(console.Options{Out: &out, Err: &progress, TTY: true, Redact: redact, Width: func() int { return 24 }})
		defer c.Close()
		step := func(wait time.Duration, stage string, b runner.Body) string {
			if b != nil {
				c.Emit(runner.Event{Time: time.Now(), Stage: stage, Body: b})
			}
			time.Sleep(wait)
			synctest.Wait()
			s := progress.String()
			progress.Reset()
			return s
		}
		check := func(got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		}
		const erase = "\r\x1b[K"
		check(step(time.Second+50*time.Millisecond, "maven", runner.StageStarted{}), "maven 0s"+erase+"maven 1s")
		check(step(0, "maven", runner.Log{Line: "\x1b[31mred\x1b[2J\x1b[H\x1b]0;t\x07x"}), erase+"maven    | \x1b[31mredx\x1b[0m\n")
		check(step(0, "maven", runner.Log{Line: "p\"ss\x1b[1m<wörd>\\ done"}), "maven    | *** done\n")
		check(step(60*time.Millisecond, "maven", runner.Progress{What: "layer", Unit: "bytes", Done: 1, Total: 1e9}), "maven 1s layer 0.0 of 1")
		check(step(100*time.Millisecond, "maven", runner.Planned{Lines: []string{"x"}}), erase+"maven 1s layer 0.0 of 1")
		check(out.String(), "maven    x\n")
		check(step(time.Second, "maven", runner.StageFinished{Status: runner.Ran, Seconds: 1}), erase+"maven    ran 1.0s\n")
	})
}

func TestOtherStagesFailures(t *testing.T) {
	_, progress := draw(t, console.Options{},
		runner.Event{Stage: "push", Body: runner.StageFinished{Status: runner.Failed, Seconds: 1, Error: "put blob: 500"}},
		runner.Event{Stage: "maven", Body: runner.StageFinished{Status: runner.Failed, Seconds: 2, Error: "does not compile"}},
		runner.Event{Body: runner.RunFinished{ExitCode: 10, Seconds: 3, Cause: "does not compile", Hint: "mend it"}})
	want := "push     failed 1.0s\nmaven    failed 2.0s\nrun      failed 3.0s\npush     also failed: put blob: 500\nhint: mend it\nerror: does not compile\n"
	if progress != want {
		t.Errorf("got\n%s\nwant\n%s", progress, want)
	}
}

type brokenPipe struct{ writes int }

func (b *brokenPipe) Write([]byte) (int, error) { b.writes++; return 0, errors.New("broken pipe") }

func TestCloseTellsOfALostResult(t *testing.T) {
	var pipe brokenPipe
	c := console.New(console.Options{Out: &pipe, Err: &pipe, Mode: console.JSON})
	for range 3 {
		c.Emit(success())
	}
	if err := c.Close(); err == nil || pipe.writes != 1 {
		t.Errorf("Close returned %v after %d writes, want an error after one", err, pipe.writes)
	}
}

// FuzzText holds that whatever a child prints, a log gets neither control
// characters nor the secret.
func FuzzText(f *testing.F) {
	f.Add("\x1b[2J", "")
	f.Add("top", "\x1b[1msecret")
	f.Add("topse", "\xc2\x9bcret")
	f.Fuzz(func(t *testing.T, a, b string) {
		mask := func(s string) string { return strings.ReplaceAll(s, "topsecret", "***") }
		for _, mode := range []console.Mode{console.Plain, console.JSON} {
			out, progress := draw(t, console.Options{Mode: mode, Redact: mask}, runner.Event{Stage: "maven", Body: runner.Log{Line: a + "topsecret" + b}})
			text := out + progress
			if strings.Contains(text, "topsecret") {
				t.Errorf("%q shows the secret", text)
			}
			for _, r := range strings.TrimSuffix(text, "\n") {
				if r != '\t' && r != '\n' && (r < 0x20 || mode == console.Plain && r >= 0x7f && r <= 0x9f) {
					t.Errorf("%q has a control character", text)
				}
			}
		}
	})
}
