// Package deploy plans and follows a rollout on ECS as pure state machines:
// what is and what was observed go in as plain data, steps, events and an
// outcome come out. Package deploy/ecs is the side that talks to AWS.
package deploy

// Outcome is how a rollout ended.
type Outcome string

// The outcomes. The zero value means that it has not ended.
const (
	Succeeded      Outcome = "succeeded"       // ours is the primary deployment, complete and steady
	Failed         Outcome = "failed"          // it failed and nothing took its place
	RolledBack     Outcome = "rolled-back"     // it failed and ECS is back on what ran before
	RollbackFailed Outcome = "rollback-failed" // it failed, and so did the way back
	Stopped        Outcome = "stopped"         // somebody stopped it
	Superseded     Outcome = "superseded"      // another deployment took the service over
	TimedOut       Outcome = "timed-out"       // the deadline passed with the rollout still going on
)

// Words says the outcome in words that follow "the rollout".
func (o Outcome) Words() string {
	switch o {
	case Succeeded:
		return "succeeded"
	case Failed:
		return "failed"
	case RolledBack:
		return "failed and was rolled back"
	case RollbackFailed:
		return "failed, and so did its rollback"
	case Stopped:
		return "was stopped"
	case Superseded:
		return "was superseded by another"
	case TimedOut:
		return "timed out"
	}
	return "goes on"
}

// Result is the end of a rollout.
type Result struct {
	Outcome Outcome
	// Cause is the first cause in one line; empty when it succeeded.
	Cause string
	// Detail says in one line what the service is left with.
	Detail string
	// Failure is the task that shows the cause, nil when no task does.
	Failure *Failure
}
