package deploy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Ask is what a follower wants to see next.
type Ask struct {
	Service       bool      // the service itself; false where it was read a moment ago,
	Deployments   bool      // the service deployments,
	DeploymentARN string    // this one, or when empty
	Since         time.Time // those created since
	Tasks         TaskQuery // the tasks of our deployment
}

// Observation is what was seen. A part that was not asked for is nil.
type Observation struct {
	Service        Service
	Unasked        bool  // the service was not asked for
	Err            error // the service could not be read; nothing else was
	Deployments    []ServiceDeployment
	DeploymentsErr error
	Tasks          []Task
	TasksErr       error
}

// Next is a follower's answer to an observation.
type Next struct {
	Events []Event
	After  time.Duration // until the next look
	Ask    Ask
	Result *Result // the end, when this was it
	// GivenUp is the end that it comes to unless the rollout is rolled back.
	GivenUp *Result
}

// Options of a follower. The zero value is for AWS itself.
type Options struct {
	// Timeout is the only thing that ends the wait for a rollout that neither
	// succeeds nor fails. Default 15 minutes.
	Timeout time.Duration
	// PollEvery replaces the pace that AWS's request limits ask for (2–3 s in
	// the first minute and after each surprise, then 4–5 s), for a double on
	// the same machine.
	PollEvery time.Duration
	// Until is how far to follow.
	Until Until
	// Rollback is what to do about a rollout that cannot become well, Ask whom
	// to ask (nil: nobody is there).
	Rollback Policy
	Ask      func(ctx context.Context, question string) bool
	// Jitter gives numbers in [0,1) that keep many followers apart; default
	// math/rand/v2.
	Jitter func() float64
}

const (
	defaultTimeout = 15 * time.Minute
	// settle is how long two reads may contradict each other before the
	// contradiction is taken for the truth.
	settle = 20 * time.Second
	// hurry is the pause before a look that the last one gave reason for.
	hurry = 100 * time.Millisecond
	// clocks is how far apart ECS stamps a deployment in a service's list and
	// its service deployment.
	clocks = time.Second
)

// Follower watches one deployment until its outcome is certain. It is a pure
// state machine: it reads no clock and calls nobody.
type Follower struct {
	begun     Begun
	essential map[string]bool
	opt       Options
	start     time.Time // by the caller's clock, like every now below

	looks     int
	deployed  *ServiceDeployment // ours, once found
	noReads   bool               // service deployments cannot be read: judge by the service alone
	noTasks   bool               // tasks cannot be read
	state     string             // the last one told
	stage     string             // and of a deployment that shifts traffic
	traffic   Traffic
	service   Service         // the last one seen
	failed    bool            // ECS has called our deployment failed
	cause     string          // ECS's own words for it
	backTo    map[string]bool // deployments that ECS said it rolls back to
	since     map[string]time.Time
	said      map[string]bool // events of the service's log told
	targets   string          // why the load balancer last called a task unhealthy
	counts    Tasks           // the last ones told
	failures  failures
	troubled  map[string]bool // calls in a row of failures
	trouble   bool            // something hints at stopped tasks: look at them
	ending    *Result         // certain, but its tasks have not been looked at
	endLooks  int
	asked     bool // ECS was told to roll back
	denied    bool // we may not tell it
	refused   int  // times that it found nothing to roll back
	lastCount taskCount
	stirred   time.Time       // when something last happened that asks for a closer look
	launched  bool            // the service's log says that tasks were started, once more
	urgent    bool            // the tasks asked for next show a failure
	launches  int             // how often it did
	alive     map[string]bool // ARNs of our tasks that have not been seen to end
	read      string          // the marks of the service when its deployment was read
	query     TaskQuery       // the last one
	tasksAt   int             // the look after which they were last asked for
	owed      bool            // tasks died that are none of those known: list the stopped ones
	fruitless int             // lists of stopped tasks in a row that told nothing
	budget    budget
	tasks     map[string]Task // the times of ours, by ARN
	running   [2]int          // tasks of ours, and of others, when last looked
	moving    bool            // they have just changed
	nearEnd   time.Time       // when the last of those that are replaced had gone
}

// NewFollower follows what Apply began, from now on.
func NewFollower(begun Begun, essential map[string]bool, opt Options, now time.Time) *Follower {
	if opt.Timeout == 0 {
		opt.Timeout = defaultTimeout
	}
	if opt.Jitter == nil {
		opt.Jitter = rand.Float64
	}
	return &Follower{
		budget: budget{calls: callBurst, filled: now},
		begun:  begun, deployed: begun.Record, essential: essential, opt: opt, start: now,
		backTo: map[string]bool{}, since: map[string]time.Time{}, said: map[string]bool{}, troubled: map[string]bool{}, alive: map[string]bool{}, tasks: map[string]Task{},
		failures: failures{seen: map[string]bool{}, byKind: map[string]*Failure{}},
	}
}

// Deadline is when the wait ends.
func (f *Follower) Deadline() time.Time { return f.start.Add(f.opt.Timeout) }

// Begin says what to look at first, and when.
func (f *Follower) Begin() Next {
	return f.next(f.start, Observation{})
}

