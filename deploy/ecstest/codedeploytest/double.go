// Package codedeploytest is a double of AWS CodeDeploy for ECS, in front of an
// ecstest.Double: it answers CodeDeploy's operations, shows the task sets of
// services that have the deployment controller CODE_DEPLOY, and passes every
// other request on. The replacement task set of a deployment has tasks in the
// ecstest.Double, which live by its script: Install ends when all of them run and
// pass their checks, and fails after an hour. All else that a deployment goes
// through depends on package time and its Story only, so that hours pass in
// microseconds inside testing/synctest.
//
// Operations, members, states and errors follow the service model of CodeDeploy
// (2014-10-06) and the user guide's list of lifecycle events for ECS. That a
// rollback's id is shown some seconds after the failure is an assumption. The
// original task set is shown with two tasks, which are not there.
package codedeploytest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fastship/fastship/deploy/ecstest"
)

// Story is what deployments go through. The tags are the keys of stories in
// YAML files.
type Story struct {
	Shift     time.Duration `yaml:"shift"`     // of the traffic; default 10 s
	Terminate time.Duration `yaml:"terminate"` // before the old tasks end; default 0
	FailAt    string        `yaml:"failAt"`    // the lifecycle event that fails; empty: none
	Why       string        `yaml:"why"`       // its diagnostics
	Ready     time.Duration `yaml:"ready"`     // waits for a person that long before the traffic is shifted
}

// Double is an http.Handler, safe for concurrent use.
type Double struct {
	Next         *ecstest.Double
	Cluster      string // short names; the service stands in Next
	Service      string
	Application  string
	Group        string
	AutoRollback bool
	Story        Story
	// Fault says how the nth call of an operation is to fail: the error's code,
	// "cut" for an answer that is lost after the work, or empty. nil: none.
	Fault func(op string, n int) string

	mu          sync.Mutex
	counts      map[string]int
	deployments []*deployment // oldest first
}

type deployment struct {
	id, spec, definition string
	description          string
	created              time.Time
	story                Story
	stopped              time.Time // by somebody, or by an alarm
	alarmed              bool
	rollback             *deployment
	of                   *deployment // that this one takes back
	set                  string      // id of its task set; empty before Install, and where it has none of its own
	steady               time.Time   // all tasks of the set ran, for the first time
}

// installTime is how long CodeDeploy waits for a task set to become steady.
const installTime = time.Hour

// events of a deployment on ECS, in their order.
var events = []string{"BeforeInstall", "Install", "AfterInstall", "AllowTestTraffic", "AfterAllowTestTraffic", "BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic"}

// Seed is the deployment that made the task set which runs now.
func (d *Double) Seed(appSpec, taskDefinition string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deployments = append(d.deployments, &deployment{id: "d-SEED00000", spec: appSpec, definition: taskDefinition, created: time.Now().Add(-24 * time.Hour)})
}

// Begin has somebody else deploy a definition.
func (d *Double) Begin(taskDefinition string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begin(`{"version": 0.0, "Resources": [{"TargetService": {"Properties": {"TaskDefinition": "`+taskDefinition+`"}}}]}`, taskDefinition, "").id
}

// Stop has somebody stop the deployment that goes on.
func (d *Double) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x := d.deployments[len(d.deployments)-1]; x.at(time.Now()).status == "InProgress" {
		d.stop(x, d.AutoRollback)
	}
}

// Alarm has an alarm of the group stop the deployment that goes on.
func (d *Double) Alarm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x := d.deployments[len(d.deployments)-1]; x.at(time.Now()).status == "InProgress" {
		x.alarmed = true
		d.stop(x, d.AutoRollback)
	}
}

func (d *Double) stop(x *deployment, back bool) {
	x.stopped = time.Now()
	if back {
		d.takeBack(x, x.stopped)
	}
	d.settle()
}

