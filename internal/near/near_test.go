package near

import (
	"slices"
	"testing"
)

func TestNames(t *testing.T) {
	candidates := []string{"orders", "orders-web", "billing", "Web"}
	for _, c := range []struct {
		name string
		want []string
	}{
		{"order", []string{"orders", "orders-web"}},
		{"oders", []string{"orders"}},
		{"web", []string{"Web", "orders-web"}},
		{"biling", []string{"billing"}},
		{"wbe", []string{"Web"}}, // two neighbours, swapped
		{"zzzzzz", []string{}},
	} {
		if got := Names(c.name, candidates, 2); !slices.Equal(got, c.want) {
			t.Errorf("Names(%q) = %q, want %q", c.name, got, c.want)
		}
	}
	if got := Names("orders", candidates, 1); !slices.Equal(got, []string{"orders"}) {
		t.Errorf("limit 1: %q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "abc", 3}, {"kitten", "sitting", 3}, {"same", "same", 0}, {"ab", "ba", 1}, {"abcd", "badc", 2}, {"ca", "abc", 3}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != got {
			t.Errorf("distance(%q, %q) = %d, want %d both ways", c.a, c.b, got, c.want)
		}
	}
}
