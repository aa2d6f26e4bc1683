package rollout

import (
	"context"
	"time"

	"github.com/fastship/fastship/deploy"
)

const (
	// simulations is of how many services of one run the roles are looked at:
	// IAM simulates only a few times a second, and services of one image have
	// mostly the same roles.
	simulations = 4
	// patience is how long a rollout waits for IAM to say what it thinks of it.
	patience = 2 * time.Second
)

// simulated is what IAM's simulation says of the roles. It is asked for beside
// all else, and waited for only by who deploys.
type simulated struct {
	never          bool          // it is not asked
	done           chan struct{} // closed when the rest is there; nil before it is asked for
	doubts, unread []string
}

// simulate asks what the caller and the execution role are allowed, once, and
// does not wait for it. A definition without a role leaves nothing to ask.
func (s *Step) simulate(ctx context.Context, api deploy.API, plan deploy.Plan) {
	reader, ok := api.(deploy.PermissionReader)
	if !ok || s.roles.never || !plan.Truth().HasRoles() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roles.done != nil {
		return
	}
	done := make(chan struct{})
	s.roles.done = done
	ctx = context.WithoutCancel(ctx) // a check ends before it; its calls end by themselves
	repository := firstOf(s.cfg.Repository, deploy.Repository(plan.OldImage))
	go func() {
		defer close(done)
		s.roles.doubts, s.roles.unread = deploy.CheckPermissions(ctx, reader, plan, repository)
	}()
}

// denied waits for the simulation, if there is one, while ctx lasts.
func (s *Step) denied(ctx context.Context) (doubts, unread []string) {
	s.mu.Lock()
	done := s.roles.done
	s.mu.Unlock()
	if done == nil {
		return nil, nil
	}
	select {
	case <-done:
		return s.roles.doubts, s.roles.unread
	case <-ctx.Done():
		return nil, nil
	}
}
