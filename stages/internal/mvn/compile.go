package mvn

import (
	"bufio"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/fastship/fastship/runner"
)

// Compilation finds compile errors and warnings in Maven's output, line by
// line: javac's as the compiler plugin prints them, and the Kotlin, Scala and
// Groovy plugins' own. Each is told once, though Maven prints errors twice.
type Compilation struct {
	dir     string // what the files in diagnostics are relative to
	tell    func(runner.Diagnostic)
	pending *runner.Diagnostic // waits for the lines that belong to it
	path    string             // of the pending one's file, absolute
	seen    map[string]bool
}

// NewCompilation returns a finder that tells what it finds.
func NewCompilation(dir string, tell func(runner.Diagnostic)) *Compilation {
	return &Compilation{dir: dir, tell: tell, seen: map[string]bool{}}
}

var (
	ansi = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
	head = regexp.MustCompile(`^\[(ERROR|WARNING|Error|Warn)\]\s+(.*)$`)
	// /x/Foo.java:[12,34] message (maven-compiler-plugin)
	javacForm = regexp.MustCompile(`^(?:file:(?://)?)?(/.+?\.(?:java|groovy)):\[(\d+)(?:,(-?\d+))?\] (.*)$`)
	// file:///x/Foo.kt:12:34 message, /x/Foo.scala:12: error: message
	colonForm = regexp.MustCompile(`^(?:file:(?://)?)?(/.+?\.(?:kts?|scala)):(\d+)(?::(\d+))?:? (?:error: )?(.*)$`)
	// /x/Foo.kt: (12, 34) message (Kotlin before 2)
	parenForm = regexp.MustCompile(`^(?:file:(?://)?)?(/.+?\.kts?): \((\d+), (\d+)\) (.*)$`)
	// file:/x/Foo.groovy: 12: message (gmavenplus)
	groovyForm = regexp.MustCompile(`^(?:file:(?://)?)?(/.+?\.groovy): (\d+)(): (.*)$`)
)

// StripColour removes the ANSI sequences of a line that Maven coloured.
func StripColour(line string) string {
	if !strings.Contains(line, "\x1b") {
		return line
	}
	return ansi.ReplaceAllString(line, "")
}

// Line reads one line of Maven's output, without colour.
func (c *Compilation) Line(line string) {
	h := head.FindStringSubmatch(line)
	if h == nil {
		// javac indents what it adds: "  symbol:   variable total".
		if c.pending != nil && strings.HasPrefix(line, " ") && strings.TrimSpace(line) != "" {
			c.pending.Message += "\n" + strings.TrimRight(line, " ")
		} else {
			c.Flush()
		}
		return
	}
	c.Flush()
	for _, form := range []*regexp.Regexp{javacForm, colonForm, parenForm, groovyForm} {
		if m := form.FindStringSubmatch(h[2]); m != nil {
			c.begin(h[1], m)
			return
		}
	}
}

func (c *Compilation) begin(level string, m []string) {
	path := m[1]
	if p, err := url.PathUnescape(path); err == nil && strings.Contains(m[0], "file:") {
		path = p
	}
	d := runner.Diagnostic{Severity: "error", File: path, Message: strings.TrimSpace(m[4])}
	if level[0] == 'W' {
		d.Severity = "warning"
	}
	d.Line, _ = strconv.Atoi(m[2]) // digits, by the expression
	if column, err := strconv.Atoi(m[3]); err == nil && column > 0 {
		d.Column = column
	}
	key := strings.Join(m[1:], "\x00")
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	c.path, c.pending = path, &d
}

// Flush tells the diagnostic that may still wait for more lines.
func (c *Compilation) Flush() {
	if c.pending == nil {
		return
	}
	d := *c.pending
	c.pending = nil
	d.Source = sourceLine(c.path, d.Line)
	d.File = Relative(c.dir, c.path)
	c.tell(d)
}

// Relative is path relative to dir where it lies below it, else as it is.
func Relative(dir, path string) string {
	for _, base := range []string{dir, realPath(dir)} {
		if rel, err := filepath.Rel(base, path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return path
}

func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// maxSource bounds the excerpt of a source line, in bytes: generated code has
// lines of megabytes.
const maxSource = 400

func sourceLine(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for ; n > 0; n-- {
		if !lines.Scan() {
			return ""
		}
	}
	text := strings.TrimRight(lines.Text(), "\r")
	return strings.ToValidUTF8(text[:min(len(text), maxSource)], "\uFFFD")
}
