package containerruntime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/pause"
)

// Probe says how a task's target is judged: GET / on its port, any status
// below 500 being an answer of an application that is up. The zero value
// stands for the defaults.
type Probe struct {
	Interval time.Duration // between two tries; default 50 ms
	Timeout  time.Duration // of one try; default 2 s
	Start    time.Duration // how long a task may take until its first answer; default 2 min, for slow starters on busy machines
	Failing  time.Duration // how long answers may go on being bad; default 3 s
}

func (p Probe) withDefaults() Probe {
	or := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	or(&p.Interval, 50*time.Millisecond)
	or(&p.Timeout, 2*time.Second)
	or(&p.Start, 2*time.Minute)
	or(&p.Failing, 3*time.Second)
	return p
}

// steadyInterval is the interval once the target is known to be healthy.
const steadyInterval = time.Second

// target judges one container's port and tells of changes.
type target struct {
	container *container.Container
	forward   *forwarder
	wanted    int  // the port asked for; 0: any
	anyPort   bool // take another port than the wanted one
	probe     Probe
	judged    bool // GET / counts; else only Listening is told
	report    func(ecstest.TaskEvent)
}

// watch runs until ctx ends, which is the end of the container, or, when there
// is nothing to judge, until the port is open.
func (t *target) watch(ctx context.Context) {
	if !t.judged {
		for t.find(ctx) != "" && pause.For(ctx, t.probe.Interval) == nil {
		}
		return
	}
	client := &http.Client{
		Timeout: t.probe.Timeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return t.container.Dial(ctx, int(t.forward.port.Load()))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	v := verdict{probe: t.probe, start: time.Now()}
	for {
		reason, answered := t.try(ctx, client)
		if ctx.Err() != nil {
			return
		}
		if v.changes(time.Now(), reason, answered) {
			t.report(ecstest.Health{Healthy: v.healthy, Reason: reason})
		}
		wait := t.probe.Interval
		if v.healthy && v.badSince.IsZero() {
			wait = max(wait, steadyInterval)
		}
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

// verdict is what is held of a target, and since when it has been bad.
type verdict struct {
	probe    Probe
	start    time.Time
	badSince time.Time // the beginning of the row of bad tries; zero: the last was good
	told     bool      // there is a verdict
	healthy  bool
}

// changes takes the outcome of a try (see try) and tells whether the verdict
// is another now. One good answer makes a target healthy; bad ones count when
// they go on, and no answer at all counts from the first answer on, or when the
// start takes too long.
func (v *verdict) changes(now time.Time, reason string, answered bool) bool {
	was := *v
	if reason == "" {
		v.badSince, v.told, v.healthy = time.Time{}, true, true
		return !was.told || !was.healthy
	}
	if v.badSince.IsZero() && (answered || v.healthy) {
		v.badSince = now
	}
	late := !answered && !v.healthy && now.Sub(v.start) >= v.probe.Start
	failing := !v.badSince.IsZero() && now.Sub(v.badSince) >= v.probe.Failing
	if !late && !failing {
		return false
	}
	v.told, v.healthy = true, false
	return !was.told || was.healthy
}

// try asks once. The reason is empty for a good answer, else in ELB's words;
// answered says that the application did answer or was there to.
func (t *target) try(ctx context.Context, client *http.Client) (reason string, answered bool) {
	if why := t.find(ctx); why != "" {
		return why, false
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.forward.address()+"/", nil)
	if err != nil {
		return err.Error(), false
	}
	request.Header.Set("User-Agent", "fastship-health-check")
	response, err := client.Do(request)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return "Request timed out", true
	case err != nil:
		return "Health checks failed", true
	}
	response.Body.Close()
	if response.StatusCode >= http.StatusInternalServerError {
		return fmt.Sprintf("Health checks failed with these codes: [%d]", response.StatusCode), true
	}
	return "", true
}

// find points the forwarder to the application's port; why it cannot, else.
func (t *target) find(ctx context.Context) (why string) {
	port, why := t.port(ctx)
	if port != 0 && t.forward.port.Swap(int64(port)) == 0 {
		t.report(ecstest.Listening{Address: t.forward.address()})
	}
	return why
}

// port finds the port to ask: the wanted one, or, where any will do and that
// one is not there, 8080 or the lowest that is open to others.
func (t *target) port(ctx context.Context) (port int, why string) {
	all, err := t.container.Listening(ctx)
	if err != nil {
		return 0, err.Error()
	}
	var open []int
	var local []string
	for _, l := range all {
		if l.Loopback {
			local = append(local, fmt.Sprintf("127.0.0.1:%d", l.Port))
		} else {
			open = append(open, l.Port)
		}
	}
	switch {
	case slices.Contains(open, t.wanted):
		return t.wanted, ""
	case len(open) > 0 && (t.anyPort || t.wanted == 0):
		if slices.Contains(open, 8080) {
			return 8080, ""
		}
		return open[0], ""
	case len(open) > 0:
		return 0, fmt.Sprintf("Health checks failed: nothing listens on port %d, but on %s", t.wanted, strings.Trim(fmt.Sprint(open), "[]"))
	case len(local) > 0:
		return 0, "Health checks failed: the application listens on " + strings.Join(local, ", ") + " only, where no load balancer reaches it"
	}
	return 0, "Health checks failed: nothing listens on a TCP port"
}
