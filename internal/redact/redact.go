// Package redact masks secrets in text: as strings, and in streams whose
// chunks may cut a secret in two.
//
// Masked is every value that was added and the forms in which values travel:
// base64 (standard and URL alphabet, with and without padding, also inside a
// longer base64 text such as an Authorization header), URL-escaped, and
// escaped as in a JSON string. A value of several lines is masked as a whole,
// and each of its lines by itself wherever it has at least MinLine bytes.
package redact

import (
	"io"
	"sync"
	"sync/atomic"
)

// Mask stands in the output for secrets that touch or overlap each other.
const Mask = "***"

const (
	// Min is the shortest value that is masked, in bytes; a shorter one
	// would blot out half of every log.
	Min = 4
	// MinLine is the shortest line of a longer value that is masked by
	// itself, in bytes without surrounding space.
	MinLine = 8
)

// Redactor masks a growing set of values. It is safe for concurrent use.
type Redactor struct {
	mu       sync.Mutex // held by Add
	patterns map[string]struct{}
	matcher  atomic.Pointer[matcher]
}

// New returns a Redactor that masks the values. Space around a value is not
// part of it; values shorter than Min are ignored.
func New(values ...string) *Redactor {
	r := &Redactor{patterns: map[string]struct{}{}}
	r.matcher.Store(newMatcher(nil))
	r.Add(values...)
	return r
}

// Add masks more values from now on, in Writers already at work too.
func (r *Redactor) Add(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.patterns)
	for _, v := range values {
		for _, form := range forms(v) {
			r.patterns[form] = struct{}{}
		}
	}
	if len(r.patterns) > before {
		r.matcher.Store(newMatcher(r.patterns))
	}
}

// String returns s with every secret in it masked.
func (r *Redactor) String(s string) string {
	m := r.matcher.Load()
	if skip(m, s) == len(s) {
		return s
	}
	st := stream{matcher: m, out: make([]byte, 0, len(s))}
	st.feed([]byte(s))
	st.end()
	return string(st.out)
}

// Writer returns a writer that masks what goes to w. It holds back what may
// turn out to be the beginning of a secret, at most the length of the longest
// form less one byte, until more is written or Flush or Close is called. It
// is not safe for concurrent use.
func (r *Redactor) Writer(w io.Writer) *Writer { return &Writer{redactor: r, to: w} }

// Writer masks a stream of text.
type Writer struct {
	redactor *Redactor
	to       io.Writer
	stream   stream
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	if m := w.redactor.matcher.Load(); m != w.stream.matcher {
		w.stream.change(m)
	}
	w.stream.feed(p)
	if err := w.pass(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what was held back, as it is: a secret that is cut here is
// not recognised.
func (w *Writer) Flush() error {
	w.stream.end()
	return w.pass()
}

// Close flushes; it does not close the writer beneath.
func (w *Writer) Close() error { return w.Flush() }

func (w *Writer) pass() error {
	if len(w.stream.out) == 0 {
		return nil
	}
	_, err := w.to.Write(w.stream.out)
	w.stream.out = w.stream.out[:0]
	return err
}
