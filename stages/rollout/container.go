package rollout

import (
	"context"

	"github.com/fastship/fastship/deploy"
)

// Container is the name of the container that gets the image, by the rules of
// Check. It reads the service and its task definition; the errors are Check's.
func (s *Step) Container(ctx context.Context) (string, error) {
	_, plan, err := s.first(ctx)
	return plan.Container, err
}

// ServiceName is the short name of the service that is rolled out to.
func (s *Step) ServiceName() string { return deploy.ShortName(s.cfg.Service) }
