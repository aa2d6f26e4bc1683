package proc

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// MaxLine is the longest line passed on whole, in bytes; longer ones arrive
// in pieces, none of which splits a UTF-8 character.
const MaxLine = 1 << 20

// Lines is a writer that tells a function each line written to it. A line
// ends at LF, CRLF, or a lone CR, which progress displays write to overwrite
// themselves; what a lone CR ends is a line only if it is not empty. Invalid
// UTF-8 becomes U+FFFD. It is not safe for concurrent use.
type Lines struct {
	tell    func(line string)
	buf     []byte
	afterCR bool // a LF now belongs to the line just told
}

// NewLines returns a writer whose lines tell gets.
func NewLines(tell func(line string)) *Lines { return &Lines{tell: tell} }

// Write implements io.Writer; it keeps p's last, unfinished line.
func (l *Lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			l.extend(p)
			break
		}
		if i > 0 {
			l.extend(p[:i])
		}
		switch {
		case p[i] == '\n' && l.afterCR:
			l.afterCR = false
		case p[i] == '\n':
			l.end()
		case len(l.buf) > 0:
			l.end()
			l.afterCR = true
		}
		p = p[i+1:]
	}
	return n, nil
}

// Flush tells a last line that has no ending.
func (l *Lines) Flush() {
	if len(l.buf) > 0 {
		l.end()
	}
}

func (l *Lines) extend(p []byte) {
	l.afterCR = false
	for len(l.buf)+len(p) > MaxLine {
		room := MaxLine - len(l.buf)
		l.buf = append(l.buf, p[:room]...)
		p = p[room:]
		cut := wholeRunes(l.buf)
		rest := bytes.Clone(l.buf[cut:])
		l.buf = l.buf[:cut]
		l.end()
		l.buf = append(l.buf, rest...)
	}
	l.buf = append(l.buf, p...)
}

func (l *Lines) end() {
	l.tell(strings.ToValidUTF8(string(l.buf), "\uFFFD"))
	l.buf = l.buf[:0]
	if cap(l.buf) > MaxLine/8 {
		l.buf = nil // one huge line must not hold its memory for the whole run
	}
}

// wholeRunes is len(b) without a character that has only begun at its end.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}