// Observe takes what was seen at now and says what happened, what to look at
// next, and, in the end, how it ended.
func (f *Follower) Observe(now time.Time, o Observation) Next {
	var events []Event
	emit := func(e Event) { events = append(events, e) }
	f.trouble = false
	if f.readable("ecs:DescribeServices", o.Err, emit) {
		if !o.Unasked {
			f.looks++
			f.service = o.Service
			f.listen(o.Service.Events, emit)
		}
		f.absorbDeployments(o, emit)
		f.absorbTasks(o, emit)
		f.tell(emit)
	}
	if slices.ContainsFunc(events, surprising) || f.shifted(now) {
		f.stirred = now
	}
	result := f.end(now, o)
	if result != nil {
		if result.Outcome == Succeeded && result.Detail != "" {
			emit(LeftEarly{result.Detail})
		}
		if result.Outcome == Succeeded && f.service.Desired == 0 {
			emit(Unverified{})
		}
		return Next{Events: events, Result: result}
	}
	if given := f.giveUp(now); given != nil && f.ending == nil && o.Err == nil {
		f.explain(given)
		next := f.next(now, o)
		next.Events, next.GivenUp = events, given
		return next
	}
	next := f.next(now, o)
	next.Events = events
	return next
}

// end decides whether now is the end. A failure that is certain but shows no
// task yet, nor a cause in ECS's words, gets two more looks at the stopped tasks,
// which ECS lists with a delay: the cause is worth a second.
func (f *Follower) end(now time.Time, o Observation) *Result {
	if f.ending == nil && o.Err == nil {
		f.ending = f.judge(now)
	}
	if f.ending == nil {
		if now.Before(f.Deadline()) {
			return nil
		}
		return f.timedOut()
	}
	r := f.ending
	if r.Outcome == Succeeded {
		return r
	}
	if f.endLooks++; r.Cause == "" && f.failures.first == nil && f.generic() && !f.noTasks && f.endLooks < 3 && now.Before(f.Deadline()) {
		return nil
	}
	f.explain(r)
	return r
}

// explain fills in the cause: the earliest distinct failure of a task, then
// alarms, ECS's reasons, and the service's own log.
func (f *Follower) explain(r *Result) {
	switch {
	case r.Cause != "":
	case f.failures.first != nil:
		failure := *f.failures.first
		r.Failure, r.Cause = &failure, failure.String()
	default:
		r.Cause = f.wordsOfECS()
	}
}

// generic reports whether ECS's words say that it failed, not why.
func (f *Follower) generic() bool {
	alarm := f.deployed != nil && len(f.deployed.Alarms) > 0
	return !alarm && (f.cause == "" || strings.Contains(strings.ToLower(f.cause), "circuit breaker"))
}

func (f *Follower) wordsOfECS() string {
	if f.deployed != nil && len(f.deployed.Alarms) > 0 {
		return "alarm " + strings.Join(f.deployed.Alarms, ", ") + " went off"
	}
	if f.generic() {
		for _, e := range f.service.Events { // newest first
			if strings.Contains(e.Message, "unable to") && !e.Created.Before(f.begun.Created) {
				return oneLine(e.Message)
			}
		}
	}
	if f.cause == "" {
		return "ECS gives no reason"
	}
	return f.cause
}

func (f *Follower) timedOut() *Result {
	r := &Result{Outcome: TimedOut}
	r.Detail = "ECS goes on with the rollout: nothing was stopped" + f.whereItIs()
	if f.deployed != nil && f.deployed.Status == "SUCCESSFUL" {
		r.Detail = "ECS calls the rollout successful, but the service is not steady"
	}
	if f.failed {
		r.Detail = "ECS goes on rolling back"
	}
	f.explainTimeout(r)
	return r
}

// whereItIs says how far a deployment that shifts traffic has come.
func (f *Follower) whereItIs() string {
	d := f.deployed
	if d == nil || d.Stage == "" {
		return ""
	}
	words := fmt.Sprintf("; it is in %s with %.4g %% of the traffic", d.Stage, d.Production)
	for _, h := range d.Hooks {
		if h.Paused() {
			words += fmt.Sprintf(", paused by hook %s until somebody continues it (at the latest %s: then ECS does %s)", h.ID, h.Expires.UTC().Format("2006-01-02 15:04 MST"), h.After)
		}
	}
	return words
}

func (f *Follower) explainTimeout(r *Result) {
	what := "the service could not be read"
	if d, ok := f.ours(); ok {
		what = fmt.Sprintf("%d of %d tasks run", d.Running, d.Desired)
		if d.whole() && len(f.service.Deployments) > 1 {
			what += " and old ones have not gone"
		}
	} else if f.service.Name != "" {
		what = "the service shows no deployment of " + ShortName(f.begun.TaskDefinition)
	}
	r.Cause = fmt.Sprintf("after %s %s", f.opt.Timeout, what)
	if f.failures.first != nil {
		failure := *f.failures.first
		r.Failure = &failure
		r.Cause = failure.String() + "; " + r.Cause
		return
	}
	for _, e := range f.service.Events {
		if strings.Contains(e.Message, "unable to") && !e.Created.Before(f.begun.Created) {
			r.Cause += ": " + oneLine(e.Message)
			return
		}
	}
}

// ours is our entry in the service's list, whatever its place there.
func (f *Follower) ours() (Deployment, bool) {
	i := slices.IndexFunc(f.service.Deployments, func(d Deployment) bool { return d.ID == f.begun.ID })
	if i < 0 {
		return Deployment{}, false
	}
	return f.service.Deployments[i], true
}

// held reports whether what name stands for has been so for at least d, and
// remembers when it began.
func (f *Follower) held(now time.Time, name string, d time.Duration) bool {
	if f.since[name].IsZero() {
		f.since[name] = now
	}
	return now.Sub(f.since[name]) >= d
}
