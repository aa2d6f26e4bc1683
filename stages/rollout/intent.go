package rollout

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/fastship/fastship/deploy"
)

// intentFile holds what a run that has not told its end yet began.
const intentFile = "rollout.json"

// resume finds what an earlier run with the same image began on the same
// service and did not come to the end of.
func (s *Step) resume(ctx context.Context, api deploy.API, plan deploy.Plan) (deploy.Begun, bool) {
	if s.deps.State == "" {
		return deploy.Begun{}, false
	}
	raw, err := os.ReadFile(filepath.Join(s.deps.State, intentFile))
	var i deploy.Intent
	if err != nil || json.Unmarshal(raw, &i) != nil || i.Service != plan.Before.ARN || i.Image != plan.Image {
		return deploy.Begun{}, false // none, or of another rollout
	}
	begun, found, err := deploy.Resume(ctx, api, plan.Target, i, time.Now())
	return begun, found && err == nil
}

// keep writes an intent, whole or not at all. One that cannot be written costs
// a killed run its memory, and nothing else.
func (s *Step) keep(i deploy.Intent) {
	if s.deps.State == "" {
		return
	}
	raw, err := json.Marshal(i)
	if err != nil || os.MkdirAll(s.deps.State, 0o755) != nil {
		return
	}
	f, err := os.CreateTemp(s.deps.State, intentFile+".*")
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	_, err = f.Write(raw)
	if f.Sync() == nil && f.Close() == nil && err == nil {
		_ = os.Rename(f.Name(), filepath.Join(s.deps.State, intentFile)) // as above
	}
}

// told forgets the intent: its end is known to whoever asked.
func (s *Step) told() {
	if s.deps.State != "" {
		_ = os.Remove(filepath.Join(s.deps.State, intentFile)) // a stale one is outlived
	}
}
