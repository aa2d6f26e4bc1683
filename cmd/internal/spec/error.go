package spec

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Error is a fault in fastship.yaml and its place. Its text is one line,
// "fastship.yaml:3:5: …", and below it the line with a caret.
type Error struct {
	File    string
	Line    int // from 1
	Column  int // from 1, in characters
	Message string
	Excerpt string // the line before, the line, the caret
	hint    string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s\n%s", e.File, e.Line, e.Column, e.Message, e.Excerpt)
}

// fail makes the error of a node; hint is its remedy or empty.
func (d *decoder) fail(n ast.Node, hint, format string, args ...any) *Error {
	line, column := 1, 1
	if t := n.GetToken(); t != nil && t.Position != nil {
		line, column = t.Position.Line, t.Position.Column
	}
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 { // its token is its first colon
		return d.fail(m.Values[0].Key, hint, format, args...)
	}
	return d.failAt(line, column, hint, format, args...)
}

func (d *decoder) failAt(line, column int, hint, format string, args ...any) *Error {
	lines := strings.Split(string(d.text), "\n")
	line = min(max(line, 1), len(lines))
	text := lines[line-1]
	column = min(max(column, 1), utf8.RuneCountInString(text)+1)
	return &Error{
		File: d.name, Line: line, Column: column, hint: hint,
		Message: fmt.Sprintf(format, args...),
		Excerpt: excerpt(lines, line, column),
	}
}

// widest is the longest line that an excerpt shows, in characters.
const widest = 160

func excerpt(lines []string, line, column int) string {
	width := len(fmt.Sprint(line))
	var b strings.Builder
	if line > 1 && strings.TrimSpace(lines[line-2]) != "" {
		fmt.Fprintf(&b, "  %*d | %s\n", width, line-1, cut(lines[line-2]))
	}
	text := lines[line-1]
	fmt.Fprintf(&b, "> %*d | %s", width, line, cut(text))
	if column > widest {
		return b.String()
	}
	// Tabs stay tabs, so that the caret stands where the screen has the fault.
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string([]rune(text)[:column-1]))
	fmt.Fprintf(&b, "\n  %*s   %s^", width, "", pad)
	return b.String()
}

func cut(line string) string {
	if r := []rune(line); len(r) > widest {
		return string(r[:widest]) + "…"
	}
	return line
}

// maxDepth is how deep brackets may nest; a fastship.yaml needs three.
const maxDepth = 64

// readable refuses what must not reach the parser.
func (d *decoder) readable() error {
	if len(d.text) > maxFile {
		return d.failAt(1, 1, "", "the file has %d bytes; %d are the most", len(d.text), maxFile)
	}
	line, column, depth := 1, 0, 0
	for text := d.text; len(text) > 0; {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		column++
		switch {
		case r == utf8.RuneError && size == 1:
			return d.failAt(line, column, "save the file as UTF-8", "not UTF-8 text")
		case r == '\n':
			line, column = line+1, 0
		case r < ' ' && r != '\t', r == 0x7f:
			return d.failAt(line, column, "take the character out", "control character %U", r)
		case r == '[', r == '{':
			depth++
		case r == ']', r == '}':
			depth = max(0, depth-1)
		}
		if depth > maxDepth {
			return d.failAt(line, column, "", "nested too deeply")
		}
	}
	return nil
}

// syntaxError gives the parser's error the form of ours, and the remedy of
// the two mistakes that its own words do not name.
func (d *decoder) syntaxError(err error) error {
	message, line, column := err.Error(), 1, 1
	if e, ok := errors.AsType[yaml.Error](err); ok {
		message = e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			line, column = t.Position.Line, t.Position.Column
		}
	}
	message, _, _ = strings.Cut(message, "\n")
	at := lineOf(d.text, line)
	if indent := at[:len(at)-len(bytes.TrimLeft(at, " \t"))]; bytes.ContainsRune(indent, '\t') {
		return d.tab(line, bytes.IndexByte(at, '\t')+1)
	}
	hint := ""
	if strings.Contains(message, "mapping value is not allowed") { // the parser's place is the value before
		hint = `give the keys of one section the same indentation, and put a value with ": " in it in quotes`
	}
	if bytes.Contains(at, []byte("${")) {
		hint = `put values with ${…} in quotes where they stand in [ ] or { }: ["${VAR}"]`
	}
	return d.failAt(line, column, hint, "not YAML: %s", message)
}

func (d *decoder) tab(line, column int) *Error {
	return d.failAt(line, column, "indent with spaces", "a tab in the indentation, which YAML does not allow")
}

func lineOf(text []byte, line int) []byte {
	lines := bytes.Split(text, []byte("\n"))
	return lines[min(max(line, 1), len(lines))-1]
}
