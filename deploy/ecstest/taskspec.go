package ecstest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// taskDefinition is the part of a definition that means something here.
type taskDefinition struct {
	Family                  string                `json:"family"`
	NetworkMode             string                `json:"networkMode"`
	CPU                     string                `json:"cpu"`
	Memory                  string                `json:"memory"`
	ExecutionRole           string                `json:"executionRoleArn"`
	RequiresCompatibilities []string              `json:"requiresCompatibilities"`
	Containers              []containerDefinition `json:"containerDefinitions"`
}

type containerDefinition struct {
	Name              string           `json:"name"`
	Image             string           `json:"image"`
	Essential         *bool            `json:"essential"`
	EntryPoint        []string         `json:"entryPoint"`
	Command           []string         `json:"command"`
	Environment       []namedValue     `json:"environment"`
	Secrets           []map[string]any `json:"secrets"`
	User              string           `json:"user"`
	WorkingDirectory  string           `json:"workingDirectory"`
	Memory            int              `json:"memory"`
	MemoryReservation int              `json:"memoryReservation"`
	ReadonlyRoot      bool             `json:"readonlyRootFilesystem"`
	StopTimeout       int              `json:"stopTimeout"`
	PortMappings      []struct {
		Name          string `json:"name"`
		ContainerPort int    `json:"containerPort"`
		HostPort      int    `json:"hostPort"`
		Protocol      string `json:"protocol"`
	} `json:"portMappings"`
	HealthCheck *struct {
		Command     []string `json:"command"`
		Interval    *int     `json:"interval"`
		Timeout     *int     `json:"timeout"`
		Retries     *int     `json:"retries"`
		StartPeriod *int     `json:"startPeriod"`
	} `json:"healthCheck"`
	LogConfiguration *struct {
		LogDriver string            `json:"logDriver"`
		Options   map[string]string `json:"options"`
	} `json:"logConfiguration"`
}

type namedValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func parseDefinition(body []byte) (*taskDefinition, error) {
	t := &taskDefinition{}
	if err := json.Unmarshal(body, t); err != nil {
		return nil, refuse("SerializationException", "%v", err)
	}
	return t, nil
}

// check refuses what ECS refuses, in its words.
func (t *taskDefinition) check() error {
	switch {
	case t.Family == "":
		return client("Family should not be null or empty.")
	case !validName(t.Family):
		return client("Invalid 'family'. The family name must be 1-255 letters, numbers, hyphens and underscores.")
	case len(t.Containers) == 0:
		return client("Container list cannot be empty.")
	}
	fargate := slices.Contains(t.RequiresCompatibilities, "FARGATE")
	if fargate {
		if err := t.checkFargate(); err != nil {
			return err
		}
	}
	names, essential := map[string]bool{}, false
	for _, c := range t.Containers {
		if err := c.check(t); err != nil {
			return err
		}
		if names[c.Name] {
			return client("Container names must be unique. Duplicate name: %s", c.Name)
		}
		names[c.Name] = true
		essential = essential || c.Essential == nil || *c.Essential
	}
	if !essential {
		return client("At least one container must be marked as essential.")
	}
	return nil
}

// checkFargate holds the table of CPU and memory pairs of the service model.
func (t *taskDefinition) checkFargate() error {
	if t.NetworkMode != "awsvpc" {
		return client("Fargate only supports network mode ‘awsvpc’.")
	}
	if t.CPU == "" {
		return client("Fargate requires that 'cpu' be defined at the task level.")
	}
	if t.Memory == "" {
		return client("Fargate requires that 'memory' be defined at the task level.")
	}
	cpu, memory := cpuUnits(t.CPU), mebibytes(t.Memory)
	steps := map[int][3]int{ // smallest, largest, step in GB
		512: {1, 4, 1}, 1024: {2, 8, 1}, 2048: {4, 16, 1}, 4096: {8, 30, 1}, 8192: {16, 60, 4}, 16384: {32, 120, 8},
	}
	s, ok := steps[cpu]
	gb := memory / 1024
	fits := ok && memory%1024 == 0 && gb >= s[0] && gb <= s[1] && (gb-s[0])%s[2] == 0
	if cpu == 256 {
		fits = slices.Contains([]int{512, 1024, 2048}, memory)
	}
	if !fits {
		return client("No Fargate configuration exists for given values: %d CPU, %d memory. See the Amazon ECS documentation for the valid values.", cpu, memory)
	}
	return nil
}

