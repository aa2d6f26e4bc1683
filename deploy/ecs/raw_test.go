package ecs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/awsconf"
)

// registry is the wire: it answers Describe with a definition and keeps what
// Register was sent.
type registry struct {
	describe []byte // the whole answer
	sent     []byte // the last body of a Register
	length   int64
}

func (r *registry) RoundTrip(req *http.Request) (*http.Response, error) {
	answer := r.describe
	if strings.HasSuffix(req.Header.Get("X-Amz-Target"), ".RegisterTaskDefinition") {
		r.sent, _ = io.ReadAll(req.Body)
		r.length = req.ContentLength
		answer = []byte(`{"taskDefinition": {"taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:8"}}`)
	}
	return &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(answer)), Request: req}, nil
}

func (r *registry) client() *Client {
	cfg := awsconf.Local("http://ecs.test", "eu-west-1")
	cfg.HTTPClient = &http.Client{Transport: r}
	return New(cfg)
}

// TestNothingIsLost sends task definitions with every field that the SDK's
// model has, and invented fields at every depth, from the wire through
// Describe, clone and Register, and compares what goes out with what came in.
func TestNothingIsLost(t *testing.T) {
	fields := map[string]bool{}
	for seed := range uint64(200) {
		g := &generator{rand: rand.New(rand.NewPCG(seed, 1)), full: seed == 0, fields: fields}
		wire := &registry{}
		definition := g.definition(t, wire)
		tags := definition["tags"]
		delete(definition, "tags")
		for name, value := range describeOnlyFields {
			definition[name] = value
		}
		wire.describe = encode(t, map[string]any{"taskDefinition": definition, "tags": tags})

		client := wire.client()
		read, err := client.TaskDefinition(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		body, err := deploy.CloneTaskDefinition(read.Raw, "app", "registry/web@sha256:22")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Register(t.Context(), body); err != nil {
			t.Fatal(err)
		}

		for name := range describeOnlyFields {
			delete(definition, name)
		}
		if list, _ := tags.([]any); len(list) > 0 {
			definition["tags"] = list
		}
		definition["containerDefinitions"].([]any)[0].(map[string]any)["image"] = "registry/web@sha256:22"
		if want, got := definition, parse(t, wire.sent); !reflect.DeepEqual(want, got) {
			t.Fatalf("seed %d: sent %s\nwant %s", seed, wire.sent, encode(t, want))
		}
		if wire.length != int64(len(wire.sent)) {
			t.Errorf("seed %d: Content-Length %d of %d bytes", seed, wire.length, len(wire.sent))
		}
	}
	if len(fields) < 150 {
		t.Errorf("only %d fields of the model took part", len(fields))
	}
}

// describeOnlyFields are values for what only Describe gives; the model must
// agree with the list.
var describeOnlyFields = map[string]any{
	"compatibilities": []any{"EC2", "FARGATE"}, "deleteRequestedAt": json.Number("1766000000.123"), "deregisteredAt": json.Number("1766000000.123"),
	"registeredAt": json.Number("1766000000.123"), "registeredBy": "arn:aws:iam::111122223333:user/x",
	"requiresAttributes": []any{map[string]any{"name": "com.amazonaws.ecs.capability.ecr-auth"}}, "revision": json.Number("7"), "status": "ACTIVE",
	"taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:7",
}

func TestDescribeOnlyFieldsAreTheModels(t *testing.T) {
	described := wireNames(reflect.TypeFor[types.TaskDefinition]())
	accepted := wireNames(reflect.TypeFor[ecs.RegisterTaskDefinitionInput]())
	for name := range accepted {
		delete(described, name)
	}
	if want, got := slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(describeOnlyFields)); !slices.Equal(want, got) {
		t.Errorf("the model's describe-only fields are %q, this test's %q", want, got)
	}
}

// wireNames are the JSON names of a struct's members: ECS's are the Go names
// with a small first letter.
func wireNames(t reflect.Type) map[string]bool {
	names := map[string]bool{}
	for f := range t.Fields() {
		if f.IsExported() {
			names[strings.ToLower(f.Name[:1])+f.Name[1:]] = true
		}
	}
	return names
}

