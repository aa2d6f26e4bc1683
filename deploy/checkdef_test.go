package deploy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

func TestCheckDefinition(t *testing.T) {
	fargate := func(cpu, memory string) string {
		return `{"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": ` + cpu + `, "memory": ` + memory + `, "containerDefinitions": [{"name": "app"}]}`
	}
	for _, c := range []struct{ definition, err, hint string }{
		{fargate(`"256"`, `"512"`), "", ""},
		{fargate(`"1 vCPU"`, `"2 GB"`), "", ""},
		{fargate(`".5 vcpu"`, `"1gb"`), "", ""},
		{fargate(`4096`, `30720`), "", ""},
		{fargate(`"16384"`, `"40960"`), "", ""},
		{fargate(`"256"`, `"4096"`), "no task with cpu 256 and memory 4096", "512, 1024 or 2048"},
		{fargate(`"8192"`, `"17408"`), "cpu 8192", "16–60 GB in steps of 4"},
		{fargate(`"300"`, `"512"`), "cpu 300", "set cpu to 256"},
		{`{"family": "web", "networkMode": "bridge", "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [{"name": "app"}]}`, "awsvpc", "awsvpc"},
		{`{"containerDefinitions": [{"name": "app"}]}`, "no family", "family"},
		{`{"family": "web"}`, "no containers", ""},
		{`{"family": "web", "containerDefinitions": [{"name": "a"}, {"name": "a"}]}`, `two containers named "a"`, ""},
		{`{"family": "web", "containerDefinitions": [{"name": "a", "secrets": [{"name": "x", "valueFrom": "arn"}]}]}`, "no execution role", "executionRoleArn"},
		{`{"family": "web", "containerDefinitions": [{"name": "a", "essential": false}]}`, "essential", ""},
		{`{"family": 7}`, "read the task definition", "RegisterTaskDefinition"},
	} {
		err := CheckDefinition(json.RawMessage(c.definition))
		if (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || !strings.Contains(fault.HintOf(err), c.hint) || fault.ClassOf(err) != fault.BadInput) {
			t.Errorf("%s: %v (hint %q), want %q", c.definition, err, fault.HintOf(err), c.err)
		}
	}
}

func TestRegisteredAs(t *testing.T) {
	described := `{"taskDefinitionArn": "x", "revision": 3, "status": "ACTIVE", "family": "web", "volumes": [], "placementConstraints": [], "containerDefinitions": [
		{"name": "app", "image": "x:1", "cpu": 0, "essential": true, "mountPoints": [], "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
		 "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}], "healthCheck": {"command": ["CMD", "x"], "interval": 30, "timeout": 5, "retries": 3}}]}`
	same := `{"family": "web", "containerDefinitions": [{"name": "app", "image": "x:1", "portMappings": [{"containerPort": 80}],
		"environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "healthCheck": {"command": ["CMD", "x"]}}]}`
	for name, c := range map[string]struct {
		wanted string
		same   bool
	}{
		"same":               {same, true},
		"another image":      {strings.Replace(same, "x:1", "x:2", 1), false},
		"another value":      {strings.Replace(same, `"value": "1"`, `"value": "3"`, 1), false},
		"a variable less":    {strings.Replace(same, `{"name": "A", "value": "1"}, `, "", 1), false},
		"a key more":         {strings.Replace(same, `"family"`, `"cpu": "256", "family"`, 1), false},
		"an empty key more":  {strings.Replace(same, `"family"`, `"tags": [], "family"`, 1), true},
		"a check less":       {strings.Replace(same, `, "healthCheck": {"command": ["CMD", "x"]}`, "", 1), false},
		"another command":    {strings.Replace(same, `["CMD", "x"]`, `["CMD", "y"]`, 1), false},
		"another port":       {strings.Replace(same, `"containerPort": 80`, `"containerPort": 81`, 1), false},
		"not essential":      {strings.Replace(same, `"name": "app"`, `"essential": false, "name": "app"`, 1), false},
		"another invention":  {strings.Replace(same, `"family"`, `"invented": {"x": 1}, "family"`, 1), false},
		"no JSON":            {"{", false},
		"something else yet": {`[]`, false},
	} {
		if got := registeredAs(json.RawMessage(described), json.RawMessage(c.wanted)); got != c.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}
