package ecstest

import (
	"slices"
)

func describeServices(d *Double, c call) (object, error) {
	in, err := read[struct {
		Cluster  string   `json:"cluster"`
		Services []string `json:"services"`
		Include  []string `json:"include"`
	}](c)
	if err != nil {
		return nil, err
	}
	switch {
	case len(in.Services) == 0:
		return nil, invalid("Services cannot be empty.")
	case len(in.Services) > 10:
		return nil, invalid("Services can have at most 10 items.")
	}
	k, err := clusterOf(c.view, in.Cluster)
	if err != nil {
		return nil, err
	}
	found, failures := []object{}, []object{}
	for _, name := range in.Services {
		if s := c.view.services[serviceKey{k.name, afterSlash(name)}]; s != nil {
			found = append(found, d.showService(c.view, s, wantsTags(in.Include)))
		} else {
			failures = append(failures, missing(d.arn("service", k.name, afterSlash(name))))
		}
	}
	return object{"services": found, "failures": failures}, nil
}

func listServices(d *Double, c call) (object, error) {
	in, err := read[struct {
		paging
		Cluster    string `json:"cluster"`
		LaunchType string `json:"launchType"`
		Strategy   string `json:"schedulingStrategy"`
	}](c)
	if err != nil {
		return nil, err
	}
	k, err := clusterOf(c.view, in.Cluster)
	if err != nil {
		return nil, err
	}
	var arns []string
	for key, s := range c.view.services {
		if key.cluster == k.name && s.status == "ACTIVE" && in.Strategy != "DAEMON" &&
			(in.LaunchType == "" || in.LaunchType == s.settings.launchType) {
			arns = append(arns, s.arn)
		}
	}
	slices.Sort(arns)
	return page(in.paging, object{}, "serviceArns", arns, 10)
}

func (d *Double) showService(w *world, s *service, tags bool) object {
	o := object{
		"serviceArn": s.arn, "serviceName": s.key.name, "clusterArn": d.clusterARN(s.key.cluster),
		"status": s.status, "desiredCount": s.desired, "taskDefinition": s.definition,
		"createdBy": "arn:aws:iam::" + d.account + ":user/deploy", "resourceManagementType": "CUSTOMER",
	}
	for k, v := range s.config {
		if k != "serviceConnectConfiguration" && k != "volumeConfigurations" && k != "vpcLatticeConfigurations" {
			o[k] = v // those three are shown by the deployments only
		}
	}
	setTime(o, "createdAt", s.created)
	running, pending := 0, 0
	deployments, revisions := []object{}, []object{}
	for _, p := range s.deployments {
		shown, r, n := d.showDeployment(w, s, p)
		deployments = append(deployments, shown)
		running, pending = running+r, pending+n
		if p.revision != "" && s.revision(p.revision) != nil {
			revisions = append(revisions, object{
				"arn": p.revision, "requestedTaskCount": shown["desiredCount"], "runningTaskCount": r, "pendingTaskCount": n,
			})
		}
	}
	o["runningCount"], o["pendingCount"], o["deployments"] = running, pending, deployments
	o["currentServiceRevisions"] = revisions
	if n := len(s.history); n > 0 && s.history[n-1].ongoing() {
		o["currentServiceDeployment"] = s.history[n-1].arn
	}
	events := []object{}
	for _, e := range s.events {
		events = append(events, object{"id": e.id, "createdAt": epoch(e.at), "message": e.message})
	}
	o["events"] = events
	if tags && s.tags != nil {
		o["tags"] = s.tags
	}
	if s.settings.launchType == "FARGATE" {
		o["platformFamily"] = "Linux"
		if s.config["platformVersion"] == nil {
			o["platformVersion"] = "LATEST"
		}
	}
	return o
}

func (d *Double) showDeployment(w *world, s *service, p *deployment) (o object, running, pending int) {
	wanted := 0
	for _, t := range w.tasksOf(s, p.id) {
		r, n := t.counts()
		running, pending = running+r, pending+n
		if t.wanted != "STOPPED" {
			wanted++
		}
	}
	if p.status == "PRIMARY" {
		wanted = s.desired
	}
	o = object{
		"id": p.id, "status": p.status, "taskDefinition": p.definition, "desiredCount": wanted,
		"runningCount": running, "pendingCount": pending, "failedTasks": p.failed,
		"createdAt": epoch(p.created), "updatedAt": epoch(p.updated),
		"rolloutState": p.rolloutState, "rolloutStateReason": p.reason,
	}
	config := s.config
	if v := s.revision(p.revision); v != nil {
		config = v.config
	}
	for _, k := range []string{"networkConfiguration", "launchType", "capacityProviderStrategy",
		"serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"} {
		if v, ok := config[k]; ok {
			o[k] = v
		}
	}
	if s.settings.launchType == "FARGATE" {
		o["platformVersion"], o["platformFamily"] = "1.4.0", "Linux"
	}
	return o, running, pending
}
