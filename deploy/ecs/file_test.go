package ecs

import (
	"encoding/json"
	"testing"
)

// FuzzDefinition: whatever a file holds is read or refused; nothing panics,
// and what is read is JSON.
func FuzzDefinition(f *testing.F) {
	f.Add([]byte(`{"family": "web", "n": 1e3}`))
	f.Add([]byte("family: web\nx: &a [*a]\n"))
	f.Add([]byte("a: ${X:-y}\nb: $${Z}\n? [1]\n: 2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return // the parser's time grows with the square of a hostile file's size
		}
		value, err := parseDefinition(text)
		if err != nil {
			return
		}
		value, err = expandAll(value, func(string) (string, bool) { return "v", true }, "")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = json.Marshal(value) // maps with keys that are no text are refused there
	})
}
