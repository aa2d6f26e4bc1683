package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// codeDeployPoll keeps two calls a look far below CodeDeploy's request limits.
const codeDeployPoll = 5 * time.Second

// CodeDeployFollower follows a deployment of CodeDeploy.
type CodeDeployFollower struct {
	ID             string
	TaskDefinition string
	Group          CodeDeployGroup
	Until          Until
	Timeout        time.Duration
	PollEvery      time.Duration // default 5 s

	told    map[string]bool
	state   string
	traffic Traffic
	tasks   Tasks
}

// Follow looks at it until its end is certain. Only the deadline and the end of
// ctx, which is the error, end the wait.
func (f *CodeDeployFollower) Follow(ctx context.Context, cd CodeDeployer, emit func(Event)) (Result, error) {
	if f.PollEvery == 0 {
		f.PollEvery = codeDeployPoll
	}
	f.told = map[string]bool{}
	deadline, id, taken := time.Now().Add(f.Timeout), f.ID, (*Result)(nil)
	var ended time.Time
	for {
		d, err := cd.CodeDeployment(ctx, id)
		if ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		switch {
		case err != nil && !Transient(err) && FateOf(err) == Denied:
			return Result{Outcome: TimedOut, Cause: err.Error(), Detail: "CodeDeploy goes on with deployment " + id}, nil
		case err != nil:
			if !f.told["trouble"] {
				f.told["trouble"] = true
				emit(Trouble{Err: err})
			}
		case taken == nil:
			f.tell(d, emit)
			r, next := f.judge(d, &ended)
			if r != nil {
				return *r, nil
			}
			if next != "" { // CodeDeploy takes it back by another deployment
				taken, id = &Result{Cause: d.cause()}, next
				if d.Status == "Stopped" {
					taken.Cause = "somebody stopped it"
				}
				deadline = time.Now().Add(f.Timeout)
				emit(State{Status: "ROLLBACK_IN_PROGRESS", Reason: "CodeDeploy's deployment " + next})
				continue
			}
		case d.ended():
			taken.Outcome, taken.Detail = RolledBack, "CodeDeploy's deployment "+id+" took the service back"
			if d.Status != "Succeeded" {
				taken.Outcome, taken.Detail = RollbackFailed, "CodeDeploy's deployment "+id+" was to take the service back and failed: "+d.cause()
			}
			return *taken, nil
		}
		if !time.Now().Before(deadline) {
			return f.late(d, taken), nil
		}
		if err := pause(ctx, min(f.PollEvery, max(time.Until(deadline), 0))); err != nil {
			return Result{}, err
		}
	}
}

// tell says what is new, once.
func (f *CodeDeployFollower) tell(d CodeDeployment, emit func(Event)) {
	if d.Status != f.state {
		f.state = d.Status
		emit(State{Status: strings.ToUpper(snake(d.Status))})
		if d.Status == "Ready" {
			emit(Waits{"the new tasks wait for a person to shift the traffic: aws deploy continue-deployment --deployment-id " + d.ID + " --deployment-wait-type READY_WAIT"})
		}
	}
	for _, s := range d.Stages {
		if s.Status == "InProgress" && !f.told[s.Name] {
			f.told[s.Name] = true
			emit(Stage{Name: snake(s.Name)})
		}
	}
	if t := (Tasks{Desired: d.Green.Desired, Provisioning: d.Green.Pending, Running: d.Green.Running}); t != f.tasks && t.Desired > 0 {
		f.tasks = t
		emit(t)
	}
	if t := (Traffic{Production: d.Green.Traffic}); t != f.traffic {
		f.traffic = t
		emit(t)
	}
}

// judge decides whether d has come to its end: r is it, or next the id of the
// deployment that takes it back. CodeDeploy names that a little later than the
// failure, so a group that rolls back gets the time to.
func (f *CodeDeployFollower) judge(d CodeDeployment, ended *time.Time) (r *Result, next string) {
	switch d.Status {
	case "Succeeded":
		return &Result{Outcome: Succeeded}, ""
	case "Failed", "Stopped":
		if d.Rollback != "" {
			return nil, d.Rollback
		}
		if ended.IsZero() {
			*ended = time.Now()
		}
		if f.Group.RollsBack && time.Since(*ended) < settle {
			return nil, ""
		}
		if d.Status == "Stopped" {
			return &Result{Outcome: Stopped, Cause: "somebody stopped CodeDeploy's deployment " + d.ID, Detail: "nothing took it back"}, ""
		}
		return &Result{Outcome: Failed, Cause: d.cause(), Detail: "CodeDeploy does not roll it back"}, ""
	}
	started := d.Green.Desired > 0 && d.Green.Running >= d.Green.Desired && d.Green.Pending == 0
	switch {
	case f.Until == Deployed && started,
		f.Until == Healthy && started && d.Green.Traffic >= 100 && d.did("AllowTraffic"):
		return &Result{Outcome: Succeeded, Detail: "CodeDeploy goes on with deployment " + d.ID + "; a failure from here on is not followed"}, ""
	}
	return nil, ""
}

func (f *CodeDeployFollower) late(d CodeDeployment, taken *Result) Result {
	if taken != nil {
		return Result{Outcome: TimedOut, Cause: taken.Cause, Detail: "CodeDeploy goes on taking the service back"}
	}
	where := strings.ToLower(snake(d.Status))
	for _, s := range d.Stages {
		if s.Status == "InProgress" {
			where = strings.ToLower(snake(s.Name))
		}
	}
	return Result{Outcome: TimedOut, Cause: fmt.Sprintf("after %s CodeDeploy's deployment %s is at %q with %.4g %% of the traffic", f.Timeout, f.ID, strings.ReplaceAll(where, "_", " "), d.Green.Traffic), Detail: "CodeDeploy goes on: nothing was stopped"}
}

// snake writes AfterAllowTraffic as After_Allow_Traffic.
func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return b.String()
}
