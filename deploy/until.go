package deploy

import "github.com/fastship/fastship/internal/fault"

// Until is how far a rollout is followed.
type Until string

// How far. Each holds the counts of tasks against ECS's states. Empty is
// Steady.
const (
	Deployed Until = "deployed" // every new task has started
	Healthy  Until = "healthy"  // and passes its checks, and has all of the traffic where it is shifted
	Steady   Until = "steady"   // and ECS calls it successful, and the old tasks are gone
)

// CheckUntil refuses what there is not.
func CheckUntil(u Until) error {
	switch u {
	case "", Deployed, Healthy, Steady:
		return nil
	}
	return fault.New(fault.BadInput, "set deploy.waitFor to deployed, healthy or steady", "deploy.waitFor: there is no %q", u)
}

// arrived is success for those who do not wait for steady: our deployment is
// the primary one, on its way forward, and has come that far.
func (f *Follower) arrived() *Result {
	primary, ok := f.service.Primary()
	if f.opt.Until == "" || f.opt.Until == Steady || !ok || primary.ID != f.begun.ID || f.failed || f.asked || !primary.whole() || primary.RolloutState == "FAILED" {
		return nil
	}
	if d := f.deployed; d != nil && !d.ongoing() && d.Status != "SUCCESSFUL" {
		return nil
	}
	if f.opt.Until == Deployed || f.trusted(primary) {
		return &Result{Outcome: Succeeded, Detail: f.left()}
	}
	return nil
}

// trusted reports whether ECS, which knows every check, treats the new tasks
// as healthy: by its verdict, by the traffic that it gave them, or by letting
// the old ones go. Tasks with checks of their own show their health.
func (f *Follower) trusted(primary Deployment) bool {
	if primary.RolloutState == "COMPLETED" || f.deployed != nil && f.deployed.Status == "SUCCESSFUL" {
		return true
	}
	if shifts(f.service.Strategy) {
		return f.deployed != nil && f.deployed.Production >= 100
	}
	if len(f.service.TargetGroups) == 0 && primary.Desired > 0 && f.counts.Healthy == primary.Desired {
		return true
	}
	old := 0
	for _, d := range f.service.Deployments {
		if d.ID != primary.ID {
			old += d.Running
		}
	}
	return old == 0 && len(f.service.Deployments) > 1
}

// left says what ECS still does when nobody follows any more.
func (f *Follower) left() string {
	if len(f.service.Deployments) > 1 {
		return "ECS goes on replacing the old tasks; a failure from here on is not followed"
	}
	return ""
}
