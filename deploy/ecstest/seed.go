package ecstest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// ServiceSeed is a service that stands before a test or a sandbox begins.
type ServiceSeed struct {
	Cluster        string          // made if it is not there; empty: default
	Service        string          // name
	TaskDefinition json.RawMessage // RegisterTaskDefinition's input
	Desired        int
	// Config holds further keys of CreateService: deploymentConfiguration,
	// loadBalancers, networkConfiguration … A network configuration is made
	// up where the task definition needs one and none is given.
	Config json.RawMessage
	// Idle: the deployment is COMPLETED, yet no task runs for it, and as with
	// services older than service deployments no revision is known: a first
	// update has nothing to replace and nothing to roll back to.
	Idle bool
}

// Seed puts a service there whose PRIMARY deployment is COMPLETED, and
// returns the ARN of its task definition once its tasks are steady. An error
// of ctx says that they did not get there. Services that another controller
// deploys have neither deployment nor tasks.
func (d *Double) Seed(ctx context.Context, seed ServiceSeed) (taskDefinition string, err error) {
	var key serviceKey
	waits := !seed.Idle
	d.do(func() {
		var s *service
		if s, err = d.seed(seed); err == nil {
			key, taskDefinition = s.key, s.definition
			waits = waits && s.settings.controller == "ECS"
		}
	})
	if err != nil {
		return "", fmt.Errorf("seed service %s: %w", seed.Service, err)
	}
	for waits {
		d.mu.Lock()
		s := d.world.services[key]
		steady, changed := s != nil && s.steady, d.changed
		d.mu.Unlock()
		if steady {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("seed service %s: wait for steady tasks: %w", seed.Service, ctx.Err())
		}
	}
	return taskDefinition, nil
}

func (d *Double) seed(seed ServiceSeed) (*service, error) {
	key := serviceKey{orString(seed.Cluster, "default"), seed.Service}
	if d.world.clusters[key.cluster] == nil {
		d.world.clusters[key.cluster] = &cluster{name: key.cluster, status: "ACTIVE"}
	}
	if d.world.services[key] != nil {
		return nil, fmt.Errorf("service %s is there already", seed.Service)
	}
	def, err := d.register(seed.TaskDefinition)
	if err != nil {
		return nil, err
	}
	given := object{}
	if seed.Config != nil {
		if given, err = keep(seed.Config, serviceConfig()...); err != nil {
			return nil, err
		}
	}
	if given["networkConfiguration"] == nil && def.body["networkMode"] == "awsvpc" {
		given["networkConfiguration"] = json.RawMessage(
			`{"awsvpcConfiguration":{"subnets":["subnet-0123456789abcdef0"],"securityGroups":["sg-0123456789abcdef0"],"assignPublicIp":"ENABLED"}}`)
	}
	s, err := d.newService(key, createServiceInput{
		ServiceName: seed.Service, TaskDefinition: def.arn, DesiredCount: &seed.Desired,
	}, given)
	if err != nil {
		return nil, err
	}
	d.world.services[key] = s
	if s.settings.controller != "ECS" {
		return s, nil
	}
	if seed.Idle {
		p := d.deploy(s, &revision{definition: def.arn})
		p.rolloutState, p.idle = "COMPLETED", true
		p.reason = "ECS deployment " + p.id + " completed."
		return s, nil
	}
	p := d.deployForward(s)
	s.record(p.record).started = time.Now()
	d.finish(s, p)
	return s, nil
}
