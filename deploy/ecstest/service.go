package ecstest

import (
	"encoding/json"
	"maps"
	"time"
)

// serviceConfig are the keys of CreateService and UpdateService that come back
// from DescribeServices as they were given.
func serviceConfig() []string {
	return append(deployingKeys(), "deploymentConfiguration", "placementConstraints", "placementStrategy",
		"healthCheckGracePeriodSeconds", "enableExecuteCommand", "enableECSManagedTags", "propagateTags",
		"availabilityZoneRebalancing", "schedulingStrategy", "deploymentController", "launchType")
}

// deployingKeys are those that start a new deployment, by the service model's
// documentation of UpdateService.
func deployingKeys() []string {
	return []string{"networkConfiguration", "platformVersion", "capacityProviderStrategy", "loadBalancers",
		"serviceRegistries", "serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"}
}

// serviceOf resolves a name or ARN.
func serviceOf(w *world, cluster, name string) (*service, error) {
	k, err := clusterOf(w, cluster)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, invalid("Service cannot be empty.")
	}
	s := w.services[serviceKey{k.name, afterSlash(name)}]
	if s == nil {
		return nil, refuse("ServiceNotFoundException", "Service not found.")
	}
	return s, nil
}

type createServiceInput struct {
	Cluster        string          `json:"cluster"`
	ServiceName    string          `json:"serviceName"`
	TaskDefinition string          `json:"taskDefinition"`
	DesiredCount   *int            `json:"desiredCount"`
	ClientToken    string          `json:"clientToken"`
	Strategy       string          `json:"schedulingStrategy"`
	Tags           json.RawMessage `json:"tags"`
}

func createService(d *Double, c call) (object, error) {
	in, err := read[createServiceInput](c)
	if err != nil {
		return nil, err
	}
	given, err := keep(c.body, serviceConfig()...)
	if err != nil {
		return nil, err
	}
	k, err := clusterOf(d.world, in.Cluster)
	if err != nil {
		return nil, err
	}
	key := serviceKey{k.name, in.ServiceName}
	old := d.world.services[key]
	if old != nil && old.status != "INACTIVE" {
		if in.ClientToken != "" && d.world.tokens[in.ClientToken] == old.arn {
			return object{"service": d.showService(d.world, old, true)}, nil
		}
		return nil, invalid("Creation of service was not idempotent.")
	}
	s, err := d.newService(key, in, given)
	if err != nil {
		return nil, err
	}
	if in.ClientToken != "" {
		d.world.tokens[in.ClientToken] = s.arn
	}
	d.world.services[key] = s
	if s.settings.controller == "ECS" {
		d.deployForward(s)
	}
	return object{"service": d.showService(d.world, s, true)}, nil
}

// newService checks a service and makes its record, without a deployment.
func (d *Double) newService(key serviceKey, in createServiceInput, given object) (*service, error) {
	switch {
	case in.ServiceName == "":
		return nil, invalid("ServiceName cannot be empty.")
	case !validName(in.ServiceName):
		return nil, invalid("Invalid service name. The name must be 1-255 letters, numbers, underscores and hyphens.")
	case in.DesiredCount == nil && in.Strategy != "DAEMON":
		return nil, invalid("Desired count must be specified.")
	case in.Strategy == "DAEMON":
		return nil, refuse("UnsupportedFeatureException", "The DAEMON scheduling strategy is not supported by this endpoint.")
	case *in.DesiredCount < 0:
		return nil, invalid("Desired count cannot be negative.")
	}
	config := map[string]json.RawMessage{
		"loadBalancers": json.RawMessage("[]"), "serviceRegistries": json.RawMessage("[]"),
		"placementConstraints": json.RawMessage("[]"), "placementStrategy": json.RawMessage("[]"),
		"schedulingStrategy": json.RawMessage(`"REPLICA"`), "deploymentController": json.RawMessage(`{"type":"ECS"}`),
		"enableECSManagedTags": json.RawMessage("false"), "enableExecuteCommand": json.RawMessage("false"),
		"propagateTags": json.RawMessage(`"NONE"`), "availabilityZoneRebalancing": json.RawMessage(`"ENABLED"`),
	}
	if given["capacityProviderStrategy"] == nil && given["launchType"] == nil {
		config["launchType"] = json.RawMessage(`"FARGATE"`)
	}
	s := &service{
		key: key, arn: d.arn("service", key.cluster, key.name), status: "ACTIVE",
		desired: *in.DesiredCount, config: config, tags: in.Tags, created: time.Now(),
	}
	if err := s.configure(given); err != nil {
		return nil, err
	}
	if s.settings.controller == "EXTERNAL" && in.TaskDefinition == "" {
		return s, nil
	}
	def, err := d.runnable(s, in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	s.definition = def.arn
	return s, nil
}

// runnable finds the definition that a service is to run.
func (d *Double) runnable(s *service, ref string) (*definition, error) {
	if ref == "" {
		return nil, invalid("TaskDefinition cannot be empty.")
	}
	def := definitionOf(d.world, ref)
	if def == nil {
		return nil, client("TaskDefinition not found.")
	}
	if def.status != "ACTIVE" {
		return nil, client("TaskDefinition is inactive")
	}
	if def.body["networkMode"] == "awsvpc" && s.config["networkConfiguration"] == nil {
		return nil, invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	}
	raw, err := json.Marshal(def.body)
	if err != nil {
		return nil, err
	}
	parsed, err := parseDefinition(raw)
	if err != nil {
		return nil, err
	}
	for _, lb := range s.settings.targets {
		if !parsed.offers(lb.Container, lb.Port) {
			return nil, invalid("The container %s does not exist in the task definition or does not have a port mapping for %d.", lb.Container, lb.Port)
		}
	}
	return def, nil
}

func (t *taskDefinition) offers(container string, port int) bool {
	for _, c := range t.Containers {
		for _, p := range c.PortMappings {
			if c.Name == container && p.ContainerPort == port {
				return true
			}
		}
	}
	return false
}

// configure lays given over the service's configuration. Of
// deploymentConfiguration what is not given stays.
func (s *service) configure(given object) error {
	config := maps.Clone(s.config) // revisions and the past hold the old one
	for k, v := range given {
		config[k] = v.(json.RawMessage)
	}
	how := map[string]json.RawMessage{
		"deploymentCircuitBreaker": json.RawMessage(`{"enable":false,"rollback":false}`),
		"maximumPercent":           json.RawMessage("200"), "minimumHealthyPercent": json.RawMessage("100"),
		"strategy": json.RawMessage(`"ROLLING"`), "bakeTimeInMinutes": json.RawMessage("0"),
	}
	for _, raw := range []json.RawMessage{s.config["deploymentConfiguration"], config["deploymentConfiguration"]} {
		if raw == nil {
			continue
		}
		if err := json.Unmarshal(raw, &how); err != nil {
			return refuse("SerializationException", "deploymentConfiguration: %v", err)
		}
	}
	raw, err := json.Marshal(how)
	if err != nil {
		return err
	}
	config["deploymentConfiguration"] = raw
	parsed, err := parseSettings(config)
	if err != nil {
		return err
	}
	s.config, s.settings = config, parsed
	return nil
}
