package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// TaskDefinition is a revision as ECS stores it.
type TaskDefinition struct {
	ARN string
	// Raw is DescribeTaskDefinition's taskDefinition object as it came over
	// the wire, with the answer's tags put into it under "tags".
	Raw json.RawMessage
}

// ContainerDefinition is what matters here of one container.
type ContainerDefinition struct {
	Name      string `json:"name"`
	Image     string `json:"image"`
	Essential *bool  `json:"essential"` // nil means true
}

// IsEssential reports whether the task ends when this container does.
func (c ContainerDefinition) IsEssential() bool { return c.Essential == nil || *c.Essential }

// Containers lists the definition's containers in order.
func (t TaskDefinition) Containers() ([]ContainerDefinition, error) {
	var d struct {
		Containers []ContainerDefinition `json:"containerDefinitions"`
	}
	if err := json.Unmarshal(t.Raw, &d); err != nil {
		return nil, fmt.Errorf("read task definition %s: %w", ShortName(t.ARN), err)
	}
	if len(d.Containers) == 0 {
		return nil, fault.New(fault.BadInput, "", "task definition %s has no containers", ShortName(t.ARN))
	}
	return d.Containers, nil
}

// Family is the definition's family.
func (t TaskDefinition) Family() string {
	family, _, _ := strings.Cut(ShortName(t.ARN), ":")
	return family
}

// describeOnly are the fields of DescribeTaskDefinition's answer that
// RegisterTaskDefinition does not take, by the service model of ECS
// (2014-11-13): the members of TaskDefinition that the request lacks.
var describeOnly = []string{
	"compatibilities", "deleteRequestedAt", "deregisteredAt", "registeredAt", "registeredBy",
	"requiresAttributes", "revision", "status", "taskDefinitionArn",
}

// CloneTaskDefinition makes the body of RegisterTaskDefinition out of a
// described definition, with another image in one container. Whatever else
// the definition holds goes through as the bytes it came in, known to the SDK
// or not. Two kinds of things are left out: what only Describe gives, and
// tags that begin with "aws:", which ECS adds itself and refuses from others.
func CloneTaskDefinition(raw json.RawMessage, container, image string) (json.RawMessage, error) {
	var definition map[string]json.RawMessage
	if err := json.Unmarshal(raw, &definition); err != nil {
		return nil, fmt.Errorf("read the task definition: %w", err)
	}
	for _, field := range describeOnly {
		delete(definition, field)
	}
	if err := dropReservedTags(definition); err != nil {
		return nil, err
	}
	var containers []json.RawMessage
	if err := json.Unmarshal(definition["containerDefinitions"], &containers); err != nil {
		return nil, fmt.Errorf("read the task definition's containers: %w", err)
	}
	found := false
	for i, c := range containers {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(c, &fields); err != nil {
			return nil, fmt.Errorf("read container %d of the task definition: %w", i+1, err)
		}
		var name string
		if err := json.Unmarshal(fields["name"], &name); err != nil {
			return nil, fmt.Errorf("read the name of container %d of the task definition: %w", i+1, err)
		}
		if name != container {
			continue
		}
		found = true
		var err error
		if fields["image"], err = marshal(image); err != nil {
			return nil, err
		}
		if containers[i], err = marshal(fields); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, fault.New(fault.BadInput, "", "find container %q in the task definition: no such container", container)
	}
	var err error
	if definition["containerDefinitions"], err = marshal(containers); err != nil {
		return nil, err
	}
	return marshal(definition)
}

func dropReservedTags(definition map[string]json.RawMessage) error {
	raw, ok := definition["tags"]
	if !ok {
		return nil
	}
	var tags []json.RawMessage
	if err := json.Unmarshal(raw, &tags); err != nil {
		return fmt.Errorf("read the task definition's tags: %w", err)
	}
	var err error
	kept := slices.DeleteFunc(tags, func(tag json.RawMessage) bool {
		var t struct {
			Key string `json:"key"`
		}
		return json.Unmarshal(tag, &t) == nil && strings.HasPrefix(strings.ToLower(t.Key), "aws:")
	})
	if len(kept) == 0 {
		delete(definition, "tags") // ECS refuses an empty list
		return nil
	}
	definition["tags"], err = marshal(kept)
	return err
}

// marshal is json.Marshal without the escapes for HTML, which would change
// raw values on their way through.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write the task definition: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// sameJSON reports whether two texts hold the same values, whatever the order
// of their keys. Numbers are compared as they are written.
func sameJSON(a, b json.RawMessage) bool {
	x, errX := decode(a)
	y, errY := decode(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func decode(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}
