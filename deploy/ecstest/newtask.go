package ecstest

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// newTask makes and launches one task of a deployment.
func (d *Double) newTask(s *service, p *deployment) (*task, error) {
	def := definitionOf(d.world, p.definition)
	if def == nil {
		return nil, fmt.Errorf("no task definition %s", p.definition)
	}
	t, spec, err := d.prepare(def, s.key.cluster)
	if err != nil {
		return nil, err
	}
	t.service, t.deployment, t.startedBy, t.revision = s.key, p.id, p.id, p.revision
	t.group, t.grace = "service:"+s.key.name, s.settings.grace
	t.launchType = orString(s.settings.launchType, "FARGATE")
	if len(s.settings.targets) > 0 {
		lb := s.settings.targets[0]
		g := d.group(lb.TargetGroup)
		t.target, t.targetGroup = &Target{Container: lb.Container, Port: lb.Port, Interval: g.Interval, Unhealthy: g.Unhealthy}, lb.TargetGroup
	}
	spec.Service, spec.Deployment, spec.Target = s.key.name, p.id, t.target
	switch string(s.config["propagateTags"]) {
	case `"SERVICE"`:
		t.tags = s.tags
	case `"TASK_DEFINITION"`:
		t.tags = def.tags
	}
	spec.Tags = tagMap(t.tags)
	d.launch(t, spec)
	return t, nil
}

// prepare makes the record of a task and what its runtime gets.
func (d *Double) prepare(def *definition, cluster string) (*task, TaskSpec, error) {
	raw, err := json.Marshal(showDefinition(def, d.account))
	if err != nil {
		return nil, TaskSpec{}, err
	}
	parsed, err := parseDefinition(raw)
	if err != nil {
		return nil, TaskSpec{}, err
	}
	id := d.hexID()
	t := &task{
		id: id, arn: d.arn("task", cluster, id), serial: d.world.serial, cluster: cluster,
		definition: def.arn, launchType: "FARGATE", platform: "1.4.0", cpu: parsed.CPU, memory: parsed.Memory,
	}
	spec := TaskSpec{
		ID: id, Cluster: cluster, Family: def.family, Revision: def.revision, Definition: raw,
		MemoryMiB: mebibytes(parsed.Memory), CPUUnits: cpuUnits(parsed.CPU),
	}
	for _, c := range parsed.Containers {
		k := c.spec()
		spec.Containers = append(spec.Containers, k)
		shown := &container{
			name: k.Name, image: k.Image, last: "PENDING", health: "UNKNOWN",
			essential: k.Essential, checked: k.HealthCheck != nil, cpu: "0",
		}
		if k.MemoryMiB > 0 {
			shown.memory = strconv.Itoa(k.MemoryMiB)
		}
		if l := c.LogConfiguration; l != nil {
			shown.logDriver, shown.logGroup, shown.logPrefix = l.LogDriver, l.Options["awslogs-group"], l.Options["awslogs-stream-prefix"]
		}
		t.containers = append(t.containers, shown)
	}
	return t, spec, nil
}

// tagMap turns [{"key": …, "value": …}] into a map.
func tagMap(raw json.RawMessage) map[string]string {
	var tags []struct{ Key, Value string }
	if json.Unmarshal(raw, &tags) != nil {
		return nil
	}
	m := map[string]string{}
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

func orString(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
