package ecstest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"time"
)

// player plays one story: a goroutine that does one thing after the other,
// so that what it reports is in order.
type player struct {
	Story
	spec    TaskSpec
	report  func(TaskEvent)
	ctx     context.Context // of the task, which outlives the call that started it
	cancel  context.CancelFunc
	done    chan struct{}
	running map[string]bool
	steps   int
	queue   chan func() // what happens to the task from outside and at set times
	stop    sync.Once
}

func (p *player) Done() <-chan struct{} { return p.done }

func (p *player) Stop(timeout time.Duration) {
	p.stop.Do(func() {
		go func() {
			select {
			case p.queue <- func() { p.terminate(timeout) }:
			case <-p.done:
			}
		}()
	})
}

// play goes through pull and start, then waits for what is to happen.
func (p *player) play() {
	defer close(p.done)
	defer p.cancel()
	p.report(PullStarted{})
	if !p.pause(p.Pull) {
		return
	}
	if p.PullError != "" {
		p.report(FailedToStart{Reason: p.PullError})
		return
	}
	p.report(PullStopped{Digests: p.digests()})
	if !p.pause(p.Start) {
		return
	}
	if p.StartError != "" {
		p.report(FailedToStart{Container: p.spec.Containers[0].Name, Reason: p.StartError})
		return
	}
	for i, c := range p.spec.Containers {
		p.running[c.Name] = true
		p.report(Started{Container: c.Name, PID: 1000 + i})
	}
	p.print()
	p.schedule()
	for len(p.running) > 0 {
		select {
		case f := <-p.queue:
			f()
		case <-p.ctx.Done():
			p.end(137)
		}
	}
}

// digests are those that the images name, or made up ones.
func (p *player) digests() map[string]string {
	all := map[string]string{}
	for _, c := range p.spec.Containers {
		_, digest, pinned := strings.Cut(c.Image, "@")
		if !pinned {
			digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(c.Image)))
		}
		all[c.Name] = digest
	}
	return all
}

// pause waits before the containers run; a stop in the meantime, or the end
// of the runtime, ends the story.
func (p *player) pause(d time.Duration) bool {
	p.steps++
	wait := time.NewTimer(d + jitter(p.spec.ID, p.steps))
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-p.queue:
	case <-p.ctx.Done():
	}
	p.report(FailedToStart{})
	return false
}

// at has f done after d, if the task still is.
func (p *player) at(d time.Duration, f func()) {
	p.steps++
	d += jitter(p.spec.ID, p.steps)
	go func() {
		wait := time.NewTimer(d)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-p.ctx.Done():
			return
		}
		select {
		case p.queue <- f:
		case <-p.ctx.Done():
		}
	}()
}

// schedule sets the times of everything that the story tells.
func (p *player) schedule() {
	if p.Crash {
		p.at(p.After, func() { p.crash() })
	}
	if !p.NeverReady {
		p.at(p.Ready, func() { p.report(Listening{Address: p.address()}) })
	}
	for _, c := range p.spec.Containers {
		if h := c.HealthCheck; h != nil {
			p.checks(c.Name, h.Interval, h.StartPeriod+time.Duration(h.Retries)*h.Interval, time.Duration(h.Retries)*h.Interval)
		}
	}
	if p.spec.Target != nil {
		// Healthy at the first success after registration.
		t := *p.spec.Target
		if t.Interval == 0 { // made by hand: the defaults of a target group
			t.Interval, t.Unhealthy = 30*time.Second, 2
		}
		lost := time.Duration(t.Unhealthy) * t.Interval
		p.checks("", t.Interval, lost, lost)
	}
}

// checks reports what checks made at every interval find: never is when a
// task that never was ready is given up, lost how long one that was takes.
func (p *player) checks(container string, interval, never, lost time.Duration) {
	if p.NeverReady {
		p.at(never, func() { p.report(Health{Container: container, Reason: p.why()}) })
		return
	}
	ready := max(interval, (p.Ready+interval-1)/interval*interval)
	p.at(ready, func() { p.report(Health{Container: container, Healthy: true}) })
	if p.Unready > 0 {
		p.at(max(p.Unready, ready)+lost, func() { p.report(Health{Container: container, Reason: p.why()}) })
	}
}

func (p *player) why() string { return orString(p.Why, "Health checks failed") }

func (p *player) address() string {
	return orString(p.Address, "unix:/run/"+p.spec.ID+".sock")
}

// print writes the story's lines from the container that the story is about.
func (p *player) print() {
	for _, c := range p.spec.Containers {
		if c.Essential {
			for _, line := range p.Prints {
				p.report(Printed{Container: c.Name, Line: line})
			}
			return
		}
	}
}

// crash ends the first essential container by itself.
func (p *player) crash() {
	for _, c := range p.spec.Containers {
		if c.Essential && p.running[c.Name] {
			delete(p.running, c.Name)
			p.report(Exited{Container: c.Name, Code: p.Code, Reason: p.Reason})
			return
		}
	}
}

// terminate is SIGTERM, and SIGKILL after timeout.
func (p *player) terminate(timeout time.Duration) {
	for _, c := range p.spec.Containers {
		limit := c.StopTimeout
		if limit == 0 {
			limit = timeout
		}
		wait, code := p.Shutdown, 143
		if p.IgnoreTERM || wait > limit {
			wait, code = limit, 137
		}
		p.at(wait, func() { p.exit(c.Name, code) })
	}
}

func (p *player) exit(container string, code int) {
	if p.running[container] {
		delete(p.running, container)
		p.report(Exited{Container: container, Code: code})
	}
}

// end kills what still runs.
func (p *player) end(code int) {
	for _, c := range p.spec.Containers {
		p.exit(c.Name, code)
	}
}
