package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Failure is what a stopped task shows.
type Failure struct {
	Task      string // its id
	Container string // the one that ended it; empty when none did
	Text      string // the cause in one line
	// Unhealable is a cause that another try with the same task definition
	// meets again: no such image, no such secret, wrong platform.
	Unhealable bool
	// Definition is the ARN of the task's definition, Runtime the container's
	// id on its host, and Ran says that the container started: where its log is.
	Definition, Runtime string
	Ran                 bool
	// Count is how many tasks showed the same, this one included.
	Count int
}

// String is the cause with the task that shows it.
func (f Failure) String() string {
	switch {
	case f.Task == "":
		return f.Text
	case f.Count > 1:
		return fmt.Sprintf("%s (task %s, × %d)", f.Text, shortTask(f.Task), f.Count)
	}
	return fmt.Sprintf("%s (task %s)", f.Text, shortTask(f.Task))
}

// shortTask abbreviates a task id of 32 hexadecimal digits as git does.
func shortTask(id string) string { return id[:min(len(id), 12)] }

// failureOf explains a stopped task. It is false for tasks that ended without
// a fault: scaled in, rolled back over, moved away by AWS.
// essential tells the containers that a task cannot live without; nil means
// all.
func failureOf(t Task, essential map[string]bool) (Failure, bool) {
	f, failed := explainTask(t, essential)
	f.Definition = t.Definition
	for _, c := range t.Containers {
		if c.Name == f.Container {
			f.Runtime, f.Ran = c.Runtime, c.Exit != nil || c.Runtime != ""
		}
	}
	return f, failed
}

func explainTask(t Task, essential map[string]bool) (Failure, bool) {
	f := Failure{Task: t.ID(), Count: 1}
	reason := oneLine(t.StoppedReason)
	switch t.StopCode {
	case "TaskFailedToStart":
		f.Container, f.Text = startFailure(t, reason)
		f.Unhealable = unhealable.MatchString(f.Text)
		return f, true
	case "UserInitiated":
		f.Text = "somebody stopped the task"
		if reason != "" {
			f.Text += ": " + reason
		}
		return f, true
	case "SpotInterruption", "TerminationNotice":
		return f, false // the host went away, which says nothing about the image
	case "ServiceSchedulerInitiated":
		if !strings.Contains(reason, "health check") && !strings.Contains(reason, "unhealthy") {
			return f, false // "Scaling activity initiated by (deployment …)"
		}
		f.Text = healthFailure(t, reason)
		f.Container = unhealthyContainer(t)
		return f, true
	}
	if strings.Contains(reason, "health check") { // Fargate gives these no code of their own
		f.Text, f.Container = healthFailure(t, reason), unhealthyContainer(t)
		return f, true
	}
	c, ok := firstToDie(t, essential)
	if !ok {
		if reason == "" || strings.HasPrefix(reason, "Scaling activity") {
			return f, false
		}
		f.Text = reason
		return f, true
	}
	f.Container, f.Text = c.Name, containerFailure(c)
	f.Unhealable = unhealable.MatchString(f.Text)
	return f, true
}

// unhealable recognises the causes that a new try cannot cure. The words are
// those of the ECS agent's "stopped task error messages".
var unhealable = regexp.MustCompile(`(?i)manifest (unknown|for .* not found)|: not found|repository .* does not exist|does not exist or may require|no basic auth|exec format error|` +
	`platform .* not (match|supported)|no match for platform|image manifest does not contain|ResourceNotFoundException|invalid ssm parameters|AccessDeniedException|is not authorized|invalid reference format|no such file or directory|executable file not found`)

// startFailure explains a task that never ran: the reason of the container
// that says more than the task, where one does.
func startFailure(t Task, reason string) (container, text string) {
	for _, c := range t.Containers {
		if c.Reason != "" {
			container, text = c.Name, oneLine(c.Reason)
			break
		}
	}
	if text == "" || len(reason) > len(text) && !strings.HasPrefix(reason, "Task failed to start") {
		text = reason
	}
	if text == "" {
		text = "the task did not start"
	}
	switch {
	case strings.Contains(text, "CannotPull"):
		text = "the image cannot be pulled: " + text
	case strings.Contains(text, "ResourceInitializationError"):
		text = "the task's resources cannot be set up: " + text
	case strings.Contains(text, "exec format error"):
		text = "the image is for another platform: " + text
	}
	return container, text
}

func healthFailure(t Task, reason string) string {
	for _, c := range t.Containers {
		if c.Health == "UNHEALTHY" && !strings.Contains(reason, c.Name) {
			return fmt.Sprintf("container %s is unhealthy: %s", c.Name, reason)
		}
	}
	return "the task is unhealthy: " + reason
}

func unhealthyContainer(t Task) string {
	for _, c := range t.Containers {
		if c.Health == "UNHEALTHY" {
			return c.Name
		}
	}
	if len(t.Containers) == 1 {
		return t.Containers[0].Name
	}
	return ""
}

// firstToDie is the essential container that ended the task. Those that ECS
// then killed show 137 or 143, so another code or a reason points to the
// culprit.
func firstToDie(t Task, essential map[string]bool) (Container, bool) {
	candidates := filter(t.Containers, func(c Container) bool {
		return (c.Exit != nil || c.Reason != "") && (essential == nil || essential[c.Name])
	})
	for _, sign := range []func(Container) bool{
		func(c Container) bool { return strings.Contains(c.Reason, "OutOfMemory") },
		func(c Container) bool { return c.Exit != nil && !slices.Contains([]int{0, 137, 143}, *c.Exit) },
		func(c Container) bool { return c.Reason != "" },
		func(c Container) bool { return c.Exit != nil && *c.Exit == 0 && len(t.Containers) > 1 },
		func(Container) bool { return true },
	} {
		if found := filter(candidates, sign); len(found) > 0 {
			return found[0], true
		}
	}
	return Container{}, false
}

func containerFailure(c Container) string {
	reason := oneLine(c.Reason)
	switch {
	case strings.Contains(reason, "OutOfMemory"):
		return fmt.Sprintf("container %s ran out of memory (%s)", c.Name, reason)
	case strings.Contains(reason, "exec format error"):
		return fmt.Sprintf("container %s: the image is for another platform: %s", c.Name, reason)
	case c.Exit == nil:
		return fmt.Sprintf("container %s did not start: %s", c.Name, reason)
	case reason != "":
		return fmt.Sprintf("container %s exited with code %s (%s)", c.Name, exitWords(*c.Exit), reason)
	}
	return fmt.Sprintf("container %s exited with code %s", c.Name, exitWords(*c.Exit))
}

// exitWords says an exit code: 128+n is death by signal n, as shells and
// container engines report it.
func exitWords(code int) string {
	words := map[int]string{
		0: "it ended by itself", 126: "the entrypoint cannot be executed", 127: "the entrypoint was not found", 130: "interrupted", 134: "aborted",
		137: "killed, or out of memory", 139: "segmentation fault", 143: "terminated",
	}[code]
	if words == "" && code > 128 && code < 160 {
		words = fmt.Sprintf("signal %d", code-128)
	}
	if words == "" {
		return fmt.Sprint(code)
	}
	return fmt.Sprintf("%d: %s", code, words)
}

// varying is what differs between two tasks with the same cause: ids, dates,
// addresses and counts.
var varying = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{12,}|\d+`)

// kind is what two failures share when their cause is the same.
func (f Failure) kind() string { return f.Container + "\x00" + varying.ReplaceAllString(f.Text, "#") }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
