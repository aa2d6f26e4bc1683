package deploy

import "errors"

// Fate is what an error tells about the call that met it.
type Fate int

// The fates. Unknown, the zero value, is the careful one.
const (
	Unknown     Fate = iota // it may have been carried out: 5xx, cut, timed out
	Unsent                  // it never reached ECS
	Throttled               // ECS refused it for now
	Denied                  // the caller lacks the permission
	Unsupported             // the endpoint has no such call
	Refused                 // ECS refused it for good
)

// CallError is an API call that failed.
type CallError struct {
	Call string // the IAM action's name: ecs:UpdateService
	Fate Fate
	Err  error
}

func (e *CallError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }

// FateOf is err's fate, or Unknown.
func FateOf(err error) Fate {
	if e, ok := errors.AsType[*CallError](err); ok {
		return e.Fate
	}
	return Unknown
}

// Transient reports whether err is a call's that may do better later.
func Transient(err error) bool {
	e, ok := errors.AsType[*CallError](err)
	return ok && (e.Fate == Unknown || e.Fate == Unsent || e.Fate == Throttled)
}

// final reports whether a read need not be tried again. What is refused for
// its credentials may do well once they are renewed.
func final(err error) bool {
	fate := FateOf(err)
	return fate == Denied || fate == Unsupported
}
