package spec

import (
	"reflect"
	"strings"
)

// field is a struct's field that has a key in fastship.yaml.
type field struct {
	name  string // the key
	path  string // section.key
	index []int
	typ   reflect.Type
}

// fieldsOf lists the keys of a struct, those of inline structs among them, in
// the order of the source. A field without a yaml tag is no key.
func fieldsOf(t reflect.Type, path string) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			for _, inner := range fieldsOf(f.Type, path) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
		case name != "" && name != "-":
			full := name
			if path != "" {
				full = path + "." + name
			}
			typ := f.Type
			if typ.Kind() == reflect.Pointer { // nil for a key that is left out
				typ = typ.Elem()
			}
			fields = append(fields, field{name, full, []int{i}, typ})
		}
	}
	return fields
}

// allFields lists every key of the file, sections before what is in them.
// Those in an environment are not listed again.
func allFields() []field {
	var fields []field
	var add func(t reflect.Type, path string)
	add = func(t reflect.Type, path string) {
		for _, f := range fieldsOf(t, path) {
			fields = append(fields, f)
			if inner, ok := structIn(f.typ); ok && f.path != envs {
				add(inner, f.path)
			}
		}
	}
	add(reflect.TypeFor[Spec](), "")
	return fields
}

// structIn is the struct whose fields are keys below a key of type t: t itself,
// or what t is a list or a mapping of.
func structIn(t reflect.Type) (reflect.Type, bool) {
	if k := t.Kind(); k == reflect.Slice || k == reflect.Map {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct
}

// typeName is a type's name in help.
func typeName(t reflect.Type) string {
	switch {
	case t == durationType:
		return "duration"
	case t.Kind() == reflect.Struct:
		return "section"
	case t.Kind() == reflect.Slice:
		return "list of " + typeName(t.Elem())
	case t.Kind() == reflect.Map:
		return "names and their " + typeName(t.Elem())
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Int:
		return "number"
	}
	return "text"
}
