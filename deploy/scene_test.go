package deploy

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// clock0 is when ECS answered UpdateService, by its own clock, which is an
// hour ahead of ours: only ECS's times may be compared with ECS's times.
var clock0 = time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)

var local0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	oldTask = "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:7"
	newTask = "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:8"
	oursID  = "ecs-svc/2"
)

// scene is what ECS would show at a moment.
type scene struct {
	elapsed time.Duration
	service Service
	records []ServiceDeployment
	tasks   []Task
	fail    map[string]error // by call: service, deployments, tasks
	looks   map[string]int
}

func newScene() *scene {
	return &scene{
		service: Service{
			Name: "web", Status: "ACTIVE", TaskDefinition: newTask, Desired: 2,
			Deployments: []Deployment{
				{ID: oursID, Status: "PRIMARY", TaskDefinition: newTask, Desired: 2, RolloutState: "IN_PROGRESS", Created: clock0},
				{ID: "ecs-svc/1", Status: "ACTIVE", TaskDefinition: oldTask, Desired: 2, Running: 2, RolloutState: "COMPLETED", Created: clock0.Add(-time.Hour)},
			},
		},
		records: []ServiceDeployment{
			{ARN: "sd/1", Status: "SUCCESSFUL", TaskDefinition: oldTask, Created: clock0.Add(-time.Hour)},
			{ARN: "sd/2", Status: "PENDING", TaskDefinition: newTask, Created: clock0.Add(40 * time.Millisecond)},
		},
		fail: map[string]error{}, looks: map[string]int{},
	}
}

func (s *scene) deployment(id string) *Deployment {
	for i := range s.service.Deployments {
		if s.service.Deployments[i].ID == id {
			return &s.service.Deployments[i]
		}
	}
	s.service.Deployments = append(s.service.Deployments, Deployment{ID: id})
	return &s.service.Deployments[len(s.service.Deployments)-1]
}

// show is the scene cut down to what was asked for.
func (s *scene) show(ask Ask) (o Observation) {
	if o.Unasked = !ask.Service; o.Unasked {
		return s.rest(ask, o)
	}
	s.looks["service"]++
	if o.Err = s.fail["service"]; o.Err != nil {
		return o
	}
	o.Service = s.service
	o.Service.Deployments = append([]Deployment{}, s.service.Deployments...)
	o.Service.Events = append([]ServiceEvent{}, s.service.Events...)
	return s.rest(ask, o)
}

// rest is what was asked for beside the service.
func (s *scene) rest(ask Ask, o Observation) Observation {
	if ask.Deployments {
		s.looks["deployments"]++
		if o.DeploymentsErr = s.fail["deployments"]; o.DeploymentsErr == nil {
			o.Deployments = []ServiceDeployment{}
			for _, r := range s.records {
				if ask.DeploymentARN == "" && !r.Created.Before(ask.Since) || ask.DeploymentARN == r.ARN {
					o.Deployments = append(o.Deployments, r)
				}
			}
		}
	}
	if q := ask.Tasks; q.StartedBy != "" {
		s.looks["tasks"]++
		if o.TasksErr = s.fail["tasks"]; o.TasksErr == nil {
			o.Tasks = []Task{}
			for _, t := range s.tasks {
				if slices.Contains(q.Known, t.ARN) || q.Listed && t.DesiredStatus != "STOPPED" || q.Stopped && t.DesiredStatus == "STOPPED" {
					o.Tasks = append(o.Tasks, t)
				}
			}
		}
	}
	return o
}

// moment changes the scene.
type moment struct {
	at time.Duration
	do []func(*scene)
}

func at(seconds int, do ...func(*scene)) moment {
	return moment{time.Duration(seconds) * time.Second, do}
}

func counts(running, pending int) func(*scene) {
	return func(s *scene) { d := s.deployment(oursID); d.Running, d.Pending = running, pending }
}

func oldGone(s *scene) {
	var kept []Deployment
	for _, d := range s.service.Deployments {
		if d.ID != "ecs-svc/1" {
			kept = append(kept, d)
		}
	}
	s.service.Deployments = kept
}

func gone(id string) func(*scene) {
	return func(s *scene) {
		var kept []Deployment
		for _, d := range s.service.Deployments {
			if d.ID != id {
				kept = append(kept, d)
			}
		}
		s.service.Deployments = kept
	}
}

