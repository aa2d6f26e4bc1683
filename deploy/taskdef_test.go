package deploy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

func TestCloneTaskDefinition(t *testing.T) {
	const described = `{"taskDefinitionArn": "arn:x/web:7", "revision": 7, "status": "ACTIVE", "registeredAt": 1.7e9, "registeredBy": "me", "requiresAttributes": [], "compatibilities": ["FARGATE"],
		"family": "web", "tomorrow": {"a": [1.50, null, "<&>"]}, "volumes": [],
		"tags": [{"key": "team", "value": "shop"}, {"key": "aws:cloudformation:stack-name", "value": "prod"}],
		"containerDefinitions": [{"name": "proxy", "image": "envoy:1", "new": 1}, {"image": "web:1", "name": "app", "dockerLabels": {"image": "web:1"}}]}`
	const want = `{"family": "web", "tomorrow": {"a": [1.50, null, "<&>"]}, "volumes": [], "tags": [{"key": "team", "value": "shop"}],
		"containerDefinitions": [{"name": "proxy", "image": "envoy:1", "new": 1}, {"name": "app", "image": "web@sha256:22", "dockerLabels": {"image": "web:1"}}]}`
	got, err := CloneTaskDefinition(json.RawMessage(described), "app", "web@sha256:22")
	if err != nil || !sameJSON(got, json.RawMessage(want)) {
		t.Errorf("cloned %s, %v", got, err)
	}
	if !strings.Contains(string(got), `[1.50,null,"<&>"]`) {
		t.Errorf("raw values were rewritten: %s", got)
	}
	for _, c := range []struct{ raw, container, want string }{
		{described, "ap", `no such container`},
		{`{`, "app", "read the task definition"},
		{`{"containerDefinitions": 3}`, "app", "containers"},
		{`{"containerDefinitions": [3]}`, "app", "container 1"},
		{`{"containerDefinitions": [{"name": 3}]}`, "app", "name of container 1"},
		{`{"containerDefinitions": [], "tags": 3}`, "app", "tags"},
	} {
		if got, err := CloneTaskDefinition(json.RawMessage(c.raw), c.container, "x"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %s, %v", c.raw, got, err)
		}
	}
	got, err = CloneTaskDefinition(json.RawMessage(`{"tags": [], "containerDefinitions": [{"name": "app"}]}`), "app", "x")
	if err != nil || strings.Contains(string(got), "tags") {
		t.Errorf("an empty list of tags, which ECS refuses, went through: %s, %v", got, err)
	}
}

func TestSameJSON(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`{"a": 1, "b": [2]}`, `{"b":[2],"a":1}`, true},
		{`{"a": 1}`, `{"a": 1, "b": null}`, false},
		{`[1, 2]`, `[2, 1]`, false},
		{`9007199254740993`, `9007199254740992`, false}, // one float64
		{`{`, `{`, false},
	} {
		if got := sameJSON(json.RawMessage(c.a), json.RawMessage(c.b)); got != c.same {
			t.Errorf("sameJSON(%s, %s) = %v", c.a, c.b, got)
		}
	}
}

func TestChooseContainer(t *testing.T) {
	no := false
	app := ContainerDefinition{Name: "app", Image: "registry.test:5000/shop/web:1.2"}
	proxy := ContainerDefinition{Name: "proxy", Image: "public.ecr.aws/envoy@sha256:11"}
	log := ContainerDefinition{Name: "log", Image: "fluent", Essential: &no}
	for _, c := range []struct {
		name       string
		containers []ContainerDefinition
		configured string
		repository string
		want       string // empty: an error
	}{
		{"the only one", []ContainerDefinition{log}, "", "elsewhere", "log"},
		{"configured", []ContainerDefinition{app, proxy}, "proxy", "registry.test:5000/shop/web", "proxy"},
		{"configured, absent", []ContainerDefinition{app}, "apps", "", ""},
		{"by repository", []ContainerDefinition{proxy, app, log}, "", "registry.test:5000/shop/web", "app"},
		{"by repository, twice", []ContainerDefinition{app, app}, "", "registry.test:5000/shop/web", ""},
		{"the only essential one", []ContainerDefinition{log, app}, "", "elsewhere", "app"},
		{"ambiguous", []ContainerDefinition{app, proxy}, "", "", ""},
	} {
		got, err := ChooseContainer(c.containers, c.configured, c.repository)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if err != nil {
			for _, container := range c.containers {
				if fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), container.Name+" ("+container.Image+")") {
					t.Errorf("%s: %v does not list %s", c.name, err, container.Name)
				}
			}
		}
	}
}

func TestRepository(t *testing.T) {
	for image, want := range map[string]string{
		"web": "web", "web:1": "web", "host:5000/web": "host:5000/web", "host:5000/web:1@sha256:11": "host:5000/web", "host/web@sha256:11": "host/web",
	} {
		if got := Repository(image); got != want {
			t.Errorf("Repository(%q) = %q, want %q", image, got, want)
		}
	}
}

// FuzzCloneTaskDefinition: whatever comes over the wire, a clone keeps all
// that is not described above as left out, and never panics.
func FuzzCloneTaskDefinition(f *testing.F) {
	f.Add(`{"family": "web", "containerDefinitions": [{"name": "app", "image": "a"}], "tags": [{"key": "AWS:x"}]}`)
	f.Add(`{"containerDefinitions": [{"name": "app"}, {"name": "app"}], "x": 1e999}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, raw string) {
		body, err := CloneTaskDefinition(json.RawMessage(raw), "app", "b")
		if err != nil {
			return
		}
		var in, out map[string]json.RawMessage
		if json.Unmarshal([]byte(raw), &in) != nil || json.Unmarshal(body, &out) != nil {
			t.Fatalf("%s became %s", raw, body)
		}
		for _, field := range append(describeOnly, "tags", "containerDefinitions") {
			delete(in, field)
			delete(out, field)
		}
		if len(in) != len(out) {
			t.Fatalf("%s became %s", raw, body)
		}
		for field, value := range in {
			if !sameJSON(value, out[field]) {
				t.Errorf("%s: %s became %s", field, value, out[field])
			}
		}
	})
}
