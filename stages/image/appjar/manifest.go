package appjar

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// manifest is a META-INF/MANIFEST.MF by the JAR File Specification: its main
// attributes in order, and the sections after them as they are.
type manifest struct {
	main     []attribute
	sections []byte // after the empty line that ends the main section
}

type attribute struct{ name, value string }

// parseManifest reads what java.util.jar.Manifest reads: any line ending,
// values continued by a leading space, names in any case.
func parseManifest(b []byte) (manifest, error) {
	var m manifest
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	for number := 1; len(b) > 0; number++ {
		var line []byte
		line, b = cutLine(b)
		switch {
		case len(line) == 0:
			m.sections = b
			return m, nil
		case line[0] == ' ':
			if len(m.main) == 0 {
				return m, fmt.Errorf("line %d continues nothing", number)
			}
			m.main[len(m.main)-1].value += string(line[1:])
		default:
			name, value, ok := strings.Cut(string(line), ":")
			if !ok || !isName(name) {
				return m, fmt.Errorf("line %d is not of the form “Name: value”", number)
			}
			m.main = append(m.main, attribute{name, strings.TrimPrefix(value, " ")})
		}
	}
	return m, nil
}

func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexAny(b, "\r\n")
	if i < 0 {
		return b, nil
	}
	if b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
		return b[:i], b[i+2:]
	}
	return b[:i], b[i+1:]
}

// isName holds the specification's rule: alphanum *headerchar.
func isName(s string) bool {
	if s == "" || len(s) > 70 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '-' && c != '_') {
			return false
		}
	}
	return true
}

// get returns a main attribute, or the empty string. Of two with one name the
// last counts, as in Java.
func (m manifest) get(name string) string {
	for i := len(m.main) - 1; i >= 0; i-- {
		if strings.EqualFold(m.main[i].name, name) {
			return strings.TrimSpace(m.main[i].value)
		}
	}
	return ""
}

// with returns m without the main attributes of that name, and with a new one
// at the end unless value is empty.
func (m manifest) with(name, value string) manifest {
	out := manifest{sections: m.sections, main: make([]attribute, 0, len(m.main)+1)}
	for _, a := range m.main {
		if !strings.EqualFold(a.name, name) {
			out.main = append(out.main, a)
		}
	}
	if value != "" {
		out.main = append(out.main, attribute{name, value})
	}
	return out
}

// starting returns m, and its bytes, with another class to start. Spring Boot's
// Main-Class is its launcher, which stays.
func (m manifest) starting(main string) (manifest, []byte, error) {
	name := "Main-Class"
	if m.get("Start-Class") != "" {
		name = "Start-Class"
	}
	m = m.with(name, main)
	b, err := m.bytes()
	return m, b, err
}

// maxLine is the specification's limit in bytes, without the line ending.
const maxLine = 72

// bytes writes the manifest in its usual form: CRLF, Manifest-Version first.
func (m manifest) bytes() ([]byte, error) {
	version := m.get("Manifest-Version")
	if version == "" {
		version = "1.0" // Java ignores every attribute of a manifest without it
	}
	var b bytes.Buffer
	writeAttribute(&b, attribute{"Manifest-Version", version})
	for _, a := range m.with("Manifest-Version", "").main {
		if strings.ContainsAny(a.value, "\r\n\x00") {
			return nil, errors.New("a line break in the value of " + a.name)
		}
		writeAttribute(&b, a)
	}
	b.WriteString("\r\n")
	b.Write(m.sections)
	return b.Bytes(), nil
}

func writeAttribute(b *bytes.Buffer, a attribute) {
	line := a.name + ": " + a.value
	for room := maxLine; len(line) > room; room = maxLine - 1 {
		n := room
		for n > 1 && !utf8.RuneStart(line[n]) {
			n--
		}
		b.WriteString(line[:n])
		b.WriteString("\r\n ")
		line = line[n:]
	}
	b.WriteString(line)
	b.WriteString("\r\n")
}
