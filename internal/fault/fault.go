// Package fault gives an error the class that decides the process's exit
// code, and the remedy a person reads under it. Every room may use it; only
// cmd turns a class into a number.
package fault

import (
	"errors"
	"fmt"
)

// Class says what kind of end an error is. The zero value, Internal, is for
// errors that nobody classified: fastship itself failed.
type Class int

// The classes, in the order of DESIGN.md's exit codes.
const (
	Internal        Class = iota // fastship itself failed
	BadInput                     // found before any work: flags, files, pom
	Missing                      // something needed is absent or refused, found before any work
	BuildFailed                  // the build failed
	TestsFailed                  // the build's tests failed
	ImageFailed                  // the image or its push failed
	RolloutFailed                // the rollout failed and nothing took its place
	RolledBack                   // the rollout failed and ECS is back on what ran before
	Superseded                   // another deployment took the service over
	RolloutTimedOut              // the deadline passed with the rollout still going on
)

// Error is an error with a class and, where there is one, a remedy.
type Error struct {
	Class Class
	Err   error
	Hint  string // one imperative sentence, empty when there is nothing to advise
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error that was classified.
func (e *Error) Unwrap() error { return e.Err }

// New makes a classified error with a remedy; format and args are those of
// fmt.Errorf, %w included.
func New(class Class, hint, format string, args ...any) error {
	return &Error{Class: class, Err: fmt.Errorf(format, args...), Hint: hint}
}

// As classifies err unless it, or one it wraps, already has a class. It
// returns nil for nil.
func As(class Class, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Class: class, Err: err}
}

// ClassOf returns the class of the first classified error in err's tree, in
// errors.As order, or Internal.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Internal
}

// HintOf returns the remedy of the first classified error in err's tree, or
// the empty string.
func HintOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}
