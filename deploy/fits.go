package deploy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// ImageFacts are what is known of an image before it is built.
type ImageFacts struct {
	Bare     bool   // no shell and no other program than Java's
	Files    bool   // the user's own files are in it, and may be programs
	Platform string // linux/amd64; empty: not known
	// Platforms are those of an image for several, in place of Platform.
	Platforms []string
}

func (f ImageFacts) platforms() []string {
	if len(f.Platforms) == 0 && f.Platform != "" {
		return []string{f.Platform}
	}
	return f.Platforms
}

// Fits finds what in a container's definition cannot work with an image: bad
// is what makes the rollout fail, doubts what may.
func (t TaskDefinition) Fits(container string, image ImageFacts) (bad []error, doubts []string) {
	name := ShortName(t.ARN)
	have := image.platforms()
	switch want := t.Platform(); {
	case strings.HasPrefix(want, "windows/"):
		bad = append(bad, fault.New(fault.BadInput, "set operatingSystemFamily in runtimePlatform to LINUX: fastship makes images for Linux",
			"task definition %s runs on Windows (%s)", name, want))
	case len(have) > 0 && !slices.Contains(have, want):
		bad = append(bad, fault.New(fault.BadInput, "set image.platforms to ["+want+"], or runtimePlatform of the task definition to "+have[0],
			"task definition %s runs on %s, the image is for %s", name, want, strings.Join(have, ", ")))
	}
	c, ok := t.container(container)
	if !ok || !image.Bare {
		return bad, doubts
	}
	if h := c.HealthCheck; h != nil && len(h.Command) > 0 {
		switch command := h.Command; {
		case command[0] == "CMD-SHELL":
			bad = append(bad, fault.New(fault.BadInput, "let the load balancer check the health, or set image.base to an image with a shell, or image.debug",
				"the health check of container %s in %s needs a shell, which the image does not have: %s", container, name, strings.Join(command, " ")))
		case command[0] == "CMD" && len(command) > 1 && !javas(command[1]) && !image.Files:
			bad = append(bad, fault.New(fault.BadInput, "let the load balancer check the health, bring that program along by image.files, or set image.base to an image that has it",
				"the health check of container %s in %s calls %s, which the image does not have", container, name, command[1]))
		}
	}
	for _, each := range []struct {
		key  string
		argv []string
	}{{"entryPoint", c.EntryPoint}, {"command", c.Command}} {
		if len(each.argv) > 0 && slices.Contains([]string{"sh", "bash", "ash", "dash"}, afterSlash(each.argv[0])) {
			bad = append(bad, fault.New(fault.BadInput, "take "+each.key+" out of the task definition: the image starts the application by itself",
				"the %s of container %s in %s needs a shell, which the image does not have: %s", each.key, container, name, strings.Join(each.argv, " ")))
		}
	}
	for _, e := range c.Environment {
		if slices.Contains([]string{"JAVA_OPTS", "JVM_OPTS", "CATALINA_OPTS"}, e.Name) {
			doubts = append(doubts, fmt.Sprintf("%s is set in %s, and nothing reads it: without a shell the JVM takes its flags from JAVA_TOOL_OPTIONS or image.jvm", e.Name, name))
		}
	}
	if c.ReadOnly && !slices.ContainsFunc(c.Mounts, func(m mount) bool { return m.Path == "/tmp" && !m.ReadOnly }) {
		doubts = append(doubts, fmt.Sprintf("the root of container %s in %s is read-only and has no writable /tmp, which most Java servers need: mount a volume there", container, name))
	}
	return bad, doubts
}

// javas tells a program that the linked runtime has.
func javas(program string) bool { return afterSlash(program) == "java" }

type mount struct {
	Path     string `json:"containerPath"`
	ReadOnly bool   `json:"readOnly"`
}

// examined is what Fits looks at in a container's definition.
type examined struct {
	Name        string   `json:"name"`
	EntryPoint  []string `json:"entryPoint"`
	Command     []string `json:"command"`
	ReadOnly    bool     `json:"readonlyRootFilesystem"`
	Mounts      []mount  `json:"mountPoints"`
	HealthCheck *struct {
		Command []string `json:"command"`
	} `json:"healthCheck"`
	Environment []struct {
		Name string `json:"name"`
	} `json:"environment"`
}

func (t TaskDefinition) container(name string) (examined, bool) {
	var d struct {
		Containers []examined `json:"containerDefinitions"`
	}
	if json.Unmarshal(t.Raw, &d) != nil {
		return examined{}, false // others find that worse
	}
	for _, c := range d.Containers {
		if c.Name == name {
			return c, true
		}
	}
	return examined{}, false
}
