package ecstest

import "time"

// Verdict is what really became of a deployment.
type Verdict string

// The verdicts. Failed: it ended, and nothing took its place. Superseded:
// another deployment was asked for before it ended.
const (
	Ongoing        Verdict = "ongoing"
	Succeeded      Verdict = "succeeded"
	Failed         Verdict = "failed"
	RolledBack     Verdict = "rolled-back"
	RollbackFailed Verdict = "rollback-failed"
	Superseded     Verdict = "superseded"
)

// Outcome is the truth about one deployment that a user asked for, as no
// fault and no lag distorts it.
type Outcome struct {
	Deployment        string // "ecs-svc/N"
	ServiceDeployment string // ARN
	TaskDefinition    string // ARN
	Status            string // of the service deployment
	Verdict           Verdict
	Created, Finished time.Time // Finished is zero while it goes on
}

// Outcome returns the deployments of a service that were asked for, oldest
// first: one for each accepted call, none for what ECS does by itself.
func (d *Double) Outcome(cluster, service string) []Outcome {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.world.services[serviceKey{cluster, service}]
	if s == nil {
		return nil
	}
	var all []Outcome
	for _, r := range s.history {
		o := Outcome{
			Deployment: r.deployment, ServiceDeployment: r.arn, Status: r.status, Verdict: r.verdict,
			Created: r.created, Finished: r.finished,
		}
		if v := s.revision(r.target); v != nil {
			o.TaskDefinition = v.definition
		}
		all = append(all, o)
	}
	return all
}
