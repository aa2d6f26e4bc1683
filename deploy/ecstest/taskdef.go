package ecstest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

func registerTaskDefinition(d *Double, c call) (object, error) {
	def, err := d.register(c.body)
	if err != nil {
		return nil, err
	}
	out := object{"taskDefinition": showDefinition(def, d.account)}
	if def.tags != nil {
		out["tags"] = def.tags
	}
	return out, nil
}

// register keeps body as the next revision of its family. Keys that the
// model does not know are kept like all others: what is sent comes back.
func (d *Double) register(body []byte) (*definition, error) {
	o := object{}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // 1e3 and 1000 stay what they are
	if err := dec.Decode(&o); err != nil {
		return nil, refuse("SerializationException", "%v", err)
	}
	parsed, err := parseDefinition(body)
	if err != nil {
		return nil, err
	}
	if err := parsed.check(); err != nil {
		return nil, err
	}
	def := &definition{family: parsed.Family, status: "ACTIVE", registered: time.Now()}
	if tags, ok := o["tags"]; ok && tags != nil {
		if def.tags, err = json.Marshal(tags); err != nil {
			return nil, err
		}
	}
	delete(o, "tags")
	fillDefaults(o)
	def.body = o
	def.revision = len(d.world.families[def.family]) + 1
	def.arn = d.arn("task-definition", def.family+":"+strconv.Itoa(def.revision))
	d.world.families[def.family] = append(d.world.families[def.family], def)
	return def, nil
}

// fillDefaults adds what ECS adds to each registered definition.
func fillDefaults(o object) {
	for _, k := range []string{"volumes", "placementConstraints"} {
		if o[k] == nil {
			o[k] = []any{}
		}
	}
	containers, _ := o["containerDefinitions"].([]any)
	for _, item := range containers {
		c, ok := item.(object)
		if !ok {
			continue
		}
		for _, k := range []string{"portMappings", "environment", "mountPoints", "volumesFrom", "systemControls"} {
			if c[k] == nil {
				c[k] = []any{}
			}
		}
		if c["cpu"] == nil {
			c["cpu"] = json.Number("0")
		}
		if c["essential"] == nil {
			c["essential"] = true
		}
		ports, _ := c["portMappings"].([]any)
		for _, item := range ports {
			p, ok := item.(object)
			if !ok {
				continue
			}
			if p["protocol"] == nil {
				p["protocol"] = "tcp"
			}
			if p["hostPort"] == nil && o["networkMode"] == "awsvpc" && p["containerPort"] != nil {
				p["hostPort"] = p["containerPort"]
			}
		}
	}
}

// definitionOf resolves family, family:revision or an ARN. A family alone is
// its newest ACTIVE revision.
func definitionOf(w *world, ref string) *definition {
	family, revision, exact := strings.Cut(afterSlash(ref), ":")
	all := w.families[family]
	if exact {
		n, err := strconv.Atoi(revision)
		if err != nil || n < 1 || n > len(all) {
			return nil
		}
		return all[n-1]
	}
	for _, def := range slices.Backward(all) {
		if def.status == "ACTIVE" {
			return def
		}
	}
	return nil
}

func describeTaskDefinition(d *Double, c call) (object, error) {
	in, err := read[struct {
		TaskDefinition string   `json:"taskDefinition"`
		Include        []string `json:"include"`
	}](c)
	if err != nil {
		return nil, err
	}
	def := definitionOf(c.view, in.TaskDefinition)
	if def == nil {
		return nil, client("Unable to describe task definition.")
	}
	out := object{"taskDefinition": showDefinition(def, d.account)}
	if wantsTags(in.Include) {
		out["tags"] = []object{}
		if def.tags != nil {
			out["tags"] = def.tags
		}
	}
	return out, nil
}

func deregisterTaskDefinition(d *Double, c call) (object, error) {
	in, err := read[struct {
		TaskDefinition string `json:"taskDefinition"`
	}](c)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(afterSlash(in.TaskDefinition), ":") {
		return nil, invalid("Invalid revision number. Number: %s", afterSlash(in.TaskDefinition))
	}
	def := definitionOf(d.world, in.TaskDefinition)
	if def == nil {
		return nil, client("The specified task definition does not exist. Specify a valid account, family, revision and try again.")
	}
	if def.status == "ACTIVE" {
		def.status, def.deregistered = "INACTIVE", time.Now()
	}
	return object{"taskDefinition": showDefinition(def, d.account)}, nil
}

func listTaskDefinitions(d *Double, c call) (object, error) {
	in, err := read[struct {
		paging
		FamilyPrefix string `json:"familyPrefix"`
		Status       string `json:"status"`
		Sort         string `json:"sort"`
	}](c)
	if err != nil {
		return nil, err
	}
	if in.Status == "" {
		in.Status = "ACTIVE"
	}
	var arns []string
	for _, family := range slices.Sorted(maps.Keys(c.view.families)) {
		for _, def := range c.view.families[family] {
			if (in.FamilyPrefix == "" || family == in.FamilyPrefix) && def.status == in.Status {
				arns = append(arns, def.arn)
			}
		}
	}
	if in.Sort == "DESC" {
		slices.Reverse(arns)
	}
	return page(in.paging, object{}, "taskDefinitionArns", arns, 100)
}

// showDefinition adds the keys that only Describe gives.
func showDefinition(def *definition, account string) object {
	o := maps.Clone(def.body)
	o["taskDefinitionArn"], o["revision"], o["status"] = def.arn, def.revision, def.status
	o["registeredBy"] = "arn:aws:iam::" + account + ":user/deploy"
	setTime(o, "registeredAt", def.registered)
	setTime(o, "deregisteredAt", def.deregistered)
	compatibilities := []string{"EC2"}
	if o["networkMode"] == "awsvpc" {
		if o["cpu"] != nil && o["memory"] != nil {
			compatibilities = append(compatibilities, "FARGATE", "MANAGED_INSTANCES")
		}
	} else {
		compatibilities = append(compatibilities, "EXTERNAL")
	}
	o["compatibilities"] = compatibilities
	attributes := []object{{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}}
	if o["networkMode"] == "awsvpc" {
		attributes = append(attributes, object{"name": "ecs.capability.task-eni"})
	}
	if o["executionRoleArn"] != nil {
		attributes = append(attributes, object{"name": "ecs.capability.execution-role-ecr-pull"})
	}
	o["requiresAttributes"] = attributes
	return o
}
