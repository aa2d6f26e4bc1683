// Package rollout makes an ECS service run an image and follows the rollout
// to its true end.
package rollout

import "time"

// Config is the deploy section of fastship.yaml.
type Config struct {
	Cluster   string        `yaml:"cluster"`   // name or ARN
	Service   string        `yaml:"service"`   // name or ARN
	Container string        `yaml:"container"` // empty: the only one, or the only essential one, of the task definition
	Timeout   time.Duration `yaml:"timeout"`   // default 15m
	Region    string        `yaml:"region"`    // empty: the AWS SDK's own chain
}

// In is the image to run.
type In struct {
	Image string // repository@sha256:…
}

// Out is how the rollout ended.
type Out struct {
	Outcome        string `json:"outcome"`        // deploy.Outcome's word
	TaskDefinition string `json:"taskDefinition"` // ARN of the revision that was rolled out
	Previous       string `json:"previous"`       // ARN of the revision that ran before
	Deployment     string `json:"deployment,omitempty"`
	Cause          string `json:"cause,omitempty"` // the first cause, when it failed
}
