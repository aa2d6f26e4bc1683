package road

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image"
	"github.com/fastship/fastship/stages/maven"
	"github.com/fastship/fastship/stages/push"
	"github.com/fastship/fastship/stages/rollout"
	"github.com/fastship/fastship/stages/source"
)

// ResultSchema is the version of Result's form; it grows when a field changes
// its meaning or goes away.
const ResultSchema = 1

// Result is the outcome of a run, the content of --result FILE. What a run
// did not come to is left out.
type Result struct {
	Schema   int     `json:"schema"`
	Run      string  `json:"run"`
	ExitCode int     `json:"exitCode"`
	Seconds  float64 `json:"seconds"`
	Cause    string  `json:"cause,omitempty"` // the first cause of a failure
	Hint     string  `json:"hint,omitempty"`  // its remedy
	Commit   string  `json:"commit,omitempty"`
	Tree     string  `json:"tree,omitempty"`
	Branch   string  `json:"branch,omitempty"`
	Dirty    bool    `json:"dirty"`
	// Environment is the one of fastship.yaml that the run was for.
	Environment string           `json:"environment,omitempty"`
	Remote      string           `json:"remote,omitempty"`
	Stages      map[string]Stage `json:"stages"`
	Jar         *Jar             `json:"jar,omitempty"`
	Tests       *runner.Tests    `json:"tests,omitempty"`
	Image       *Image           `json:"image,omitempty"`
	Rollout     *Rollout         `json:"rollout,omitempty"`
	Sandbox     *Answer          `json:"sandbox,omitempty"`
}

// Stage is how one stage ended.
type Stage struct {
	Status  runner.Status `json:"status"`
	Reason  string        `json:"reason,omitempty"`
	Seconds float64       `json:"seconds"`
	Key     string        `json:"key,omitempty"`
}

// Jar is the application's jar.
type Jar struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // 64 hexadecimal digits
	Size   int64  `json:"size"`   // bytes
}

// Image is the image that was built, and where it was pushed.
type Image struct {
	Reference string              `json:"reference,omitempty"` // repository@digest, once pushed
	Tags      []string            `json:"tags,omitempty"`
	Digest    string              `json:"digest"`
	Size      int64               `json:"size"` // bytes
	Layers    []runner.Descriptor `json:"layers"`
	Platforms []string            `json:"platforms"`
}

// Rollout is how the service took the image.
type Rollout struct {
	Outcome        string `json:"outcome"`
	TaskDefinition string `json:"taskDefinition"`
	Cause          string `json:"cause,omitempty"`
	// Of several services: the one that these are of, and all of them.
	Service  string    `json:"service,omitempty"`
	Services []Rollout `json:"services,omitempty"`
}

// Answer is the first answer of the application in the sandbox.
type Answer struct {
	URL     string  `json:"url"`
	Status  int     `json:"status"`  // HTTP
	Seconds float64 `json:"seconds"` // from the end of the rollout to the answer
}

// fill takes over what a report says.
func (r *Result) fill(report runner.Report) error {
	r.Stages = map[string]Stage{}
	for _, s := range report.Steps {
		r.Stages[s.Name] = Stage{Status: s.Status, Reason: s.Reason, Seconds: s.Seconds, Key: s.Key}
		if len(s.Out) == 0 {
			continue
		}
		if err := r.fillStage(s); err != nil {
			return fmt.Errorf("read the output of %s: %w", s.Name, err)
		}
	}
	return nil
}

func (r *Result) fillStage(s runner.StepReport) error {
	switch s.Name {
	case stageSource:
		out, err := decode[source.Out](s.Out)
		r.Commit, r.Tree, r.Branch, r.Dirty, r.Remote = out.Commit, out.Tree, out.Branch, out.Dirty, out.Remote
		return err
	case stageMaven:
		out, err := decode[maven.Out](s.Out)
		if out.Jar.Digest != "" {
			r.Jar = &Jar{Path: out.Jar.Name, SHA256: out.Jar.Digest.Hex(), Size: out.Jar.Size}
		}
		r.Tests = &out.Tests
		return err
	case stageImage:
		out, err := decode[image.Out](s.Out)
		if out.Digest != "" {
			r.Image = &Image{Digest: out.Digest, Size: out.Size, Layers: out.Layers, Platforms: out.Platforms()}
		}
		return err
	case stagePush:
		out, err := decode[push.Out](s.Out)
		if pushed := s.Status != runner.Failed && s.Status != runner.Cancelled; pushed && out.Reference != "" && r.Image != nil {
			r.Image.Reference, r.Image.Tags = out.Reference, out.Tags
		}
		return err
	case stageRollout:
		out, err := decode[rollout.Out](s.Out)
		if out.Outcome != "" {
			all := rolloutOf(out)
			r.Rollout = &all
		}
		return err
	}
	return nil
}

func rolloutOf(out rollout.Out) Rollout {
	r := Rollout{Outcome: out.Outcome, TaskDefinition: out.TaskDefinition, Cause: out.Cause, Service: out.Service}
	for _, each := range out.Services {
		r.Services = append(r.Services, rolloutOf(each))
	}
	return r
}

func decode[T any](raw json.RawMessage) (T, error) {
	var out T
	err := json.Unmarshal(raw, &out)
	return out, err
}

// Write puts the result into a file, whole or not at all, after every string
// in it went through redact.
func (r Result) Write(file string, redact func(string) string) error {
	r.Cause, r.Hint = redact(r.Cause), redact(r.Hint)
	if r.Rollout != nil {
		masked := *r.Rollout
		masked.Cause = redact(masked.Cause)
		masked.Services = slices.Clone(masked.Services)
		for i := range masked.Services {
			masked.Services[i].Cause = redact(masked.Services[i].Cause)
		}
		r.Rollout = &masked
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(file, append(b, '\n'))
}

// writeFile replaces a file by rename, so that a reader never sees half of it.
func writeFile(file string, b []byte) error {
	if err := atomicfile.Write(file, b, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
