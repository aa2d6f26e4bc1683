package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fastship/fastship/internal/pause"
)

const (
	// codeDeployPoll lets an end be known within 5 s.
	codeDeployPoll = 5 * time.Second
	// rareInfo is how often, in looks, the deployment itself is read where its
	// target, which shows more, tells of no change.
	rareInfo = 8
	// The calls of a look on CodeDeploy fill most of five minutes' hundred; what
	// came before the wait is taken off the first burst.
	codeDeployRefill = 0.255
	callsBefore      = 10
)

// CodeDeployFollower follows a deployment of CodeDeploy and the tasks that ECS
// runs for it.
type CodeDeployFollower struct {
	ID             string
	Target         Target
	TaskDefinition string // ARN, and that of what runs till now
	Previous       string
	Group          CodeDeployGroup
	Essential      map[string]bool // containers; nil: all
	// Options are those of every follower. Without Timeout nothing is waited for.
	Options

	deployment CodeDeployment // as last seen
	looks      int
	told       map[string]bool
	state      string
	traffic    Traffic
	counts     Tasks     // the last ones told, by CodeDeploy's own count
	tasks      *Follower // of the new task set; nil until it is there
	began      time.Time
	ended      time.Time // when the deployment was first seen to have failed
	given      *Result   // we have stopped the deployment for this,
	tried      *Result   // or may have: the answer was lost
	taken      *Result   // CodeDeploy takes it back, for this
	budget     budget
	taskLooks  int  // looks since the tasks were last read
	seen       bool // they have been read
	refused    int  // times that CodeDeploy would not stop
}

// CodeDeployAPI is what following one needs.
type CodeDeployAPI interface {
	API
	CodeDeployer
}

// Follow looks at it until its end is certain. What cannot become well is
// stopped and taken back as the policy says, and that is followed, too. Only the
// deadline and the end of ctx, which is the error, end the wait.
func (f *CodeDeployFollower) Follow(ctx context.Context, api CodeDeployAPI, emit func(Event)) (Result, error) {
	f.told, f.began = map[string]bool{}, time.Now()
	f.budget = budget{calls: callBurst - callsBefore, filled: f.began, refill: codeDeployRefill}
	for {
		r, err := f.look(ctx, api, emit)
		if ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		if r != nil || err != nil {
			return *r, err
		}
		left := time.Until(f.began.Add(f.Timeout))
		if left <= 0 {
			return f.late(ctx, api, emit), nil
		}
		if err := pause.For(ctx, min(f.every(), left)); err != nil {
			return Result{}, err
		}
	}
}

// every is the time to the next look.
func (f *CodeDeployFollower) every() time.Duration {
	switch {
	case f.PollEvery > 0:
		return f.PollEvery
	case f.given == nil && f.taken == nil && f.suspicious():
		return codeDeployPoll / 2
	}
	return codeDeployPoll
}

// look takes one look; the result is nil while it goes on.
func (f *CodeDeployFollower) look(ctx context.Context, api CodeDeployAPI, emit func(Event)) (*Result, error) {
	f.looks++
	query, alone := f.query()
	var err error
	if !alone {
		err = f.read(ctx, api)
	}
	d := f.deployment
	switch {
	case err != nil && !Transient(err) && FateOf(err) == Denied:
		return &Result{Outcome: TimedOut, Cause: err.Error(), Detail: "CodeDeploy goes on with deployment " + f.ID}, nil
	case err != nil:
		if !f.told["trouble"] {
			f.told["trouble"] = true
			emit(Trouble{Err: err})
		}
		return nil, nil
	case f.taken != nil:
		return f.backAgain(d), nil
	}
	f.tell(d, emit)
	if f.tried != nil && f.given == nil && d.Status == "Stopped" && !d.alarmed() {
		f.stopped(*f.tried, emit)
	}
	f.seeTasks(ctx, api, query, emit)
	r, next := f.judge(d)
	switch {
	case next != "" && d.ended():
		f.takenBack(ctx, api, next, emit)
		return nil, nil
	case r != nil && r.Outcome != Succeeded:
		f.explain(ctx, api, r, emit)
		return r, nil
	case r != nil:
		return r, nil
	}
	return f.giveUp(ctx, api, emit)
}

// read reads what may have changed: the target, and the deployment itself when
// that has moved, or shows nothing more.
func (f *CodeDeployFollower) read(ctx context.Context, cd CodeDeployer) error {
	d, id := f.deployment, f.ID
	if d.ID != id {
		d = CodeDeployment{}
	}
	rare := f.looks%rareInfo == 0
	before, waits := d.marks(), d.waits()
	if !waits || rare {
		target, err := cd.CodeDeployTarget(ctx, id)
		f.budget.take(time.Now(), 1)
		if err != nil {
			return err
		}
		d.CodeDeployTarget = target
	}
	if d.ID == "" || waits || rare || d.marks() != before || !d.working() || f.given != nil {
		info, err := cd.CodeDeployment(ctx, id)
		f.budget.take(time.Now(), 1)
		if err != nil {
			return err // the target is read again, too: its marks are not kept
		}
		info.CodeDeployTarget = d.CodeDeployTarget
		d = info
	}
	f.deployment = d
	return nil
}

