package spec

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestKeysHoldTogether holds the table of keys against the stages' Configs,
// and both against parser, schema and help.
func TestKeysHoldTogether(t *testing.T) {
	var inStructs, inTable, inHelp []string
	for _, f := range allFields() {
		inStructs = append(inStructs, f.path)
	}
	for _, k := range keys {
		inTable = append(inTable, k.path)
	}
	for _, k := range Keys() {
		inHelp = append(inHelp, k.Path)
		if k.Doc == "" || k.Type == "" {
			t.Errorf("%s has no description in keys.go", k.Path)
		}
	}
	slices.Sort(inStructs)
	slices.Sort(inTable)
	slices.Sort(inHelp)
	if !slices.Equal(inStructs, inTable) {
		t.Errorf("the Configs have %q,\nkeys.go has %q", inStructs, inTable)
	}
	if len(slices.Compact(slices.Clone(inTable))) != len(inTable) {
		t.Error("a key is in keys.go twice")
	}
	if inSchema := schemaKeys(t); !slices.Equal(inSchema, inStructs) {
		t.Errorf("the schema has %q,\nthe Configs have %q", inSchema, inStructs)
	}
	for _, f := range allFields() {
		parseOne(t, f)
	}
}

// schemaKeys lists the properties of the schema, and wants each described and
// each object closed.
func schemaKeys(t *testing.T) []string {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	var found []string
	var visit func(node map[string]any, path string)
	visit = func(node map[string]any, path string) {
		for _, below := range []string{"items", "additionalProperties"} {
			if inner, ok := node[below].(map[string]any); ok && path != envs { // its keys are those outside
				visit(inner, path)
			}
		}
		properties, ok := node["properties"].(map[string]any)
		if !ok {
			return
		}
		if node["additionalProperties"] != false {
			t.Errorf("the schema of %q is open", path)
		}
		for name, value := range properties {
			child := value.(map[string]any)
			full := strings.TrimPrefix(path+"."+name, ".")
			found = append(found, full)
			if doc, _ := child["description"].(string); !strings.HasPrefix(doc, keyOf(full).doc) || doc == "" {
				t.Errorf("the schema describes %s as %q", full, doc)
			}
			visit(child, full)
		}
	}
	visit(root, "")
	slices.Sort(found)
	return found
}

// parseOne sets one key by a file and looks for it in the Spec.
func parseOne(t *testing.T, f field) {
	t.Helper()
	if _, ok := structIn(f.typ); ok {
		return
	}
	value := keyOf(f.path).example
	if value == "" {
		value = "x"
	}
	switch f.typ.Kind() {
	case reflect.Slice:
		value = "[" + value + "]"
	case reflect.Map:
		if !strings.Contains(value, ": ") {
			value = "name: " + value
		}
		value = "{" + value + "}"
	}
	text, end := wrapped(strings.Split(f.path, "."))
	text += value + end
	s, err := Parse("fastship.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	if v := lookUp(reflect.ValueOf(*s), strings.Split(f.path, ".")); !v.IsValid() || v.IsZero() {
		t.Errorf("%s: the key is not in %+v", text, s)
	}
}

// wrapped opens and closes a file around a key's value: flow mappings, in
// lists and under names where a key wants those.
func wrapped(path []string) (text, end string) {
	typ := reflect.TypeFor[Spec]()
	for i, name := range path {
		full := strings.Join(path[:i+1], ".")
		at := slices.IndexFunc(fieldsOf(typ, strings.Join(path[:i], ".")), func(f field) bool { return f.path == full })
		f := fieldsOf(typ, strings.Join(path[:i], "."))[at]
		open, shut := "", ""
		if i < len(path)-1 {
			open, shut = "{", "}"
			switch f.typ.Kind() {
			case reflect.Slice:
				open, shut = "[{", "}]"
			case reflect.Map:
				open, shut = "{name: {", "}}"
			}
		}
		text, end = text+name+": "+open, shut+end
		typ, _ = structIn(f.typ)
	}
	return text, end
}

// lookUp follows a key's path in a Spec, through the first element of lists
// and the one called name of mappings.
func lookUp(v reflect.Value, path []string) reflect.Value {
	for _, name := range path {
		switch v.Kind() {
		case reflect.Slice:
			v = v.Index(0)
		case reflect.Map:
			v = v.MapIndex(reflect.ValueOf("name"))
		}
		at := slices.IndexFunc(fieldsOf(v.Type(), ""), func(f field) bool { return f.name == name })
		v = v.FieldByIndex(fieldsOf(v.Type(), "")[at].index)
	}
	return v
}
