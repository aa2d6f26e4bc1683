package deploy

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Record is what is kept of a rollout that was followed to its end.
type Record struct {
	Time       time.Time `json:"time"`    // when the end was known, by this machine's clock
	Service    string    `json:"service"` // ARN
	Revision   string    `json:"revision"`
	Deployment string    `json:"deployment"`      // ecs-svc/…, or CodeDeploy's id
	Image      string    `json:"image"`           // digest
	Bytes      int64     `json:"bytes,omitempty"` // of the image that the tasks pull, compressed; 0: not known
	Outcome    Outcome   `json:"outcome"`
	// Followed is how long fastship waited, by this machine's clock; Seconds the
	// time between the creation and the end of the deployment, by ECS's; 0 where
	// the end was not waited for, or cannot be read.
	Followed float64            `json:"followed"`
	Seconds  float64            `json:"seconds,omitempty"`
	Phases   map[string]float64 `json:"phases,omitempty"` // seconds, by the names of Report.Phases; those that were seen
}

// maxRecords are kept of a service's rollouts.
const maxRecords = 50

// Record makes a record's times of it.
func (t Timing) Record() (r Record) {
	r.Seconds = t.Took.Seconds()
	for _, p := range t.Phases {
		if r.Phases == nil {
			r.Phases = map[string]float64{}
		}
		r.Phases[p.Name] = p.Took.Seconds()
	}
	return r
}

// ReadRecords reads records, one a line, and leaves out what is none.
func ReadRecords(raw []byte) (all []Record) {
	for line := range bytes.Lines(raw) {
		var r Record
		if json.Unmarshal(line, &r) == nil && r.Service != "" && r.Outcome != "" {
			all = append(all, r)
		}
	}
	return all
}

// AddRecord puts a record behind those in raw, of which it keeps the last ones.
// A deployment that was followed twice has the later record, where its id is
// known.
func AddRecord(raw []byte, r Record) ([]byte, error) {
	all := filter(ReadRecords(raw), func(old Record) bool {
		return r.Deployment == "" || old.Service != r.Service || old.Deployment != r.Deployment
	})
	all = append(all, r)
	var out []byte
	for _, each := range all[max(0, len(all)-maxRecords):] {
		line, err := json.Marshal(each)
		if err != nil {
			return nil, err
		}
		out = append(append(out, line...), '\n')
	}
	return out, nil
}

// Timing is where a rollout's time went, as far as its follower saw it.
type Timing struct {
	Took   time.Duration // from the deployment's creation to its end, by ECS's clock; 0: not seen
	Phases []Phase       // those that were seen
}

// Timing tells it once the follower has come to the end. It rests on what was
// looked at to know the end: no call is made for it.
func (f *Follower) Timing() (t Timing) {
	e := Exam{Service: f.service}
	for _, arn := range slices.Sorted(maps.Keys(f.tasks)) {
		e.Tasks = append(e.Tasks, f.tasks[arn])
	}
	if d := f.deployed; d != nil && !d.Finished.IsZero() {
		t.Took, e.History = d.Finished.Sub(d.Created), []ServiceDeployment{*d}
	}
	if m, _ := e.measure(); m.whole {
		t.Phases = m.phases()
		return t
	}
	var last Task // the one that came furthest, and of those the latest
	for _, task := range e.Tasks {
		if task.Started.After(last.Started) || last.Started.IsZero() && task.PullStopped.After(last.PullStopped) {
			last = task
		}
	}
	for _, p := range []struct {
		name     string
		from, to time.Time
	}{{provisioning, last.Created, last.PullStarted}, {pulling, last.PullStarted, last.PullStopped}, {starting, last.PullStopped, last.Started}} {
		if !p.from.IsZero() && !p.to.Before(p.from) {
			t.Phases = append(t.Phases, Phase{p.name, p.to.Sub(p.from)})
		}
	}
	return t
}

// note remembers a task's times. A read that lags takes none of them back.
func (f *Follower) note(t Task) {
	if old := f.tasks[t.ARN]; !old.Started.IsZero() && t.Started.IsZero() || !old.PullStopped.IsZero() && t.PullStopped.IsZero() {
		return
	}
	f.tasks[t.ARN] = Task{ARN: t.ARN, StartedBy: t.StartedBy, Definition: t.Definition, Created: t.Created, PullStarted: t.PullStarted, PullStopped: t.PullStopped, Started: t.Started}
}
