package jre

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestClosureIsTheJVMs: of each module alone, and of the safe set.
func TestClosureIsTheJVMs(t *testing.T) {
	for _, jdk := range jdks(t) {
		id, err := jdk.identity()
		if err != nil {
			t.Fatal(err)
		}
		c := newCache(t)
		safe := slices.DeleteFunc(safeModules(), func(m string) bool { return !slices.Contains(jdk.Modules, m) })
		for _, roots := range [][]string{{"java.se"}, {"java.sql.rowset"}, {"jdk.jfr", "java.naming"}, safe, jdk.Modules} {
			got, err := closure(t.Context(), c, jdk, id, roots)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(jdk.tool("java"), "--limit-modules", strings.Join(roots, ","), "--list-modules").CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %s", jdk, out)
			}
			var want []string
			for line := range strings.Lines(string(out)) {
				name, _, _ := strings.Cut(strings.TrimSpace(line), "@")
				want = append(want, name)
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v require %v, the JVM says %v", jdk, roots, got, want)
			}
		}
	}
}
