package console

import (
	"regexp"
	"strings"
)

// escapes are the control sequences of ECMA-48: CSI with its parameters, the
// strings (OSC, DCS, SOS, PM, APC) up to their terminator, and the two-byte
// escapes; each also in its 8-bit form. What is cut off by the end of the
// text is taken whole.
var escapes = regexp.MustCompile(`(?:\x1b\[|\x{9b})[0-?]*[ -/]*(?:[@-~]|$)` +
	`|(?:\x1b[\]PX^_]|[\x{9d}\x{90}\x{98}\x{9e}\x{9f}])[^\x07\x1b\x{9c}]*(?:\x07|\x1b\\|\x{9c}|$)?` +
	`|\x1b[ -/]*[0-~]?`)

// colour is the only control sequence that a child process may send to the
// user's terminal: SGR, which changes how the text after it looks.
var colour = regexp.MustCompile(`^\x1b\[[0-9;:]*m$`)

const colourOff = "\x1b[0m"

// lines makes a text fit for the screen: secrets masked, nothing in it that
// could move the cursor or clear the screen, cut into lines. It returns at
// least one line.
func (c *Console) lines(text string) []string {
	text = c.opt.Redact(text)
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(text, "\uFFFD"))
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = c.line(line)
	}
	return lines
}

// line takes the control characters out of one line. Colours stay on a
// terminal. What comes to light once they are gone is masked again: a colour
// in the middle of a secret must not carry it past the redactor.
func (c *Console) line(s string) string {
	bare := printable(escapes.ReplaceAllString(s, ""))
	if bare == s {
		return s
	}
	masked := c.opt.Redact(bare)
	if masked != bare || !c.opt.TTY {
		return masked
	}
	return coloured(s)
}

// coloured keeps the colours of s and switches them off at its end.
func coloured(s string) string {
	var b strings.Builder
	end, kept := 0, false
	for _, at := range escapes.FindAllStringIndex(s, -1) {
		b.WriteString(printable(s[end:at[0]]))
		if seq := s[at[0]:at[1]]; colour.MatchString(seq) {
			b.WriteString(seq)
			kept = true
		}
		end = at[1]
	}
	b.WriteString(printable(s[end:]))
	if kept {
		b.WriteString(colourOff)
	}
	return b.String()
}

// printable drops control characters; a tab stays.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r >= 0x20 && r < 0x7f || r > 0x9f {
			return r
		}
		return -1
	}, s)
}

// maskValue masks a text that goes into JSON, where control characters are
// harmless and stay, unless they hide a secret.
func (c *Console) maskValue(s string) string {
	s = c.opt.Redact(s)
	if bare := printable(escapes.ReplaceAllString(s, "")); bare != s {
		if masked := c.opt.Redact(bare); masked != bare {
			return masked
		}
	}
	return s
}