// tasks are those of a deployment's task set.
func (d *Double) tasks(x *deployment, now moment) ecstest.TaskSet {
	if x.set != "" {
		return d.Next.TaskSet(d.Cluster, d.Service, x.set)
	}
	if now.status == "Succeeded" { // the one that has always been there
		return ecstest.TaskSet{Desired: setSize, Running: setSize}
	}
	return ecstest.TaskSet{}
}

// Ended is when the newest deployment came to its end; zero while it goes on.
func (d *Double) Ended() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	x := d.deployments[len(d.deployments)-1]
	return x.at(time.Now()).since
}

// Counts is how often each operation was called.
func (d *Double) Counts() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]int{}
	for op, n := range d.counts {
		out[op] = n
	}
	return out
}

// Specs are the AppSpecs of all deployments, oldest first.
func (d *Double) Specs() (specs []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range d.deployments {
		specs = append(specs, x.spec)
	}
	return specs
}

// Runs is the definition that gets the traffic.
func (d *Double) Runs() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.primary().definition
}

func (d *Double) begin(spec, definition, description string) *deployment {
	x := &deployment{id: fmt.Sprintf("d-%09d", len(d.deployments)), spec: spec, definition: definition, description: description, created: time.Now(), story: d.Story}
	d.deployments = append(d.deployments, x)
	time.AfterFunc(eachEvent, func() { d.install(x) })
	return x
}

// install starts the task set of a deployment.
func (d *Double) install(x *deployment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x.at(time.Now()).status != "InProgress" {
		return
	}
	var err error
	if x.set, err = d.Next.StartTaskSet(d.Cluster, d.Service, x.definition, setSize); err != nil {
		x.story.FailAt, x.story.Why, x.steady = "Install", err.Error(), time.Now()
	}
}

// takeBack begins the rollback of a deployment at a time.
func (d *Double) takeBack(x *deployment, at time.Time) {
	old := d.deployments[0]
	for _, y := range d.deployments {
		if y != x && y.at(at).traffic == 100 {
			old = y
		}
	}
	x.rollback = &deployment{id: x.id + "R", spec: old.spec, definition: old.definition, created: at.Add(3 * time.Second), steady: at.Add(6 * time.Second), story: Story{Shift: time.Second}, of: x}
	d.deployments = append(d.deployments, x.rollback)
}

// settle looks at the task sets, ends those that are not needed any more and
// begins the rollbacks that are due.
func (d *Double) settle() {
	for _, x := range slices.Clone(d.deployments) {
		if x.set != "" && x.steady.IsZero() {
			x.steady = d.Next.TaskSet(d.Cluster, d.Service, x.set).Steady
		}
		if s := x.at(time.Now()).status; x.set != "" && (s == "Failed" || s == "Stopped") {
			d.Next.StopTaskSet(d.Cluster, d.Service, x.set)
		}
		if now := x.at(time.Now()); now.status == "Failed" && d.AutoRollback && x.rollback == nil && x.of == nil {
			d.takeBack(x, now.since)
		}
	}
}

// primary is the newest deployment that has the traffic.
func (d *Double) primary() *deployment {
	found := d.deployments[0]
	for _, x := range d.deployments {
		if x.at(time.Now()).traffic == 100 {
			found = x
		}
	}
	return found
}

