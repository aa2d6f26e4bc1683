package ecstest

import (
	"bytes"
	"encoding/json"
	"slices"
)

func updateService(d *Double, c call) (object, error) {
	in, err := read[struct {
		Cluster        string `json:"cluster"`
		Service        string `json:"service"`
		DesiredCount   *int   `json:"desiredCount"`
		TaskDefinition string `json:"taskDefinition"`
		Force          bool   `json:"forceNewDeployment"`
	}](c)
	if err != nil {
		return nil, err
	}
	s, err := serviceOf(d.world, in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	if s.status != "ACTIVE" {
		return nil, refuse("ServiceNotActiveException", "Service was not ACTIVE.")
	}
	given, err := keep(c.body, serviceConfig()...)
	if err != nil {
		return nil, err
	}
	next := *s // what is refused leaves nothing behind
	if err := next.configure(given); err != nil {
		return nil, err
	}
	deploys := in.Force
	if in.TaskDefinition != "" {
		if s.settings.controller != "ECS" {
			return nil, invalid("Unable to update task definition on services with a %s deployment controller.", s.settings.controller)
		}
		def, err := d.runnable(&next, in.TaskDefinition)
		if err != nil {
			return nil, err
		}
		deploys = deploys || def.arn != s.definition
		next.definition = def.arn
	}
	if in.DesiredCount != nil {
		if *in.DesiredCount < 0 {
			return nil, invalid("Desired count cannot be negative.")
		}
		next.steady = next.steady && next.desired == *in.DesiredCount
		next.desired = *in.DesiredCount
	}
	for _, k := range deployingKeys() {
		deploys = deploys || !sameJSON(s.config[k], next.config[k])
	}
	*s = next
	if deploys && s.settings.controller == "ECS" {
		d.deployForward(s)
	}
	d.wake(s)
	return object{"service": d.showService(d.world, s, true)}, nil
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	if json.Compact(&x, a) != nil || json.Compact(&y, b) != nil {
		return bytes.Equal(a, b)
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}

func deleteService(d *Double, c call) (object, error) {
	in, err := read[struct {
		Cluster string `json:"cluster"`
		Service string `json:"service"`
		Force   bool   `json:"force"`
	}](c)
	if err != nil {
		return nil, err
	}
	s, err := serviceOf(d.world, in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	if s.status != "ACTIVE" {
		return nil, refuse("ServiceNotActiveException", "Service was not ACTIVE.")
	}
	if s.desired > 0 && !in.Force {
		return nil, invalid("The service cannot be stopped while it is scaled above 0.")
	}
	s.status, s.desired = "DRAINING", 0
	for _, r := range s.history {
		if r.ongoing() {
			r.end("STOPPED", "Service was deleted.", Failed)
		}
	}
	if !slices.ContainsFunc(d.world.tasksOf(s, ""), (*task).occupied) {
		s.status, s.deployments = "INACTIVE", nil
	}
	d.wake(s)
	return object{"service": d.showService(d.world, s, true)}, nil
}
