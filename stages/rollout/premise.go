package rollout

import (
	"context"
	"slices"
	"strings"

	"github.com/fastship/fastship/deploy"
)

// premises finds what the task definition needs and the account does not have.
// What may not be read is kept for the plan to say: it is no fault.
func (s *Step) premises(ctx context.Context, api deploy.API, plan deploy.Plan) []error {
	reader, ok := api.(deploy.PremiseReader)
	parts := strings.Split(plan.Before.ARN, ":") // arn:aws:ecs:REGION:ACCOUNT:service/…
	if !ok || len(parts) < 6 {
		return nil
	}
	absent, unread := deploy.CheckPremises(ctx, reader, plan.Truth(), parts[4])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = unread
	return absent
}

func (s *Step) unreadPremises() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unread)
}
