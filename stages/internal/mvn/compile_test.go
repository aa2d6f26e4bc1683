package mvn

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fastship/fastship/runner"
)

func diagnostics(dir, output string) []runner.Diagnostic {
	var all []runner.Diagnostic
	c := NewCompilation(dir, func(d runner.Diagnostic) { all = append(all, d) })
	for line := range strings.Lines(output) {
		c.Line(strings.TrimSuffix(line, "\n"))
	}
	c.Flush()
	return all
}

func TestCompilationFindsErrors(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "src/main/java/x/Main.java")
	write(t, source, "package x;\npublic class Main {\n\tint n = total;\r\n}\n", 0o644)
	for name, c := range map[string]struct {
		output string
		want   []runner.Diagnostic
	}{
		// maven-compiler-plugin 3.16 on JDK 17; Maven prints an error twice.
		"javac": {
			`[INFO] Compiling 1 source file with javac [debug release 17] to target/classes
[INFO] -------------------------------------------------------------
[ERROR] COMPILATION ERROR : 
[INFO] -------------------------------------------------------------
[ERROR] ` + source + `:[3,17] cannot find symbol
  symbol:   variable total
  location: class x.Main
[INFO] 1 error
[INFO] -------------------------------------------------------------
[ERROR] Failed to execute goal org.apache.maven.plugins:maven-compiler-plugin:3.16.0:compile (default-compile) on project x: Compilation failure
[ERROR] ` + source + `:[3,17] cannot find symbol
[ERROR]   symbol:   variable total
[ERROR]   location: class x.Main
`,
			[]runner.Diagnostic{{Severity: "error", File: "src/main/java/x/Main.java", Line: 3, Column: 17, Message: "cannot find symbol\n  symbol:   variable total\n  location: class x.Main", Source: "\tint n = total;"}},
		},
		"warning, no column": {
			"[WARNING] " + source + ":[2,-1] [deprecation] stop() in Thread has been deprecated\n[WARNING] " + source + ":[2] unchecked\n",
			[]runner.Diagnostic{
				{Severity: "warning", File: "src/main/java/x/Main.java", Line: 2, Message: "[deprecation] stop() in Thread has been deprecated", Source: "public class Main {"},
				{Severity: "warning", File: "src/main/java/x/Main.java", Line: 2, Message: "unchecked", Source: "public class Main {"},
			},
		},
		"Kotlin 2": {
			"[ERROR] file:///elsewhere/a%20b/App.kt:12:34 Unresolved reference 'total'.\n",
			[]runner.Diagnostic{{Severity: "error", File: "/elsewhere/a b/App.kt", Line: 12, Column: 34, Message: "Unresolved reference 'total'."}},
		},
		"Kotlin 1": {
			"[ERROR] /elsewhere/App.kt: (12, 34) Unresolved reference: total\n",
			[]runner.Diagnostic{{Severity: "error", File: "/elsewhere/App.kt", Line: 12, Column: 34, Message: "Unresolved reference: total"}},
		},
		"Scala": {
			"[ERROR] /elsewhere/App.scala:12: error: not found: value total\n",
			[]runner.Diagnostic{{Severity: "error", File: "/elsewhere/App.scala", Line: 12, Message: "not found: value total"}},
		},
		"Groovy": {
			"[ERROR] file:/elsewhere/App.groovy: 12: unexpected token: } @ line 12, column 5.\n",
			[]runner.Diagnostic{{Severity: "error", File: "/elsewhere/App.groovy", Line: 12, Message: "unexpected token: } @ line 12, column 5."}},
		},
		"none": {output: "[ERROR] Failed to execute goal\n[ERROR] /a/b.xml:[1,2] no\nsrc/Main.java:[3,1] no\n[INFO] /a/B.java:[1,2] no\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := diagnostics(dir, c.output); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestStripColour(t *testing.T) {
	if got := StripColour("\x1b[0m[\x1b[1;31mERROR\x1b[m] x"); got != "[ERROR] x" {
		t.Errorf("%q", got)
	}
}

func FuzzCompilation(f *testing.F) {
	f.Add("[ERROR] /x/Foo.java:[12,34] cannot find symbol\n  symbol: x\n")
	f.Add("[WARNING] file:///x/Foo.kt:99999999999999999999:3 m\n[ERROR] /x/F.kt: (1, 2) m")
	f.Add("[ERROR] file:/%zz/App.groovy: 12: \xff")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, output string) {
		for _, d := range diagnostics(dir, output) {
			if d.File == "" || d.Line < 0 || d.Column < 0 || (d.Severity != "error" && d.Severity != "warning") {
				t.Fatalf("%+v", d)
			}
		}
	})
}
