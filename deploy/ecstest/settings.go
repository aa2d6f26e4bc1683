package ecstest

import (
	"encoding/json"
	"slices"
	"time"
)

// settings is what a service's configuration means to the scheduler.
type settings struct {
	minimum, maximum int // percent
	breaker          breaker
	alarms           alarmSetting
	early            *earlySuccess
	bake             time.Duration
	grace            time.Duration
	controller       string // ECS, CODE_DEPLOY, EXTERNAL
	strategy         string
	launchType       string
	targets          []loadBalancer
	shift            shiftPlan
	hooks            []hookSetting
}

type breaker struct {
	Enable    bool  `json:"enable"`
	Rollback  bool  `json:"rollback"`
	Reset     *bool `json:"resetOnHealthyTask"`
	Threshold *struct {
		Type  string `json:"type"`
		Value int    `json:"value"`
	} `json:"thresholdConfiguration"`
}

type earlySuccess struct {
	Enable  bool   `json:"enable"`
	Percent int    `json:"healthyPercent"`
	CleanUp string `json:"sourceServiceRevisionCleanup"`
}

type loadBalancer struct {
	TargetGroup string `json:"targetGroupArn"`
	Container   string `json:"containerName"`
	Port        int    `json:"containerPort"`
}

// parseSettings reads a service's configuration.
func parseSettings(config map[string]json.RawMessage) (settings, error) {
	var in struct {
		Minimum *int          `json:"minimumHealthyPercent"`
		Maximum *int          `json:"maximumPercent"`
		Breaker breaker       `json:"deploymentCircuitBreaker"`
		Alarms  alarmSetting  `json:"alarms"`
		Early   *earlySuccess `json:"earlySuccessCriteria"`
		Bake    int           `json:"bakeTimeInMinutes"`
		Name    string        `json:"strategy"`
	}
	var controller struct {
		Type string `json:"type"`
	}
	s := settings{}
	grace := 0
	for key, into := range map[string]any{
		"deploymentConfiguration": &in, "deploymentController": &controller, "loadBalancers": &s.targets,
		"launchType": &s.launchType, "healthCheckGracePeriodSeconds": &grace,
	} {
		if raw, ok := config[key]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return s, refuse("SerializationException", "%s: %v", key, err)
			}
		}
	}
	s.minimum, s.maximum = orInt(in.Minimum, 100), orInt(in.Maximum, 200)
	s.alarms = in.Alarms
	s.breaker, s.early, s.strategy, s.controller = in.Breaker, in.Early, in.Name, controller.Type
	s.bake, s.grace = time.Duration(in.Bake)*time.Minute, time.Duration(grace)*time.Second
	if s.controller == "ECS" {
		var err error
		if s.shift, s.hooks, err = parseShift(s.strategy, config["deploymentConfiguration"]); err != nil {
			return s, err
		}
	}
	if s.early != nil && !s.early.Enable {
		s.early = nil
	}
	return s, s.check()
}

func (s *settings) check() error {
	switch {
	case s.controller != "ECS":
		return nil
	case !slices.Contains([]string{rolling, "BLUE_GREEN", "LINEAR", "CANARY"}, s.strategy):
		return invalid("Invalid deployment strategy %s.", s.strategy)
	case s.bake < 0 || s.bake > 24*time.Hour:
		return invalid("bakeTimeInMinutes must be between 0 and 1440.")
	case s.early != nil && s.strategy != rolling:
		return invalid("earlySuccessCriteria is only valid with the ROLLING deployment strategy.")
	case s.minimum < 0 || s.maximum < 0:
		return invalid("Both maximumPercent and minimumHealthyPercent must be positive numbers.")
	case s.maximum < s.minimum || s.maximum == s.minimum && s.maximum <= 100:
		return invalid("Both maximumPercent and minimumHealthyPercent cannot be %d as this will block deployments.", s.maximum)
	}
	return s.alarms.check()
}

func orInt(v *int, otherwise int) int {
	if v == nil {
		return otherwise
	}
	return *v
}

// threshold is how many failed tasks trip the breaker: half the desired
// count, rounded up, at least 3 and at most 200, unless thresholdConfiguration
// says otherwise.
func (b breaker) threshold(desired int) int {
	kind, value := "BOUNDED_PERCENT", 50
	if b.Threshold != nil {
		kind, value = b.Threshold.Type, b.Threshold.Value
	}
	if kind == "COUNT" {
		return value
	}
	n := (desired*value + 99) / 100
	if kind == "BOUNDED_PERCENT" {
		return max(3, min(200, n))
	}
	return max(1, n)
}
