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
	if f.typ.Kind() == reflect.Struct {
		return
	}
	value := keyOf(f.path).example
	if value == "" {
		value = "x"
	}
	if f.typ.Kind() == reflect.Slice {
		value = "[" + value + "]"
	}
	text := strings.ReplaceAll(f.path, ".", ": {") + ": " + value + strings.Repeat("}", strings.Count(f.path, "."))
	s, err := Parse("fastship.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	v := reflect.ValueOf(*s)
	section, _, _ := strings.Cut(f.path, ".")
	for _, top := range fieldsOf(v.Type(), "") {
		if top.path == section && top.typ.Kind() == reflect.Struct {
			v = v.FieldByIndex(top.index)
		}
	}
	if v.FieldByIndex(f.index).IsZero() {
		t.Errorf("%s: the key is not in %+v", text, s)
	}
}
