package ecstest

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// world is everything ECS knows: plain data, so that a copy of it can answer
// a read that lags. Records refer to each other by id.
type world struct {
	clusters map[string]*cluster
	families map[string][]*definition // by family, revision 1 first
	services map[serviceKey]*service
	tasks    map[string]*task // by id
	tokens   map[string]string
	serial   int // of every id made so far
}

type serviceKey struct{ cluster, name string }

type cluster struct {
	name, status string
	config       object // settings, configuration, capacityProviders … as given
	tags         json.RawMessage
}

// definition is one revision of a task definition.
type definition struct {
	family       string
	revision     int
	arn, status  string
	registered   time.Time
	deregistered time.Time
	body         object // as registered, ECS's defaults filled in, without the computed keys
	tags         json.RawMessage
}

type service struct {
	key           serviceKey
	arn, status   string
	desired       int
	definition    string // ARN
	config        map[string]json.RawMessage
	settings      settings // what config means to the scheduler
	tags          json.RawMessage
	created       time.Time
	deployments   []*deployment        // PRIMARY first, then ACTIVE ones, newest first
	sets          []*taskSet           // of a service with another controller, oldest first
	history       []*serviceDeployment // oldest first
	revisions     []*revision          // oldest first
	events        []event              // newest first
	lastCompleted string               // ARN of the revision to roll back to; empty: none
	serving       string               // id of the deployment that has production traffic
	steady        bool                 // the last thing said was "has reached a steady state"
}

// deployment is an entry of a service's deployments.
type deployment struct {
	id, status, definition, revision string
	rolloutState, reason             string
	created, updated                 time.Time
	failed                           int // failedTasks
	launchFailures                   int // tasks in a row that never ran: the back-off's count
	notBefore                        time.Time
	record                           string // ARN of its service deployment; empty: none is kept
	rollback                         bool   // started by ECS to undo record's own deployment
	idle                             bool   // ServiceSeed.Idle: nothing runs for it
	bakeUntil                        time.Time
	placeless                        time.Time // when it was last said that there is no room
}

// serviceDeployment is what ListServiceDeployments and its kin tell.
type serviceDeployment struct {
	arn, status, reason                           string
	created, started, finished, stopped, updated  time.Time
	target                                        string   // revision ARN
	sources                                       []string // revision ARNs
	strategy                                      string
	deployment                                    string // id of the forward deployment
	config                                        json.RawMessage
	breakerStatus                                 string
	failures, threshold                           int
	rollbackReason, rollbackRevision, rollbackRun string // run: id of the deployment that undoes
	rollbackStarted                               time.Time
	stage                                         string // of a deployment that shifts traffic
	entered                                       time.Time
	shifted                                       bool    // within the present stage
	weight, testWeight                            float64 // of green, percent
	hooks                                         []*hook // of the present stage
	verdict                                       Verdict
	alarms                                        alarmSetting
	triggered                                     []string // alarms
}

// revision is a service revision: what a deployment deploys.
type revision struct {
	arn, definition string
	created         time.Time
	config          map[string]json.RawMessage
}

type event struct {
	id, message string
	at          time.Time
}

func newWorld() *world {
	return &world{
		clusters: map[string]*cluster{}, families: map[string][]*definition{},
		services: map[serviceKey]*service{}, tasks: map[string]*task{}, tokens: map[string]string{},
	}
}

// clone copies everything that may still change.
func (w *world) clone() *world {
	c := *w
	c.clusters = copyMap(w.clusters)
	c.families = make(map[string][]*definition, len(w.families))
	for k, v := range w.families {
		c.families[k] = copySlice(v)
	}
	c.services = copyMap(w.services)
	for _, s := range c.services {
		s.deployments = copySlice(s.deployments)
		s.sets = copySlice(s.sets)
		s.history = copySlice(s.history)
		for _, r := range s.history {
			r.hooks = copySlice(r.hooks)
		}
		s.revisions = slices.Clone(s.revisions)
		s.events = slices.Clone(s.events)
		s.config = maps.Clone(s.config)
	}
	c.tasks = copyMap(w.tasks)
	for _, t := range c.tasks {
		t.containers = copySlice(t.containers)
	}
	return &c
}

func copyMap[K comparable, V any](m map[K]*V) map[K]*V {
	c := make(map[K]*V, len(m))
	for k, v := range m {
		x := *v
		c[k] = &x
	}
	return c
}

func copySlice[V any](s []*V) []*V {
	c := make([]*V, len(s))
	for i, v := range s {
		x := *v
		c[i] = &x
	}
	return c
}

func (s *service) primary() *deployment {
	if len(s.deployments) == 0 {
		return nil
	}
	return s.deployments[0]
}

func (s *service) deployment(id string) *deployment {
	for _, p := range s.deployments {
		if p.id == id {
			return p
		}
	}
	if set := s.set(id); set != nil {
		return set.deployment
	}
	return nil
}

func (s *service) record(arn string) *serviceDeployment {
	for _, r := range s.history {
		if r.arn == arn {
			return r
		}
	}
	return nil
}

func (s *service) revision(arn string) *revision {
	for _, r := range s.revisions {
		if r.arn == arn {
			return r
		}
	}
	return nil
}

// tasksOf returns the tasks of a service in the order in which they were
// made; those that no deployment is given for as well.
func (w *world) tasksOf(s *service, deployment string) []*task {
	var out []*task
	for _, t := range w.tasks {
		if t.service == s.key && (deployment == "" || t.deployment == deployment) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *task) int { return a.serial - b.serial })
	return out
}
