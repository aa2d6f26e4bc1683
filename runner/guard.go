package runner

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// guard turns a panic of a step into an error: the run must still close its
// other steps, join its background work and say how it ended. The stack goes
// out as the step's Log events, since an error is one line.
func (s *state) guard(stage string, f func() error) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		for line := range strings.Lines(string(debug.Stack())) {
			s.emit(stage, Log{Stream: "stderr", Line: strings.TrimSuffix(line, "\n")})
		}
		if stage == "" {
			stage = "between the steps"
		}
		err = fmt.Errorf("%s: panic: %v", stage, v)
	}()
	return f()
}
