package deploy

import (
	"encoding/json"
	"reflect"
	"slices"
)

// registeredAs reports whether registering wanted would give what a described
// definition holds already: what wanted says is there, and what it does not
// say is what ECS fills in by itself. In doubt it is not the same, which costs
// a revision and nothing else.
func registeredAs(described, wanted json.RawMessage) bool {
	x, errX := decode(described)
	y, errY := decode(wanted)
	a, okA := x.(map[string]any)
	b, okB := y.(map[string]any)
	if errX != nil || errY != nil || !okA || !okB {
		return false
	}
	for _, field := range describeOnly {
		delete(a, field)
		delete(b, field)
	}
	return covered(a, b)
}

func covered(described, wanted any) bool {
	switch w := wanted.(type) {
	case map[string]any:
		d, ok := described.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range w {
			if have, there := d[key]; there && !covered(have, value) || !there && !empty(value) {
				return false
			}
		}
		for key, value := range d {
			if _, said := w[key]; !said && !empty(value) && !filledIn(key, value, d) {
				return false
			}
		}
		return true
	case []any:
		d, ok := described.([]any)
		if !ok || len(d) != len(w) {
			return false
		}
		d, w = byName(d), byName(w)
		for i := range w {
			if !covered(d[i], w[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(described, wanted)
}

// byName sorts lists of named things (environment, secrets), whose order ECS
// does not keep. Containers have names, too, and are the same in any order.
func byName(list []any) []any {
	name := func(v any) (string, bool) {
		m, _ := v.(map[string]any)
		for _, key := range []string{"name", "key"} {
			if s, ok := m[key].(string); ok {
				return s, true
			}
		}
		return "", false
	}
	for _, v := range list {
		if _, ok := name(v); !ok {
			return list
		}
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b any) int {
		x, _ := name(a)
		y, _ := name(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return list
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case json.Number:
		return v == "0"
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, each := range v {
			if !empty(each) {
				return false
			}
		}
		return true
	}
	return false
}

// filledIn are the values that ECS puts where a registration says nothing, by
// the service model's documentation of each field.
func filledIn(key string, value any, in map[string]any) bool {
	switch key {
	case "essential":
		return value == true
	case "protocol":
		return value == "tcp"
	case "hostPort":
		return reflect.DeepEqual(value, in["containerPort"])
	case "interval":
		return value == json.Number("30")
	case "timeout":
		return value == json.Number("5")
	case "retries":
		return value == json.Number("3")
	}
	return false
}

// asSaid is a described definition without what only Describe gives, and
// without what ECS fills in where wanted says nothing: what a person compares
// with wanted.
func asSaid(described, wanted json.RawMessage) (json.RawMessage, error) {
	x, err := decode(described)
	if err != nil {
		return nil, err
	}
	y, err := decode(wanted)
	if err != nil {
		return nil, err
	}
	d, _ := x.(map[string]any)
	for _, field := range describeOnly {
		delete(d, field)
	}
	strip(d, y)
	return marshal(d)
}

func strip(described, wanted any) {
	switch d := described.(type) {
	case map[string]any:
		w, _ := wanted.(map[string]any)
		for key, value := range d {
			said, there := w[key]
			if !there && (empty(value) || filledIn(key, value, d)) {
				delete(d, key)
				continue
			}
			strip(value, said)
		}
	case []any:
		w, _ := wanted.([]any)
		for i := range d {
			if i < len(w) {
				strip(d[i], w[i])
			} else {
				strip(d[i], nil)
			}
		}
	}
}
