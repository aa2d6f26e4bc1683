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

// distance is Levenshtein's: insertions, deletions and replacements of bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		corner := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := corner
			if a[i-1] != b[j-1] {
				replaced++
			}
			corner, row[j] = row[j], min(replaced, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
