package containerruntime

import (
	"strings"
	"testing"
	"time"
)

// Each letter is a try, a second after the one before: + good, - a bad answer,
// . nothing listens. Of the verdicts, H is "now healthy", U "now unhealthy", _
// no change.
func TestVerdict(t *testing.T) {
	for tries, want := range map[string]string{
		"+++":             "H__",
		"...+":            "___H",
		"..........+":     "__________H",
		"...............": "__________U____",
		"----":            "___U",
		"---+":            "___H",
		"..----":          "_____U",
		"+---+":           "H____",
		"+----+":          "H___UH",
		"+....+":          "H___UH",
		"-.-.":            "___U",
		"------+-":        "___U__H_",
	} {
		start := time.Now()
		v := verdict{probe: Probe{Start: 10 * time.Second, Failing: 3 * time.Second}, start: start}
		var got strings.Builder
		for i, try := range tries {
			reason, answered := "bad", try == '-'
			if try == '+' {
				reason, answered = "", true
			}
			switch changed := v.changes(start.Add(time.Duration(i)*time.Second), reason, answered); {
			case !changed:
				got.WriteByte('_')
			case v.healthy:
				got.WriteByte('H')
			default:
				got.WriteByte('U')
			}
		}
		if got.String() != want {
			t.Errorf("%s: %s, want %s", tries, got.String(), want)
		}
	}
}