// ServeHTTP implements http.Handler.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, ours := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "CodeDeploy_20141006.")
	if !ours {
		d.pass(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	if d.counts == nil {
		d.counts = map[string]int{}
	}
	d.counts[op]++
	code := ""
	if d.Fault != nil {
		code = d.Fault(op, d.counts[op])
	}
	if code != "" && code != "cut" {
		refuse(w, code, op+" is refused")
		return
	}
	out, code, message := d.answer(op, body)
	switch {
	case d.Fault != nil && d.Fault(op, d.counts[op]) == "cut":
		panic(http.ErrAbortHandler) // how net/http cuts a connection
	case code != "":
		refuse(w, code, message)
	default:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(out) // a caller that is gone needs no answer
	}
}

func (d *Double) answer(op string, body []byte) (out map[string]any, code, message string) {
	var in struct {
		ApplicationName, DeploymentGroupName, DeploymentId, Description, DeploymentConfigName string
		IncludeOnlyStatuses, TargetIds                                                        []string
		AutoRollbackEnabled                                                                   bool
		Revision                                                                              struct {
			RevisionType   string
			AppSpecContent struct{ Content string }
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, "SerializationException", err.Error()
	}
	switch op {
	case "GetDeploymentGroup", "CreateDeployment", "ListDeployments":
		if in.ApplicationName != d.Application {
			return nil, "ApplicationDoesNotExistException", "No application found for name: " + in.ApplicationName
		}
		if in.DeploymentGroupName != d.Group {
			return nil, "DeploymentGroupDoesNotExistException", "No Deployment Group found for name: " + in.DeploymentGroupName
		}
	case "GetDeploymentConfig":
		return map[string]any{"deploymentConfigInfo": map[string]any{"trafficRoutingConfig": map[string]any{"type": "TimeBasedCanary",
			"timeBasedCanary": map[string]any{"canaryPercentage": 10, "canaryInterval": int(d.Story.Shift / time.Minute)}}}}, "", ""
	}
	switch op {
	case "GetDeploymentGroup":
		return map[string]any{"deploymentGroupInfo": map[string]any{
			"applicationName": d.Application, "deploymentGroupName": d.Group, "computePlatform": "ECS", "deploymentConfigName": "Canary",
			"ecsServices":                      []any{map[string]any{"serviceName": d.Service, "clusterName": d.Cluster}},
			"autoRollbackConfiguration":        map[string]any{"enabled": d.AutoRollback},
			"blueGreenDeploymentConfiguration": map[string]any{"terminateBlueInstancesOnDeploymentSuccess": map[string]any{"action": "TERMINATE", "terminationWaitTimeInMinutes": int(d.Story.Terminate / time.Minute)}},
		}}, "", ""
	case "CreateDeployment":
		return d.create(in.Revision.AppSpecContent.Content, in.Description)
	case "ListDeployments":
		ids := []string{}
		for _, x := range d.deployments {
			if slices.Contains(in.IncludeOnlyStatuses, x.at(time.Now()).status) {
				ids = append(ids, x.id)
			}
		}
		return map[string]any{"deployments": ids}, "", ""
	}
	at := slices.IndexFunc(d.deployments, func(x *deployment) bool { return x.id == in.DeploymentId })
	if at < 0 {
		return nil, "DeploymentDoesNotExistException", "The deployment " + in.DeploymentId + " could not be found"
	}
	x := d.deployments[at]
	now := x.at(time.Now())
	green := d.tasks(x, now)
	switch op {
	case "StopDeployment":
		if now.status != "InProgress" && now.status != "Ready" {
			return nil, "DeploymentAlreadyCompletedException", "The deployment " + x.id + " has already completed"
		}
		d.stop(x, in.AutoRollbackEnabled)
		return map[string]any{"status": "Succeeded", "statusMessage": "The deployment was stopped."}, "", ""
	case "GetDeployment":
		return map[string]any{"deploymentInfo": d.show(x, now)}, "", ""
	case "ListDeploymentTargets":
		return map[string]any{"targetIds": []string{d.Cluster + ":" + d.Service}}, "", ""
	case "BatchGetDeploymentTargets":
		if !slices.Equal(in.TargetIds, []string{d.Cluster + ":" + d.Service}) {
			return nil, "DeploymentTargetDoesNotExistException", "no such target"
		}
		return map[string]any{"deploymentTargets": []any{map[string]any{"deploymentTargetType": "ECSTarget", "ecsTarget": map[string]any{
			"deploymentId": x.id, "targetId": in.TargetIds[0], "status": now.status, "lifecycleEvents": now.events,
			"taskSetsInfo": []any{
				map[string]any{"taskSetLabel": "Blue", "desiredCount": 2, "pendingCount": 0, "runningCount": 2, "trafficWeight": 100 - now.traffic},
				map[string]any{"taskSetLabel": "Green", "identifer": x.set, "desiredCount": green.Desired, "pendingCount": green.Pending, "runningCount": green.Running, "trafficWeight": now.traffic},
			},
		}}}}, "", ""
	}
	return nil, "UnknownOperationException", op
}

func (d *Double) create(content, description string) (out map[string]any, code, message string) {
	for _, x := range d.deployments {
		if s := x.at(time.Now()).status; s == "InProgress" || s == "Ready" {
			return nil, "DeploymentLimitExceededException", "The Deployment Group '" + d.Group + "' already has an active Deployment '" + x.id + "'"
		}
	}
	var spec struct {
		Resources []struct {
			TargetService struct {
				Properties struct{ TaskDefinition string }
			}
		}
	}
	if json.Unmarshal([]byte(content), &spec) != nil || len(spec.Resources) != 1 || spec.Resources[0].TargetService.Properties.TaskDefinition == "" {
		return nil, "InvalidRevisionException", "The AppSpec names no task definition"
	}
	return map[string]any{"deploymentId": d.begin(content, spec.Resources[0].TargetService.Properties.TaskDefinition, description).id}, "", ""
}

func (d *Double) show(x *deployment, now moment) map[string]any {
	info := map[string]any{
		"deploymentId": x.id, "applicationName": d.Application, "deploymentGroupName": d.Group, "status": now.status,
		"createTime": float64(x.created.UnixMilli()) / 1000, "description": x.description, "computePlatform": "ECS",
		"revision": map[string]any{"revisionType": "AppSpecContent", "appSpecContent": map[string]any{"content": x.spec}},
	}
	if now.status == "Failed" {
		info["errorInformation"] = map[string]any{"code": "HOOK_EXECUTION_FAILURE", "message": "The deployment failed."}
	}
	if x.alarmed {
		info["errorInformation"] = map[string]any{"code": "ALARM_ACTIVE", "message": "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the affected deployments have been stopped."}
	}
	if x.rollback != nil && !time.Now().Before(x.rollback.created) {
		info["rollbackInfo"] = map[string]any{"rollbackDeploymentId": x.rollback.id}
	}
	return info
}

// pass shows the service's task sets in what ECS says of it.
func (d *Double) pass(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DescribeServices") {
		d.Next.ServeHTTP(w, r)
		return
	}
	kept := httptest.NewRecorder()
	d.Next.ServeHTTP(kept, r)
	var out map[string]any
	if kept.Code == http.StatusOK && json.Unmarshal(kept.Body.Bytes(), &out) == nil {
		services, _ := out["services"].([]any)
		for _, s := range services {
			if service, ok := s.(map[string]any); ok && service["serviceName"] == d.Service {
				service["taskSets"] = d.taskSets()
			}
		}
		kept.Body.Reset()
		_ = json.NewEncoder(kept.Body).Encode(out) // JSON that came in as JSON
	}
	for k, v := range kept.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(kept.Code)
	_, _ = w.Write(kept.Body.Bytes())
}

func (d *Double) taskSets() []any {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	sets, primary := []any{}, d.primary()
	for i, x := range d.deployments {
		now := x.at(time.Now())
		if x != primary && now.status != "InProgress" && now.status != "Ready" {
			continue
		}
		status := "ACTIVE"
		if x == primary {
			status = "PRIMARY"
		}
		id, tasks := x.set, d.tasks(x, now)
		if id == "" {
			id = fmt.Sprintf("ecs-svc/%d", 1000+i)
		}
		sets = append(sets, map[string]any{
			"id": id, "externalId": x.id, "startedBy": "CODE_DEPLOY", "status": status, "taskDefinition": x.definition,
			"computedDesiredCount": tasks.Desired, "pendingCount": tasks.Pending, "runningCount": tasks.Running, "createdAt": float64(x.created.Unix()), "stabilityStatus": "STEADY_STATE",
		})
	}
	return sets
}

func refuse(w http.ResponseWriter, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}
