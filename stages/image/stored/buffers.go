package stored

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/fastship/fastship/internal/inflate"
)

// Bytes that are read and written at once: enough to make calls cheap, little
// enough to stay near the processor.
const (
	readSize  = 128 << 10
	writeSize = 128 << 10
)

// reader reads the original front to end, hashes all of it, and gives parts of
// it without a copy.
type reader struct {
	source io.ReaderAt
	length int64 // of source
	sum    hash.Hash
	buf    []byte // what was read and not taken
	space  []byte // where buf lies
	end    int64  // of buf in source
}

func newReader(source io.ReaderAt, length int64) *reader {
	return &reader{source: source, length: length, sum: sha256.New(), space: make([]byte, readSize)}
}

// more reads on until buf has n bytes; a source that ends before is cut short.
func (r *reader) more(n int) error {
	if n > len(r.space) {
		space := make([]byte, n+readSize)
		copy(space, r.buf)
		r.space = space
	} else {
		copy(r.space, r.buf)
	}
	have := len(r.buf)
	for have < n {
		want := r.space[have:min(int64(len(r.space)), int64(have)+r.length-r.end)]
		got, err := r.source.ReadAt(want, r.end)
		r.sum.Write(want[:got])
		have, r.end = have+got, r.end+int64(got)
		r.buf = r.space[:have]
		switch {
		case have >= n || got > 0 && err == nil:
		case err == nil || errors.Is(err, io.EOF):
			return unfaithful("it is cut short by %d bytes", r.length-r.end)
		default:
			return err
		}
	}
	return nil
}

// next takes n bytes: valid until the next call.
func (r *reader) next(n int) ([]byte, error) {
	if len(r.buf) < n {
		if err := r.more(n); err != nil {
			return nil, err
		}
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b, nil
}

// Read is for what is too large for next.
func (r *reader) Read(p []byte) (int, error) {
	if len(r.buf) == 0 && len(p) > 0 {
		if r.end == r.length {
			return 0, io.EOF
		}
		if err := r.more(1); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

func (r *reader) skipTo(offset int64) error {
	for {
		at := r.end - int64(len(r.buf))
		n := min(offset-at, int64(len(r.buf)))
		if r.buf = r.buf[n:]; at+n == offset {
			return nil
		}
		if err := r.more(1); err != nil {
			return err
		}
	}
}

// writer gathers what is written, and gives room to write it in place.
type writer struct {
	w   io.Writer
	buf []byte
}

func (w *writer) flush() error {
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// room returns where the next n bytes belong, and inflate's slack behind them.
func (w *writer) room(n int) ([]byte, error) {
	if len(w.buf) > 0 && len(w.buf)+n > writeSize {
		if err := w.flush(); err != nil {
			return nil, err
		}
	}
	if cap(w.buf) < len(w.buf)+n+inflate.Slack {
		w.buf = make([]byte, 0, max(n, writeSize)+inflate.Slack) // it is empty: n is larger, or it is the first
	}
	return w.buf[len(w.buf):][:n], nil
}

// filled tells how many bytes of room were filled.
func (w *writer) filled(n int) { w.buf = w.buf[:len(w.buf)+n] }

func (w *writer) write(p []byte) error {
	for len(p) > 0 {
		room, err := w.room(min(len(p), writeSize))
		if err != nil {
			return err
		}
		p = p[copy(room, p):]
		w.filled(len(room))
	}
	return nil
}
