package rollout

import (
	"encoding/json"
	"path/filepath"

	"github.com/fastship/fastship/deploy/ecs"
)

// definition reads deploy.taskDefinition; nil when there is none.
func (s *Step) definition() (json.RawMessage, error) {
	path := s.cfg.TaskDefinition
	if path == "" {
		return nil, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.cfg.Dir, path)
	}
	getenv := s.deps.Getenv
	if getenv == nil {
		getenv = func(string) (string, bool) { return "", false }
	}
	return ecs.ReadDefinition(path, "deploy.taskDefinition: "+s.cfg.TaskDefinition, getenv)
}