func rollout(state, reason string) func(*scene) {
	return func(s *scene) { d := s.deployment(oursID); d.RolloutState, d.RolloutReason = state, reason }
}

// record sets the state of our service deployment.
func record(status, reason string) func(*scene) {
	return func(s *scene) { r := &s.records[len(s.records)-1]; r.Status, r.Reason = status, reason }
}

func tripped(s *scene) { s.records[len(s.records)-1].BreakerTriggered = true }

func breaker(rollback bool) func(*scene) {
	return func(s *scene) { s.service.Breaker, s.service.Rollback = true, rollback }
}

// primary puts another deployment first.
func primary(id, definition string, age time.Duration, state, reason string, running int) func(*scene) {
	return func(s *scene) {
		for i := range s.service.Deployments {
			if s.service.Deployments[i].Status == "PRIMARY" {
				s.service.Deployments[i].Status = "ACTIVE"
			}
		}
		*s.deployment(id) = Deployment{
			ID: id, Status: "PRIMARY", TaskDefinition: definition, Desired: 2, Running: running, Pending: 2 - running,
			RolloutState: state, RolloutReason: reason, Created: clock0.Add(s.elapsed - age),
		}
	}
}

// stopped adds stopped tasks of our deployment.
func stopped(count int, t Task) func(*scene) {
	return func(s *scene) {
		for range count {
			t.ARN = fmt.Sprintf("arn:aws:ecs:eu-west-1:111122223333:task/prod/%032x", len(s.tasks)+1)
			t.LastStatus, t.DesiredStatus, t.Stopped = "STOPPED", "STOPPED", clock0.Add(s.elapsed)
			if t.StartedBy == "" {
				t.StartedBy = oursID
			}
			s.tasks = append(s.tasks, t)
		}
		s.deployment(oursID).Failed += count
	}
}

func crash(code int) Task {
	return Task{StopCode: "EssentialContainerExited", StoppedReason: "Essential container in task exited", Containers: []Container{{Name: "app", Exit: &code}}}
}

func pullError(text string) Task {
	return Task{StopCode: "TaskFailedToStart", StoppedReason: text, Containers: []Container{{Name: "app", Reason: text}}}
}

func event(text string) func(*scene) {
	return func(s *scene) {
		e := ServiceEvent{ID: fmt.Sprint(len(s.service.Events)), Created: clock0.Add(s.elapsed), Message: text}
		s.service.Events = append([]ServiceEvent{e}, s.service.Events...)
	}
}

func failing(call string, err error) func(*scene) {
	return func(s *scene) { s.fail[call] = err }
}

func both(do ...func(*scene)) func(*scene) {
	return func(s *scene) {
		for _, f := range do {
			f(s)
		}
	}
}

// succeed is how ECS ends a good rollout.
var succeed = both(counts(2, 0), oldGone, rollout("COMPLETED", "ECS deployment completed."), record("SUCCESSFUL", ""))

// watch lets a follower see the moments as its clock passes them, and returns
// the end, when it came, and what was told.
func watch(t *testing.T, opt Options, moments []moment) (*scene, Result, time.Duration, []Event) {
	t.Helper()
	opt.Jitter = func() float64 { return 0.5 }
	s, now := newScene(), local0
	begun := Begun{ID: oursID, Created: clock0, TaskDefinition: newTask, Previous: oldTask, Fresh: true}
	f := NewFollower(begun, map[string]bool{"app": true, "proxy": true}, opt, now)
	var told []Event
	for next := f.Begin(); ; {
		if next.After <= 0 && !now.Equal(f.Deadline()) && s.looks["service"] > 2000 {
			t.Fatal("the follower looks without pause")
		}
		now = now.Add(next.After)
		s.elapsed = now.Sub(local0)
		for len(moments) > 0 && moments[0].at <= s.elapsed {
			s.elapsed = moments[0].at
			for _, do := range moments[0].do {
				do(s)
			}
			moments = moments[1:]
		}
		s.elapsed = now.Sub(local0)
		next = f.Observe(now, s.show(next.Ask))
		told = append(told, next.Events...)
		if next.GivenUp != nil {
			next.Result = next.GivenUp
		}
		if next.Result != nil {
			return s, *next.Result, now.Sub(local0), told
		}
		if now.Sub(local0) > 2*time.Hour {
			t.Fatal("no end after two hours")
		}
	}
}
