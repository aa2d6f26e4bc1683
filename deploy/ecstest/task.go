package ecstest

import (
	"encoding/json"
	"time"
)

// task is one task, from its creation until it vanishes an hour after its end.
type task struct {
	id, arn, cluster      string
	serial                int        // order of creation
	service               serviceKey // zero for RunTask
	deployment, startedBy string
	group                 string
	definition, revision  string // ARNs
	last, wanted          string // lastStatus, desiredStatus
	containers            []*container
	overrides             json.RawMessage
	tags                  json.RawMessage
	launchType, platform  string
	cpu, memory           string
	target                *Target // nil: no load balancer
	targetGroup           string
	targetHealth          string // "", HEALTHY, UNHEALTHY
	targetReason          string
	address               string
	stopCode, reason      string
	version               int
	grace                 time.Duration // healthCheckGracePeriodSeconds

	created, pullStarted, pullStopped, started   time.Time
	connected, stopping, executionStopped, ended time.Time
	failed, counted, succeeded, startedUp, final bool
}

// container is one container of a task.
type container struct {
	name, image, digest, runtimeID string
	last                           string
	exitCode                       *int
	reason                         string
	health                         string
	essential, checked             bool // checked: it has a health check of its own
	cpu, memory                    string
	logDriver, logGroup, logPrefix string
}

func (t *task) container(name string) *container {
	for _, c := range t.containers {
		if c.name == name {
			return c
		}
	}
	return nil
}

// health is the task's: that of its essential containers together.
func (t *task) health() string {
	all := "UNKNOWN"
	for _, c := range t.containers {
		if !c.essential || !c.checked {
			continue
		}
		if c.health == "UNHEALTHY" {
			return "UNHEALTHY"
		}
		if c.health == "UNKNOWN" {
			return "UNKNOWN"
		}
		all = c.health
	}
	return all
}

// checked tells whether anything judges the task's health.
func (t *task) checked() bool {
	if t.target != nil {
		return true
	}
	for _, c := range t.containers {
		if c.essential && c.checked {
			return true
		}
	}
	return false
}

// healthy tells whether the task runs and passes every check that it has.
func (t *task) healthy() bool {
	if t.last != "RUNNING" || t.wanted != "RUNNING" || t.target != nil && t.targetHealth != "HEALTHY" {
		return false
	}
	for _, c := range t.containers {
		if c.essential && c.checked && c.health != "HEALTHY" {
			return false
		}
	}
	return true
}

// steady is healthy, and where nothing judges health, running for settle.
func (t *task) steady(settle time.Duration) bool {
	return t.healthy() && (t.checked() || time.Since(t.started) >= settle)
}

// occupied tells whether the task still holds what a deployment waits for:
// its containers run, or it drains.
func (t *task) occupied() bool { return t.last != "DEPROVISIONING" && t.last != "STOPPED" }

// counts is what the task adds to runningCount and pendingCount.
func (t *task) counts() (running, pending int) {
	switch t.last {
	case "RUNNING":
		return 1, 0
	case "PROVISIONING", "PENDING", "ACTIVATING":
		return 0, 1
	}
	return 0, 0
}

// move sets lastStatus and counts the change.
func (t *task) move(status string) {
	t.last = status
	t.version++
}

func showTask(d *Double, t *task, tags bool) object {
	containers := []object{}
	for _, c := range t.containers {
		containers = append(containers, showContainer(d, t, c))
	}
	o := object{
		"taskArn": t.arn, "clusterArn": d.clusterARN(t.cluster), "taskDefinitionArn": t.definition,
		"lastStatus": t.last, "desiredStatus": t.wanted, "healthStatus": t.health(),
		"containers": containers, "group": t.group, "launchType": t.launchType,
		"availabilityZone": d.region + "a", "version": t.version, "attachments": []object{},
		"attributes":           []object{{"name": "ecs.cpu-architecture", "value": "x86_64"}},
		"enableExecuteCommand": false, "inferenceAccelerators": []object{}, "tags": []object{},
		"overrides": object{"containerOverrides": []object{}, "inferenceAcceleratorOverrides": []object{}},
	}
	if tags && t.tags != nil {
		o["tags"] = t.tags
	}
	if t.overrides != nil {
		o["overrides"] = t.overrides
	}
	if t.launchType == "FARGATE" {
		o["platformVersion"], o["platformFamily"] = t.platform, "Linux"
	}
	for k, v := range map[string]string{
		"startedBy": t.startedBy, "stopCode": t.stopCode, "stoppedReason": t.reason, "cpu": t.cpu, "memory": t.memory,
	} {
		if v != "" {
			o[k] = v
		}
	}
	if !t.connected.IsZero() {
		o["connectivity"] = "CONNECTED"
	}
	setTime(o, "createdAt", t.created)
	setTime(o, "connectivityAt", t.connected)
	setTime(o, "pullStartedAt", t.pullStarted)
	setTime(o, "pullStoppedAt", t.pullStopped)
	setTime(o, "startedAt", t.started)
	setTime(o, "stoppingAt", t.stopping)
	setTime(o, "executionStoppedAt", t.executionStopped)
	setTime(o, "stoppedAt", t.ended)
	return o
}

func showContainer(d *Double, t *task, c *container) object {
	o := object{
		"containerArn": d.arn("container", t.cluster, t.id, c.name), "taskArn": t.arn,
		"name": c.name, "image": c.image, "lastStatus": c.last, "healthStatus": c.health,
		"networkBindings": []object{}, "networkInterfaces": []object{}, "cpu": c.cpu,
	}
	for k, v := range map[string]string{
		"imageDigest": c.digest, "runtimeId": c.runtimeID, "reason": c.reason, "memory": c.memory,
	} {
		if v != "" {
			o[k] = v
		}
	}
	if c.exitCode != nil {
		o["exitCode"] = *c.exitCode
	}
	return o
}