// generator makes random task definitions.
type generator struct {
	rand   *rand.Rand
	full   bool // every field, instead of a random half
	fields map[string]bool
}

// definition has the SDK itself write a random input, so that names and forms
// are the wire's, and adds invented fields to the result.
func (g *generator) definition(t *testing.T, wire *registry) map[string]any {
	in := &ecs.RegisterTaskDefinitionInput{}
	g.fill(reflect.ValueOf(in).Elem(), 0)
	in.Family = new("web")
	if len(in.ContainerDefinitions) == 0 {
		in.ContainerDefinitions = []types.ContainerDefinition{{}}
	}
	in.ContainerDefinitions[0].Name = new("app")
	in.ContainerDefinitions[0].Image = new("registry/web@sha256:11")
	if _, err := wire.client().api.RegisterTaskDefinition(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	definition := parse(t, wire.sent).(map[string]any)
	g.invent(definition)
	return definition
}

// fill sets a value and all below it.
func (g *generator) fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			// The SDK refuses nil in required members, so those are never left out.
			if !field.IsExported() || !g.full && g.rand.IntN(4) == 0 && depth == 0 {
				continue
			}
			g.fields[v.Type().Name()+"."+field.Name] = true
			g.fill(v.Field(i), depth+1)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		g.fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 2))
		for range 1 + g.rand.IntN(2) {
			item := reflect.New(v.Type().Elem()).Elem()
			g.fill(item, depth+1)
			v.Set(reflect.Append(v, item))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		item := reflect.New(v.Type().Elem()).Elem()
		g.fill(item, depth+1)
		v.SetMapIndex(reflect.ValueOf(g.text()).Convert(v.Type().Key()), item)
	case reflect.String:
		v.SetString(g.text())
	case reflect.Bool:
		v.SetBool(g.rand.IntN(2) == 0)
	case reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt(int64(g.rand.Int32()))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(g.rand.Float64())
	case reflect.Interface:
		member, ok := unions[v.Type()]
		if !ok {
			panic(fmt.Sprintf("no member known of union %s", v.Type()))
		}
		item := reflect.New(member)
		g.fill(item.Elem(), depth+1)
		v.Set(item)
	default:
		panic(fmt.Sprintf("no generator for %s", v.Type()))
	}
}

// unions name one member of each union type: reflection cannot list them.
var unions = map[reflect.Type]reflect.Type{
	reflect.TypeFor[types.SharingStrategy](): reflect.TypeFor[types.SharingStrategyMemberNvidiaMps](),
}

func (g *generator) text() string {
	pieces := []string{"a", "<b>&", "é", "\u2028", "\"", "\\", "\n", "${X}", "日本", "0"}
	var s strings.Builder
	for range 1 + g.rand.IntN(4) {
		s.WriteString(pieces[g.rand.IntN(len(pieces))])
	}
	return s.String()
}

// invent adds fields of tomorrow's ECS, at every depth.
func (g *generator) invent(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			g.invent(v[key])
		}
		v["inventedObject"] = map[string]any{"deep": []any{json.Number("1e400"), nil, map[string]any{"html": "<&>"}}}
		v["inventedNumber"] = json.Number("12345678901234567890.10")
		v["inventedNull"] = nil
	case []any:
		for _, item := range v {
			g.invent(item)
		}
	}
}

func parse(t *testing.T, raw []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return v
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestBrokenAnswer: a body that ends early is the SDK's error, not half a
// definition.
func TestBrokenAnswer(t *testing.T) {
	wire := &registry{describe: []byte(`{"taskDefinition": {"family": "web", "cpu`)}
	if d, err := wire.client().TaskDefinition(t.Context(), "web"); err == nil {
		t.Errorf("half an answer gave %s", d.Raw)
	}
	wire.describe = []byte(`{}`)
	if d, err := wire.client().TaskDefinition(t.Context(), "web"); err == nil {
		t.Errorf("an empty answer gave %s", d.Raw)
	}
}
