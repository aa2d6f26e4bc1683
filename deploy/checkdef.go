package deploy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// sizes are the pairs of CPU (units) and memory (GB: smallest, largest, step)
// that Fargate has, by the service model's documentation of RegisterTaskDefinition.
// 256 units go with 512 MiB, 1 GB or 2 GB.
var sizes = map[int][3]int{
	512: {1, 4, 1}, 1024: {2, 8, 1}, 2048: {4, 16, 1}, 4096: {8, 30, 1}, 8192: {16, 60, 4}, 16384: {32, 120, 8},
}

// CheckDefinition finds what ECS would refuse in a definition that is to be
// registered, without asking it.
func CheckDefinition(definition json.RawMessage) error {
	var d struct {
		Family     string   `json:"family"`
		Network    string   `json:"networkMode"`
		CPU        any      `json:"cpu"`
		Memory     any      `json:"memory"`
		Role       string   `json:"executionRoleArn"`
		Requires   []string `json:"requiresCompatibilities"`
		Containers []struct {
			Name      string `json:"name"`
			Image     string `json:"image"`
			Essential *bool  `json:"essential"`
			Secrets   []any  `json:"secrets"`
			Logs      struct {
				Driver string `json:"logDriver"`
			} `json:"logConfiguration"`
		} `json:"containerDefinitions"`
	}
	if err := json.Unmarshal(definition, &d); err != nil {
		return fault.New(fault.BadInput, "compare it with the input of RegisterTaskDefinition", "read the task definition: %w", err)
	}
	bad := func(hint, format string, args ...any) error { return fault.New(fault.BadInput, hint, format, args...) }
	fargate := slices.Contains(d.Requires, "FARGATE")
	switch {
	case d.Family == "":
		return bad("set family", "the task definition has no family")
	case len(d.Containers) == 0:
		return bad("add a container", "the task definition has no containers")
	case fargate && d.Network != "awsvpc":
		return bad("set networkMode to awsvpc", "Fargate needs the network mode awsvpc, the task definition has %q", d.Network)
	}
	if fargate {
		if err := fargateSize(fmt.Sprint(d.CPU), fmt.Sprint(d.Memory)); err != nil {
			return err
		}
	}
	names, essential := map[string]bool{}, false
	for _, c := range d.Containers {
		switch {
		case c.Name == "" || names[c.Name]:
			return bad("give each container a name of its own", "the task definition has two containers named %q", c.Name)
		case len(c.Secrets) > 0 && d.Role == "":
			return bad("set executionRoleArn to a role that may read them", "container %s has secrets, and the task definition no execution role", c.Name)
		case fargate && c.Logs.Driver == "awslogs" && d.Role == "":
			return bad("set executionRoleArn to a role that may write logs", "container %s logs to CloudWatch, and the task definition has no execution role", c.Name)
		}
		names[c.Name] = true
		essential = essential || c.Essential == nil || *c.Essential
	}
	if !essential {
		return bad("make one container essential", "no container of the task definition is essential")
	}
	return nil
}

func fargateSize(cpu, memory string) error {
	units, mib := scaled(cpu, "vcpu"), scaled(memory, "gb")
	s, known := sizes[units]
	gb := mib / 1024
	fits := known && mib%1024 == 0 && gb >= s[0] && gb <= s[1] && (gb-s[0])%s[2] == 0
	hint := "set cpu to 256, 512, 1024, 2048, 4096, 8192 or 16384"
	switch {
	case units == 256:
		fits = slices.Contains([]int{512, 1024, 2048}, mib)
		hint = "with cpu 256 set memory to 512, 1024 or 2048"
	case known:
		hint = fmt.Sprintf("with cpu %d set memory to %d–%d GB in steps of %d GB", units, s[0], s[1], s[2])
	}
	if fits {
		return nil
	}
	return fault.New(fault.BadInput, hint, "Fargate has no task with cpu %s and memory %s", cpu, memory)
}

// scaled reads "1024", "1 vCPU" or "2 GB" in units of 1/1024; 0 where it is
// neither.
func scaled(s, unit string) int {
	number, has := strings.CutSuffix(strings.ToLower(strings.TrimSpace(s)), unit)
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return 0
	}
	if has {
		v *= 1024
	}
	return int(v)
}
