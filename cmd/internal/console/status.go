package console

import (
	"strings"
	"time"

	"github.com/fastship/fastship/runner"
)

// redrawEvery bounds how often the status line changes.
const redrawEvery = 100 * time.Millisecond

// status is the last line of a terminal: the stages at work and for how long.
// Its fields are guarded by the Console's mutex.
type status struct {
	console *Console
	work    []working
	drawn   string // what stands on the screen now; empty when nothing does
	quit    chan struct{}
	done    chan struct{}
}

type working struct {
	stage    string
	since    time.Time
	progress string
}

func newStatus(c *Console) *status {
	s := &status{console: c, quit: make(chan struct{}), done: make(chan struct{})}
	go s.loop()
	return s
}

func (s *status) loop() {
	defer close(s.done)
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-tick.C:
			s.console.mu.Lock()
			s.draw()
			s.console.mu.Unlock()
		}
	}
}

// stop ends the redrawing and takes the line away.
func (s *status) stop() {
	close(s.quit)
	<-s.done
	s.console.mu.Lock()
	defer s.console.mu.Unlock()
	s.console.put(s.console.opt.Err, s.erase())
}

// observe follows which stages are at work.
func (s *status) observe(e runner.Event) {
	at := -1
	for i := range s.work {
		if s.work[i].stage == e.Stage {
			at = i
		}
	}
	switch b := e.Body.(type) {
	case runner.StageStarted:
		s.work = append(s.work, working{stage: e.Stage, since: time.Now()})
	case runner.StageFinished:
		if at >= 0 {
			s.work = append(s.work[:at], s.work[at+1:]...)
		}
	case runner.Progress:
		if at >= 0 {
			s.work[at].progress = " " + s.console.lines(b.What)[0] + " " + amount(b)
			if b.Total > 0 && b.Done >= b.Total {
				s.work[at].progress = ""
			}
		}
	case runner.RunFinished:
		s.work = nil
	}
}

// erase returns what takes the line off the screen.
func (s *status) erase() string {
	if s.drawn == "" {
		return ""
	}
	s.drawn = ""
	return "\r\x1b[K"
}

// draw puts the line on the screen when it differs from what is there.
func (s *status) draw() {
	parts := make([]string, len(s.work))
	for i, w := range s.work {
		elapsed := time.Since(w.since).Truncate(time.Second)
		parts[i] = w.stage + " " + elapsed.String() + w.progress
	}
	line := strings.Join(parts, " · ")
	// One column stays free: a terminal wraps when its last one is filled.
	if runes := []rune(line); len(runes) > s.console.opt.Width()-1 {
		line = string(runes[:max(0, s.console.opt.Width()-1)])
	}
	if line == s.drawn {
		return
	}
	s.console.put(s.console.opt.Err, s.erase()+line)
	s.drawn = line
}