func (c *containerDefinition) check(t *taskDefinition) error {
	switch {
	case c.Name == "":
		return client("Container.name should not be null or empty.")
	case !validName(c.Name):
		return client("Invalid container name (%s): only letters, numbers, hyphens and underscores are allowed.", c.Name)
	case c.Image == "":
		return client("Container.image should not be null or empty.")
	case t.Memory == "" && c.Memory == 0 && c.MemoryReservation == 0:
		return client("Invalid setting for container '%s'. At least one of 'memory' or 'memoryReservation' must be specified.", c.Name)
	case len(c.Secrets) > 0 && t.ExecutionRole == "":
		return client("When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.")
	}
	fargate := slices.Contains(t.RequiresCompatibilities, "FARGATE")
	if l := c.LogConfiguration; fargate && l != nil && l.LogDriver == "awslogs" && t.ExecutionRole == "" {
		return client("Fargate requires task definition to have execution role ARN to support log driver awslogs.")
	}
	if h := c.HealthCheck; h != nil {
		if len(h.Command) == 0 {
			return client("Container.healthCheck.command should not be null or empty.")
		}
		within := func(v *int, low, high int) bool { return v == nil || *v >= low && *v <= high }
		if !within(h.Interval, 5, 300) || !within(h.Timeout, 2, 60) || !within(h.Retries, 1, 10) || !within(h.StartPeriod, 0, 300) {
			return client("Invalid health check for container '%s': interval is 5-300 s, timeout 2-60 s, retries 1-10, startPeriod 0-300 s.", c.Name)
		}
	}
	return nil
}

// spec is the container as the runtime gets it.
func (c *containerDefinition) spec() ContainerSpec {
	s := ContainerSpec{
		Name: c.Name, Image: c.Image, Essential: c.Essential == nil || *c.Essential,
		EntryPoint: c.EntryPoint, Command: c.Command, Environment: map[string]string{},
		User: c.User, WorkingDirectory: c.WorkingDirectory, ReadonlyRoot: c.ReadonlyRoot,
		StopTimeout: time.Duration(c.StopTimeout) * time.Second, MemoryMiB: c.Memory,
	}
	for _, e := range c.Environment {
		s.Environment[e.Name] = e.Value
	}
	for _, p := range c.PortMappings {
		s.PortMappings = append(s.PortMappings, PortMapping{p.Name, p.ContainerPort, p.HostPort, p.Protocol})
	}
	if h := c.HealthCheck; h != nil && h.Command[0] != "NONE" {
		seconds := func(v *int, otherwise int) time.Duration {
			if v != nil {
				otherwise = *v
			}
			return time.Duration(otherwise) * time.Second
		}
		s.HealthCheck = &HealthCheck{
			Command: h.Command, Interval: seconds(h.Interval, 30), Timeout: seconds(h.Timeout, 5),
			StartPeriod: seconds(h.StartPeriod, 0), Retries: 3,
		}
		if h.Retries != nil {
			s.HealthCheck.Retries = *h.Retries
		}
	}
	return s
}

// cpuUnits reads "1024", "1 vCPU" or ".5 vcpu"; 0 where it is neither.
func cpuUnits(s string) int { return scaled(s, "vcpu", 1024) }

// mebibytes reads "2048", "2 GB" or "2gb"; 0 where it is neither.
func mebibytes(s string) int { return scaled(s, "gb", 1024) }

func scaled(s, unit string, factor float64) int {
	number, has := strings.CutSuffix(strings.ToLower(strings.TrimSpace(s)), unit)
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return 0
	}
	if has {
		v *= factor
	}
	return int(v)
}
