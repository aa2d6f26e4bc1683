package deploy

import (
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// What a good start takes; beyond it there is something to save.
const (
	goodPull  = 5 * time.Second
	goodStart = 10 * time.Second
	oneCPU    = 1024 // units
)

// pulls advises on an image that takes long to pull.
func (e Exam) pulls(m measured) []Advice {
	return []Advice{{
		Change: "make the image smaller (image.base: jlink, image.compression: zstd), and keep it in the service's region",
		Saves:  m.pull - goodPull, AtMost: true,
		Why: fmt.Sprintf("the image was pulled for %.0f s", m.pull.Seconds()),
	}}
}

// starts advises on a JVM that has less than a processor to start on: it is the
// start that needs it, what runs afterwards mostly does not.
func (e Exam) starts(m measured) []Advice {
	cpu := e.cpu()
	if cpu == 0 || cpu >= oneCPU {
		return nil
	}
	return []Advice{{
		Change: fmt.Sprintf("give the task more CPU than %d units, or train the start (image.train)", cpu),
		Saves:  m.health - goodStart, AtMost: true,
		Why: fmt.Sprintf("a new task was trusted %.0f s after its start, on %.4g of a processor", m.health.Seconds(), float64(cpu)/oneCPU),
	}}
}

// cpu is what the definition gives a task, in units; 0: it does not say.
func (e Exam) cpu() int {
	var d struct {
		CPU string `json:"cpu"`
	}
	_ = json.Unmarshal(e.Definition.Raw, &d) // unreadable: nothing is known of it
	words := strings.Fields(strings.ToLower(d.CPU))
	if len(words) == 0 {
		return 0
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(words[0], "vcpu"), 64)
	if err != nil {
		return 0
	}
	if strings.HasSuffix(strings.ToLower(d.CPU), "vcpu") {
		n *= oneCPU
	}
	return int(n)
}

// early takes draining off the critical path.
func (e Exam) early(m measured) []Advice {
	if shifts(e.Service.Strategy) || e.Service.EarlySuccess || m.drain < goodDraining {
		return nil
	}
	return []Advice{{
		Change: "let ECS call a rollout successful before the old tasks have drained (earlySuccessCriteria); for fastship's own wait, deploy.waitFor: healthy does it",
		Saves:  m.drain,
		Why:    fmt.Sprintf("nothing but the old tasks was waited for, for %.0f s", m.drain.Seconds()),
		Fix: fmt.Sprintf(`aws ecs update-service --cluster %s --service %s --deployment-configuration 'earlySuccessCriteria={enable=true,healthyPercent=100,sourceServiceRevisionCleanup=DEFERRED}'`,
			ShortName(e.Service.Cluster), e.Service.Name),
	}}
}

// wrapped are the containers whose process is a shell's child: SIGTERM goes to
// the shell, which does not pass it on.
func (e Exam) wrapped() (names []string) {
	var d struct {
		Containers []struct {
			Name       string   `json:"name"`
			EntryPoint []string `json:"entryPoint"`
			Command    []string `json:"command"`
		} `json:"containerDefinitions"`
	}
	_ = json.Unmarshal(e.Definition.Raw, &d) // as above
	for _, c := range d.Containers {
		line := append(c.EntryPoint, c.Command...)
		if len(line) < 3 || line[1] != "-c" {
			continue
		}
		switch path.Base(line[0]) {
		case "sh", "bash", "ash", "dash":
			if !strings.HasPrefix(strings.TrimSpace(line[2]), "exec ") {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// breakerWaits says that a breaker needs more failures than tasks start at
// once: each costs a start.
func (e Exam) breakerWaits() string {
	if len(e.History) == 0 || !e.Service.Breaker || e.Service.Desired == 0 || e.History[0].BreakerThreshold <= e.Service.Desired {
		return ""
	}
	return fmt.Sprintf("the circuit breaker waits for %d failed tasks, and only %d start at once: set its thresholdConfiguration to COUNT 1 or 2", e.History[0].BreakerThreshold, e.Service.Desired)
}
