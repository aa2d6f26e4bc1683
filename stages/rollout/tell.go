package rollout

import (
	"fmt"
	"strings"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/runner"
)

// tell says one of deploy's events in the runner's words. Lines of the
// service's log are passed on when they speak of a failure: the others repeat
// what is said already.
func tell(emit func(runner.Body), e deploy.Event) {
	note := func(format string, args ...any) { emit(runner.Note{Text: fmt.Sprintf(format, args...)}) }
	warn := func(format string, args ...any) { emit(runner.Warning{Text: fmt.Sprintf(format, args...)}) }
	switch e := e.(type) {
	case deploy.Registered:
		note("registered %s", deploy.ShortName(e.TaskDefinition))
	case deploy.Began:
		if e.Resumed {
			note("an earlier run, which did not come to its end, began deployment %s of %s: following that", e.Deployment, deploy.ShortName(e.TaskDefinition))
			return
		}
		if e.Found {
			note("deployment %s of %s is going on already", e.Deployment, deploy.ShortName(e.TaskDefinition))
			return
		}
		note("started deployment %s of %s", e.Deployment, deploy.ShortName(e.TaskDefinition))
	case deploy.State:
		note("deployment %s", stateWords(e))
	case deploy.Stage:
		note("stage %s", strings.ToLower(strings.ReplaceAll(e.Name, "_", " ")))
	case deploy.Traffic:
		note("traffic to the new revision: %.4g %%, test traffic %.4g %%", e.Production, e.Test)
	case deploy.HookWaits:
		tellHook(note, warn, e)
	case deploy.Tasks:
		note("tasks: %s", TaskWords(e))
	case deploy.TaskFailed:
		if !e.Again { // the count of failed tasks tells the rest
			warn("%s", e.Failure)
		}
	case deploy.GaveUp:
		note("given up: %s; going back to %s by %s", e.Cause, deploy.ShortName(e.To), e.By)
	case deploy.Said:
		if e.Alarming {
			note("ECS: %s", e.Message)
		}
	case deploy.Trouble:
		if e.Without != "" {
			warn("%v; %s", e.Err, e.Without)
			return
		}
		warn("%v; still waiting", e.Err)
	case deploy.Waits:
		note("%s", e.What)
	case deploy.LeftEarly:
		note("%s", e.What)
	case deploy.Unverified:
		warn("the service's desired count is 0: no task was started, so nothing was verified")
	}
}

// tellHook says how to go on after a pause, or that a hook went wrong.
func tellHook(note, warn func(string, ...any), e deploy.HookWaits) {
	if !e.Hook.Paused() {
		warn("lifecycle hook %s %s", firstOf(e.Hook.Function, e.Hook.ID), strings.ToLower(strings.ReplaceAll(e.Hook.Status, "_", " ")))
		return
	}
	note("paused by a lifecycle hook until %s, then ECS does %s; to go on: aws ecs continue-service-deployment --service-deployment-arn %s --hook-id %s --action CONTINUE",
		e.Hook.Expires.UTC().Format("2006-01-02 15:04 MST"), firstOf(e.Hook.After, "ROLLBACK"), e.Deployment, e.Hook.ID)
}

func firstOf(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// stateWords turns ROLLBACK_IN_PROGRESS into "rollback in progress".
func stateWords(s deploy.State) string {
	words := strings.ToLower(strings.ReplaceAll(s.Status, "_", " "))
	if s.Reason != "" {
		words += ": " + s.Reason
	}
	return words
}

// TaskWords says the phases of a deployment's tasks in one line.
func TaskWords(t deploy.Tasks) string {
	var words []string
	for _, phase := range []struct {
		count int
		name  string
	}{
		{t.Provisioning, "provisioning"},
		{t.Pulling, "pulling"},
		{t.Starting, "starting"},
		{t.Running, "running"},
		{t.Healthy, "healthy"},
		{t.Unhealthy, "unhealthy"},
		{t.Failed, "failed"},
	} {
		if phase.count > 0 {
			words = append(words, fmt.Sprintf("%d %s", phase.count, phase.name))
		}
	}
	if len(words) == 0 {
		words = []string{"none yet"}
	}
	return fmt.Sprintf("%s (%d wanted)", strings.Join(words, ", "), t.Desired)
}
