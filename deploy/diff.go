package deploy

import (
	"encoding/json"
	"fmt"
	"strings"
)

// context of a difference, in lines.
const diffContext = 2

// DiffJSON compares two JSON texts as a person reads them: with their keys in
// order, one value a line. Lines that go begin with "- ", those that come with
// "+ ", and those around with two blanks. Nil means that there is no
// difference.
func DiffJSON(from, to json.RawMessage) ([]string, error) {
	a, err := pretty(from)
	if err != nil {
		return nil, err
	}
	b, err := pretty(to)
	if err != nil {
		return nil, err
	}
	return shorten(compare(a, b)), nil
}

func pretty(raw json.RawMessage) ([]string, error) {
	v, err := decode(raw)
	if err != nil {
		return nil, fmt.Errorf("read JSON to compare: %w", err)
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON to compare: %w", err)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"), nil
}

// compare lists all lines of both by their longest common subsequence. A task
// definition has at most 64 KiB, so the table stays small once what is equal
// at both ends is taken off.
func compare(a, b []string) []string {
	var head, tail []string
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head, a, b = append(head, "  "+a[0]), a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append([]string{"  " + a[len(a)-1]}, tail...)
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if longest[i][j] = max(longest[i+1][j], longest[i][j+1]); a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	lines := head
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			lines = append(lines, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && longest[i+1][j] >= longest[i][j+1]:
			lines = append(lines, "- "+a[i])
			i++
		default:
			lines = append(lines, "+ "+b[j])
			j++
		}
	}
	return append(lines, tail...)
}

// shorten keeps the lines near a difference; "  …" stands for the others.
func shorten(lines []string) []string {
	near := make([]bool, len(lines))
	any := false
	for i, line := range lines {
		if line[0] == ' ' {
			continue
		}
		any = true
		for j := max(0, i-diffContext); j <= min(len(lines)-1, i+diffContext); j++ {
			near[j] = true
		}
	}
	if !any {
		return nil
	}
	var kept []string
	for i, line := range lines {
		switch {
		case near[i]:
			kept = append(kept, line)
		case i == 0 || near[i-1]:
			kept = append(kept, "  …")
		}
	}
	return kept
}

// Diff is what the plan changes in the task definition, as DiffJSON has it.
// Nil means nothing, or that the image is not known yet.
func (p Plan) Diff() ([]string, error) {
	if p.Register == nil {
		return nil, nil
	}
	if p.File == nil {
		now, err := CloneTaskDefinition(p.Current.Raw, p.Container, p.OldImage)
		if err != nil {
			return nil, err
		}
		return DiffJSON(now, p.Register)
	}
	now, err := asSaid(p.Current.Raw, p.Register)
	if err != nil {
		return nil, err
	}
	return DiffJSON(now, p.Register)
}
