package ecstest

import (
	"encoding/json"
	"slices"
	"strings"
)

func listTasks(d *Double, c call) (object, error) {
	in, err := read[struct {
		paging
		Cluster       string `json:"cluster"`
		Family        string `json:"family"`
		StartedBy     string `json:"startedBy"`
		ServiceName   string `json:"serviceName"`
		DesiredStatus string `json:"desiredStatus"`
		LaunchType    string `json:"launchType"`
	}](c)
	if err != nil {
		return nil, err
	}
	k, err := clusterOf(c.view, in.Cluster)
	if err != nil {
		return nil, err
	}
	if in.StartedBy != "" && (in.Family != "" || in.ServiceName != "") {
		return nil, invalid("startedBy must be the only filter.")
	}
	if in.ServiceName != "" {
		if _, err := serviceOf(c.view, k.name, in.ServiceName); err != nil {
			return nil, err
		}
	}
	switch in.DesiredStatus {
	case "":
		in.DesiredStatus = "RUNNING"
	case "RUNNING", "PENDING", "STOPPED":
	default:
		return nil, invalid("Invalid desiredStatus: %s", in.DesiredStatus)
	}
	var tasks []*task
	for _, t := range c.view.tasks {
		if t.cluster != k.name || t.wanted != in.DesiredStatus ||
			in.StartedBy != "" && t.startedBy != in.StartedBy ||
			in.ServiceName != "" && t.service.name != afterSlash(in.ServiceName) ||
			in.Family != "" && definitionOf(c.view, t.definition).family != in.Family ||
			in.LaunchType != "" && t.launchType != in.LaunchType {
			continue
		}
		tasks = append(tasks, t)
	}
	// ECS promises no order: by ARN is one that tells nothing of age.
	slices.SortFunc(tasks, func(a, b *task) int { return strings.Compare(a.arn, b.arn) })
	var arns []string
	for _, t := range tasks {
		arns = append(arns, t.arn)
	}
	return page(in.paging, object{}, "taskArns", arns, 100)
}

func describeTasks(d *Double, c call) (object, error) {
	in, err := read[struct {
		Cluster string   `json:"cluster"`
		Tasks   []string `json:"tasks"`
		Include []string `json:"include"`
	}](c)
	if err != nil {
		return nil, err
	}
	switch {
	case len(in.Tasks) == 0:
		return nil, invalid("Tasks cannot be empty.")
	case len(in.Tasks) > 100:
		return nil, invalid("Tasks can have at most 100 items.")
	}
	k, err := clusterOf(c.view, in.Cluster)
	if err != nil {
		return nil, err
	}
	found, failures := []object{}, []object{}
	for _, name := range in.Tasks {
		t := c.view.tasks[afterSlash(name)]
		if t == nil || t.cluster != k.name {
			failures = append(failures, missing(d.arn("task", k.name, afterSlash(name))))
			continue
		}
		found = append(found, showTask(d, t, wantsTags(in.Include)))
	}
	return object{"tasks": found, "failures": failures}, nil
}

func stopTask(d *Double, c call) (object, error) {
	in, err := read[struct {
		Cluster string `json:"cluster"`
		Task    string `json:"task"`
		Reason  string `json:"reason"`
	}](c)
	if err != nil {
		return nil, err
	}
	k, err := clusterOf(d.world, in.Cluster)
	if err != nil {
		return nil, err
	}
	t := d.world.tasks[afterSlash(in.Task)]
	if t == nil || t.cluster != k.name {
		return nil, invalid("The referenced task was not found.")
	}
	d.stop(t, "UserInitiated", orString(in.Reason, "Task stopped by user"))
	if s := d.world.services[t.service]; s != nil {
		d.wake(s)
	}
	return object{"task": showTask(d, t, true)}, nil
}

type taskOverride struct {
	Containers []struct {
		Name        string       `json:"name"`
		Command     []string     `json:"command"`
		Environment []namedValue `json:"environment"`
	} `json:"containerOverrides"`
}

func runTask(d *Double, c call) (object, error) {
	in, err := read[struct {
		Cluster        string          `json:"cluster"`
		TaskDefinition string          `json:"taskDefinition"`
		Count          *int            `json:"count"`
		ClientToken    string          `json:"clientToken"`
		StartedBy      string          `json:"startedBy"`
		Group          string          `json:"group"`
		LaunchType     string          `json:"launchType"`
		Overrides      json.RawMessage `json:"overrides"`
		Network        json.RawMessage `json:"networkConfiguration"`
		Tags           json.RawMessage `json:"tags"`
	}](c)
	if err != nil {
		return nil, err
	}
	k, err := clusterOf(d.world, in.Cluster)
	if err != nil {
		return nil, err
	}
	count := orInt(in.Count, 1)
	if count < 1 || count > 10 {
		return nil, invalid("Count must be between 1 and 10.")
	}
	def, err := d.runnable(&service{config: map[string]json.RawMessage{"networkConfiguration": in.Network}}, in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	override := taskOverride{}
	if in.Overrides != nil {
		if err := json.Unmarshal(in.Overrides, &override); err != nil {
			return nil, refuse("SerializationException", "%v", err)
		}
	}
	shown := []object{}
	if earlier := d.world.tokens[in.ClientToken]; in.ClientToken != "" && earlier != "" {
		if t := d.world.tasks[earlier]; t != nil {
			return object{"tasks": []object{showTask(d, t, true)}, "failures": []object{}}, nil
		}
	}
	for range count {
		t, spec, err := d.prepare(def, k.name)
		if err != nil {
			return nil, err
		}
		if err := override.apply(&spec); err != nil {
			return nil, err
		}
		t.startedBy, t.group = in.StartedBy, orString(in.Group, "family:"+def.family)
		t.overrides, t.tags, t.launchType = in.Overrides, in.Tags, orString(in.LaunchType, "FARGATE")
		spec.Tags = tagMap(t.tags)
		d.launch(t, spec)
		shown = append(shown, showTask(d, t, true))
		if in.ClientToken != "" {
			d.world.tokens[in.ClientToken] = t.id
		}
	}
	return object{"tasks": shown, "failures": []object{}}, nil
}

// apply lays the overrides over what the runtime gets.
func (o *taskOverride) apply(spec *TaskSpec) error {
	for _, c := range o.Containers {
		i := slices.IndexFunc(spec.Containers, func(k ContainerSpec) bool { return k.Name == c.Name })
		if i < 0 {
			return invalid("Override for container named %s is not a container in the TaskDefinition.", c.Name)
		}
		if c.Command != nil {
			spec.Containers[i].Command = c.Command
		}
		for _, e := range c.Environment {
			spec.Containers[i].Environment[e.Name] = e.Value
		}
	}
	return nil
}
