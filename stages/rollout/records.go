package rollout

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/atomicfile"
)

// recordsFile holds what the last rollouts took, for the doctor.
const recordsFile = "rollouts.jsonl"

// remember keeps what a rollout took that was followed to its end. One that
// cannot be kept costs the doctor a record, and nothing else.
func (s *Step) remember(w *way, outcome deploy.Outcome, t deploy.Timing) {
	if s.deps.State == "" || os.MkdirAll(s.deps.State, 0o755) != nil {
		return
	}
	r := t.Record()
	r.Time, r.Followed = time.Now().UTC().Truncate(time.Second), time.Since(w.start).Round(time.Millisecond).Seconds()
	r.Service, r.Revision, r.Deployment = w.plan.Before.ARN, deploy.ShortName(w.out.TaskDefinition), w.out.Deployment
	_, r.Image, _ = strings.Cut(w.plan.Image, "@")
	r.Bytes, r.Outcome = w.bytes, outcome
	path := filepath.Join(s.deps.State, recordsFile)
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return // what is there stays
	}
	if raw, err := deploy.AddRecord(old, r); err == nil {
		_ = atomicfile.Write(path, raw, 0o600) // as above
	}
}

// records are those of a service, oldest first.
func (s *Step) records(service string) (mine []deploy.Record) {
	if s.deps.State == "" {
		return nil
	}
	raw, _ := os.ReadFile(filepath.Join(s.deps.State, recordsFile)) // without it nothing is known
	for _, r := range deploy.ReadRecords(raw) {
		if r.Service == service {
			mine = append(mine, r)
		}
	}
	return mine
}
