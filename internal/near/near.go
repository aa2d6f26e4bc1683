// Package near finds the names that a misspelt one was probably meant to be.
package near

import (
	"cmp"
	"slices"
	"strings"
)

// Names returns the candidates that resemble name, at most limit, the nearest
// first: a part of each other, or as many edits apart as a third of the
// longer one's length.
func Names(name string, candidates []string, limit int) []string {
	type scored struct {
		name     string
		distance int
	}
	var found []scored
	wanted := strings.ToLower(name)
	for _, candidate := range candidates {
		c := strings.ToLower(candidate)
		d := distance(wanted, c)
		if d <= max(1, max(len(wanted), len(c))/3) || strings.Contains(c, wanted) || c != "" && strings.Contains(wanted, c) {
			found = append(found, scored{candidate, d})
		}
	}
	slices.SortFunc(found, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	names := make([]string, 0, min(limit, len(found)))
	for _, f := range found[:min(limit, len(found))] {
		names = append(names, f.name)
	}
	return names
}

// distance counts insertions, deletions and replacements of bytes, and swaps
// of two neighbours: Damerau's optimal string alignment.
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := above[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(replaced, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
