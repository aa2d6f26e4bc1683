package console

import (
	"fmt"
	"time"

	"github.com/fastship/fastship/runner"
)

// progressEvery is the least time between two lines of one piece of work.
const progressEvery = 2 * time.Second

// bar names one piece of work that is being counted.
type bar struct{ stage, what string }

type barState struct {
	shown time.Time // when a line of it was last printed, or it was first seen
	ended bool
}

// progress prints a piece of work every two seconds and at its end. Times are
// the events' own, so that a recorded stream is drawn as it was.
func (c *Console) progress(e runner.Event, p runner.Progress) {
	key := bar{e.Stage, p.What}
	s, ok := c.bars[key]
	if !ok {
		s = &barState{shown: e.Time}
		c.bars[key] = s
	}
	end := p.Total > 0 && p.Done >= p.Total
	due := e.Time.Sub(s.shown) >= progressEvery && c.status == nil
	if s.ended && end || !end && !due {
		s.ended = end
		return
	}
	s.shown, s.ended = e.Time, end
	c.say(e.Stage, p.What+": "+amount(p))
}

// amount prints what is done: "12.0 of 40.0 MB (30 %)", "3 of 7 files".
func amount(p runner.Progress) string {
	if p.Unit != "bytes" {
		if p.Total == 0 {
			return fmt.Sprintf("%d %s", p.Done, p.Unit)
		}
		return fmt.Sprintf("%d of %d %s", p.Done, p.Total, p.Unit)
	}
	if p.Total == 0 || p.Done >= p.Total {
		div, unit := byteUnit(p.Done)
		return fmt.Sprintf("%.*f %s", digits(div), float64(p.Done)/div, unit)
	}
	div, unit := byteUnit(p.Total)
	return fmt.Sprintf("%.*f of %.*f %s (%d %%)", digits(div), float64(p.Done)/div, digits(div), float64(p.Total)/div, unit, p.Done*100/p.Total)
}

// byteUnit chooses the unit, a power of 1000 as registries count.
func byteUnit(n int64) (float64, string) {
	switch {
	case n >= 1e9:
		return 1e9, "GB"
	case n >= 1e6:
		return 1e6, "MB"
	case n >= 1e3:
		return 1e3, "kB"
	}
	return 1, "B"
}

func digits(div float64) int {
	if div == 1 {
		return 0
	}
	return 1
}
