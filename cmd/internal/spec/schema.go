package spec

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// schema is the part of JSON Schema 2020-12 that fastship.yaml needs. Keys
// are written in the order of the fields.
type schema struct {
	Schema      string      `json:"$schema,omitempty"`
	Title       string      `json:"title,omitempty"`
	Description string      `json:"description,omitempty"`
	Type        any         `json:"type,omitempty"` // one name or several
	Const       any         `json:"const,omitempty"`
	AnyOf       []*schema   `json:"anyOf,omitempty"`
	Pattern     string      `json:"pattern,omitempty"`
	MinLength   int         `json:"minLength,omitempty"`
	Items       *schema     `json:"items,omitempty"`
	Properties  *properties `json:"properties,omitempty"`
	Additional  any         `json:"additionalProperties,omitempty"` // false, or the *schema of what a mapping holds
}

// properties is a JSON object that keeps its order.
type properties struct {
	names  []string
	values []*schema
}

// MarshalJSON implements json.Marshaler.
func (p *properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range p.names {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(p.values[i])
		if err != nil {
			return nil, err
		}
		b.WriteString(`"` + name + `":`)
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// variableForm matches a text that has a variable in it, which may become
// anything.
const variableForm = `\$\{`

// durationForm is time.ParseDuration's, without signs.
const durationForm = `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`

// Schema returns the JSON Schema (2020-12) of fastship.yaml, indented, with a
// line ending. It takes every file that Parse takes; what it cannot say, such
// as the grammar of names, Parse still checks.
func Schema() []byte {
	root := structSchema(reflect.TypeFor[Spec](), "")
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "fastship.yaml"
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		panic("spec: encode the schema: " + err.Error()) // built from constants: a test would have seen it
	}
	return b.Bytes()
}

func structSchema(t reflect.Type, path string) *schema {
	s := &schema{Type: []string{"object", "null"}, Properties: &properties{}, Additional: false}
	for _, f := range fieldsOf(t, path) {
		s.Properties.names = append(s.Properties.names, f.name)
		s.Properties.values = append(s.Properties.values, fieldSchema(f))
	}
	return s
}

func fieldSchema(f field) *schema {
	k := keyOf(f.path)
	var s *schema
	switch {
	case f.typ.Kind() == reflect.Struct:
		s = structSchema(f.typ, f.path)
	case f.typ.Kind() == reflect.Slice:
		s = &schema{Type: []string{"array", "null"}, Items: itemSchema(f)}
	case f.typ.Kind() == reflect.Map:
		s = &schema{Type: []string{"object", "null"}, Additional: itemSchema(f)}
	case f.path == "version":
		s = &schema{AnyOf: []*schema{{Const: Version}, {Type: "null"}, {Type: "string", Pattern: variableForm}}}
	case f.typ == durationType:
		s = &schema{AnyOf: []*schema{{Type: "string", Pattern: durationForm}, {Type: "null"}, {Type: "string", Pattern: variableForm}}}
	case f.typ.Kind() == reflect.Bool:
		s = &schema{AnyOf: []*schema{{Type: []string{"boolean", "null"}}, {Type: "string", Pattern: variableForm}}}
	case f.typ.Kind() == reflect.Int:
		s = &schema{AnyOf: []*schema{{Type: []string{"integer", "null"}}, {Type: "string", Pattern: variableForm}}}
	default:
		s = &schema{Type: append(textTypes(k), "null")}
	}
	s.Description = k.doc
	if k.initial != "" {
		s.Description += " Default: " + k.initial + "."
	}
	return s
}

// itemSchema is that of a list's or a mapping's elements.
func itemSchema(f field) *schema {
	if inner, ok := structIn(f.typ); ok {
		if f.path == envs {
			return structSchema(inner, f.path+".*")
		}
		return structSchema(inner, f.path)
	}
	if f.typ.Kind() == reflect.Map {
		return &schema{Type: append(textTypes(keyOf(f.path)), "null")}
	}
	item := &schema{Type: "string", MinLength: 1}
	if keyOf(f.path).plain {
		item.Type = textTypes(keyOf(f.path))
	}
	return item
}

func textTypes(k key) []string {
	if k.plain {
		return []string{"string", "number", "boolean"}
	}
	return []string{"string"}
}
