package ecstest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Fault is what goes wrong with one call. The zero value: nothing.
type Fault struct {
	Delay  time.Duration // before the call is looked at
	Status int           // answer this instead: an HTTP status …
	Type   string        // … and error type
	Text   string
	Cut    Cut
	Absent bool          // a Describe call finds nothing: HTTP 200, all in failures[]
	Lag    time.Duration // a read answers with the state of that long ago (at most Options.MaxLag)
}

// Cut is where the connection breaks.
type Cut int

// Before the call has any effect, or after it had all of it: the answer is lost.
const (
	NoCut Cut = iota
	CutBefore
	CutAfter
)

// Throttle is ECS's answer to too many calls.
func Throttle() Fault {
	return Fault{Status: http.StatusBadRequest, Type: "ThrottlingException", Text: "Rate exceeded"}
}

// ServerError is a 5xx of ECS's own.
func ServerError(status int) Fault {
	return Fault{Status: status, Type: "ServerException", Text: "Service Unavailable. Please try again later."}
}

// Deny is IAM's refusal of an operation.
func Deny(op string) Fault {
	service := "ecs"
	if op == "GetLogEvents" {
		service = "logs"
	}
	return Fault{Status: http.StatusBadRequest, Type: "AccessDeniedException", Text: fmt.Sprintf(
		"User: arn:aws:sts::123456789012:assumed-role/deploy/session is not authorized to perform: %s:%s because no identity-based policy allows the %[1]s:%[2]s action", service, op)}
}

// Fault sets what decides about each call's fault: op is the operation's
// name, n counts its calls from 1. nil means none. decide must not call the
// Double.
func (d *Double) Fault(decide func(op string, n int) Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = decide
}

// Call is one call that reached the Double.
type Call struct {
	Op      string
	At      time.Time
	Request json.RawMessage
	Status  int    // HTTP status; 0: the connection was cut
	Error   string // error type, empty for success
}

// Calls returns every call so far, oldest first.
func (d *Double) Calls() []Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// Counts returns how often each operation was called.
func (d *Double) Counts() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.counts)
}

// snapshot is the state since at.
type snapshot struct {
	at    time.Time
	world *world
}

// remember keeps the present state, and of the past what maxLag can reach.
func (d *Double) remember() {
	now := time.Now()
	if n := len(d.past); n > 0 && d.past[n-1].at.Equal(now) {
		d.past = d.past[:n-1]
	}
	d.past = append(d.past, snapshot{now, d.world.clone()})
	old := 0
	for old+1 < len(d.past) && now.Sub(d.past[old+1].at) >= d.maxLag {
		old++
	}
	d.past = slices.Delete(d.past, 0, old)
}

// asOf returns the world as it stood lag ago.
func (d *Double) asOf(lag time.Duration) *world {
	if lag <= 0 || len(d.past) == 0 {
		return d.world
	}
	then := time.Now().Add(-min(lag, d.maxLag))
	for _, s := range slices.Backward(d.past) {
		if !s.at.After(then) {
			return s.world
		}
	}
	return d.past[0].world
}