// marks are what of the target changes when the deployment's status does.
func (t CodeDeployTarget) marks() string { return fmt.Sprint(t.State, t.Stages) }

// working reports whether the target says that the deployment goes on.
func (t CodeDeployTarget) working() bool {
	return t.State == "Pending" || t.State == "InProgress" || t.State == "Ready"
}

// waits reports whether every stage is done, and only the old tasks' end is
// waited for.
func (t CodeDeployTarget) waits() bool {
	for _, s := range t.Stages {
		if s.Status != "Succeeded" && s.Status != "Skipped" {
			return false
		}
	}
	return len(t.Stages) > 0
}

// tell says what is new, once.
func (f *CodeDeployFollower) tell(d CodeDeployment, emit func(Event)) {
	if t := (Traffic{Production: d.Green.Traffic}); t != f.traffic {
		f.traffic = t
		emit(t)
	}
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
	if t := (Tasks{Desired: d.Green.Desired, Provisioning: d.Green.Pending, Running: d.Green.Running}); f.blind() && t != f.counts && t.Desired > 0 && !d.ended() {
		f.counts = t
		emit(t)
	}
}

// judge decides whether d has come to its end: r is it, or next the id of the
// deployment that takes it back. CodeDeploy names that a little later than the
// failure, so a group that rolls back gets the time to.
func (f *CodeDeployFollower) judge(d CodeDeployment) (r *Result, next string) {
	switch d.Status {
	case "Succeeded":
		return &Result{Outcome: Succeeded}, ""
	case "Failed", "Stopped":
		if d.Rollback != "" {
			return nil, d.Rollback
		}
		if f.ended.IsZero() {
			f.ended = time.Now()
		}
		if (f.Group.RollsBack || f.given != nil) && time.Since(f.ended) < settle {
			return nil, ""
		}
		switch {
		case f.given != nil:
			return &Result{Outcome: Failed, Cause: f.given.Cause, Failure: f.given.Failure, Detail: "CodeDeploy has stopped deployment " + d.ID + " and shows none that takes it back"}, ""
		case d.Status == "Stopped" && !d.alarmed():
			return &Result{Outcome: Stopped, Cause: "somebody stopped CodeDeploy's deployment " + d.ID, Detail: "nothing took it back"}, ""
		}
		return &Result{Outcome: Failed, Detail: "CodeDeploy does not roll it back"}, ""
	}
	started := d.Green.Desired > 0 && d.Green.Running >= d.Green.Desired && d.Green.Pending == 0
	switch {
	case f.given != nil:
	case f.Until == Deployed && started,
		f.Until == Healthy && started && d.Green.Traffic >= 100 && d.did("AllowTraffic"):
		return &Result{Outcome: Succeeded, Detail: "CodeDeploy goes on with deployment " + d.ID + "; a failure from here on is not followed"}, ""
	}
	return nil, ""
}

// takenBack turns to the deployment that takes ours back.
func (f *CodeDeployFollower) takenBack(ctx context.Context, api Reader, next string, emit func(Event)) {
	taken := Result{}
	switch {
	case f.given != nil:
		taken.Cause, taken.Failure = f.given.Cause, f.given.Failure
	case f.deployment.Status == "Stopped" && !f.deployment.alarmed():
		taken.Cause = "somebody stopped it"
	}
	f.explain(ctx, api, &taken, emit)
	f.taken, f.ID, f.began = &taken, next, time.Now()
	emit(State{Status: "ROLLBACK_IN_PROGRESS", Reason: "CodeDeploy's deployment " + next})
}

// backAgain is the end of the deployment that takes ours back.
func (f *CodeDeployFollower) backAgain(d CodeDeployment) *Result {
	if !d.ended() {
		return nil
	}
	r := *f.taken
	r.Outcome, r.Detail = RolledBack, "CodeDeploy's deployment "+d.ID+" took the service back"
	if d.Status != "Succeeded" {
		r.Outcome, r.Detail = RollbackFailed, "CodeDeploy's deployment "+d.ID+" was to take the service back and failed: "+d.cause()
	}
	return &r
}

func (f *CodeDeployFollower) late(ctx context.Context, api Reader, emit func(Event)) Result {
	d := f.deployment
	if f.taken != nil {
		return Result{Outcome: TimedOut, Cause: f.taken.Cause, Failure: f.taken.Failure, Detail: "CodeDeploy goes on taking the service back"}
	}
	where := strings.ToLower(snake(d.Status))
	for _, s := range d.Stages {
		if s.Status == "InProgress" {
			where = strings.ToLower(snake(s.Name))
		}
	}
	r := Result{Outcome: TimedOut, Detail: "CodeDeploy goes on: nothing was stopped"}
	r.Cause = fmt.Sprintf("after %s CodeDeploy's deployment %s is at %q with %.4g %% of the traffic", f.Timeout, f.ID, strings.ReplaceAll(where, "_", " "), d.Green.Traffic)
	if f.given != nil {
		r.Detail = "CodeDeploy was told to stop it, and has not yet"
	}
	f.explainLate(ctx, api, &r, emit)
	return r
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
