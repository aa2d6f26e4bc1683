package deploy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestDiffJSON(t *testing.T) {
	from := `{"family": "web", "cpu": "256", "containerDefinitions": [{"name": "app", "image": "x:1", "environment": [{"name": "A", "value": "1 < 2"}]}], "memory": "512", "tags": []}`
	for _, c := range []struct {
		name, to string
		has      []string // lines; nil: there is no difference
		most     int      // lines in all
	}{
		{"same, other order", `{"memory": "512", "tags": [], "containerDefinitions": [{"image": "x:1", "environment": [{"value": "1 < 2", "name": "A"}], "name": "app"}], "cpu": "256", "family": "web"}`, nil, 0},
		{"image", strings.Replace(from, "x:1", "x:2", 1), []string{`-       "image": "x:1",`, `+       "image": "x:2",`, "  …"}, 8},
		{"gone and new", strings.NewReplacer(`"cpu": "256", `, "", `"tags": []`, `"tags": [1]`).Replace(from), []string{`-   "cpu": "256",`, `-   "tags": []`, "+     1"}, 15},
	} {
		got, err := DiffJSON(json.RawMessage(from), json.RawMessage(c.to))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > c.most || (got == nil) != (c.has == nil) {
			t.Errorf("%s: %d lines\n%s", c.name, len(got), strings.Join(got, "\n"))
		}
		for _, line := range c.has {
			if !slices.Contains(got, line) {
				t.Errorf("%s: no line %q in\n%s", c.name, line, strings.Join(got, "\n"))
			}
		}
	}
	if _, err := DiffJSON(json.RawMessage("{"), json.RawMessage("{}")); err == nil {
		t.Error("broken JSON compares")
	}
}

// FuzzDiffJSON: applied to the old text, the whole comparison gives the new.
func FuzzDiffJSON(f *testing.F) {
	f.Add("a\nb\nc", "a\nc\nd")
	f.Add("", "x")
	f.Add("x\nx\ny", "x\ny\ny")
	f.Fuzz(func(t *testing.T, from, to string) {
		a, b := strings.Split(from, "\n"), strings.Split(to, "\n")
		if len(a) > 200 || len(b) > 200 {
			return
		}
		var was, is []string
		for _, line := range compare(a, b) {
			if line[0] != '+' {
				was = append(was, line[2:])
			}
			if line[0] != '-' {
				is = append(is, line[2:])
			}
		}
		if !slices.Equal(was, a) || !slices.Equal(is, b) {
			t.Errorf("%q → %q gives %q → %q", a, b, was, is)
		}
	})
}
