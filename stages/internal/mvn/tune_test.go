package mvn

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestTuneLeavesTheUsersChoices(t *testing.T) {
	both := []string{flagCompiler, flagCollector}
	for name, c := range map[string]struct {
		env, args       []string
		config, pom     string
		maven, children []string
	}{
		"nothing chosen":               {children: both},
		"a heap is no choice":          {env: []string{"MAVEN_OPTS=-Xmx1g"}, children: both},
		"MAVEN_OPTS":                   {env: []string{"MAVEN_OPTS=-Xmx1g -XX:+UseParallelGC"}, children: both[:1]},
		"a collector switched off":     {env: []string{"JAVA_TOOL_OPTIONS=-XX:-UseG1GC"}, children: both[:1]},
		"JDK_JAVA_OPTIONS":             {env: []string{"JDK_JAVA_OPTIONS=-Xint"}, children: both[1:]},
		"_JAVA_OPTIONS":                {env: []string{"_JAVA_OPTIONS=-XX:TieredStopAtLevel=4 -XX:+UseZGC"}},
		"jvm.config":                   {config: "-Xmx1g\n-XX:+UseShenandoahGC\n", children: both[:1]},
		"an argument file":             {config: "@options\n"},
		"a flags file":                 {env: []string{"MAVEN_OPTS=-XX:VMOptionsFile=x"}},
		"argLine":                      {pom: "<argLine>@{argLine} -XX:+UseG1GC</argLine>", maven: both[1:], children: both[:1]},
		"argLine without a collector":  {pom: "<argLine>@{argLine} -Xmx1g</argLine>", children: both},
		"the command line":             {args: []string{"-DargLine=-Xint -XX:+UseG1GC"}, maven: both},
		"the compiler, written apart":  {pom: "<argLine>-XX:-TieredCompilation</argLine>", maven: both[:1], children: both[1:]},
		"an unknown flag of that name": {pom: "<argLine>-XX:+UseStringDeduplication</argLine>", children: both},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "pom.xml"), "<project><properties>"+c.pom+"</properties></project>", 0o644)
			if c.config != "" {
				write(t, filepath.Join(dir, ".mvn", "jvm.config"), c.config, 0o644)
			}
			tree, err := ReadTree(dir)
			if err != nil {
				t.Fatal(err)
			}
			got := Tune(Host{Environ: c.env}, dir, tree, c.args)
			if !slices.Equal(got.Maven, c.maven) || !slices.Equal(got.Children, c.children) {
				t.Errorf("Maven %q, children %q; want %q and %q", got.Maven, got.Children, c.maven, c.children)
			}
			if chosen := len(c.children) < 2; chosen != (len(got.Kept) > 0) {
				t.Errorf("names %q as the user's", got.Kept)
			}
		})
	}
}

func TestTuningPutsTheUsersFlagsLast(t *testing.T) {
	h := Host{Environ: []string{"MAVEN_OPTS=-Xmx1g", "JAVA_TOOL_OPTIONS=-Da=b"}}
	got := Tuning{Maven: []string{"-M"}, Children: []string{"-C", "-D"}}.Env(h)
	if want := []string{"MAVEN_OPTS=-M -Xmx1g", "JAVA_TOOL_OPTIONS=-C -D -Da=b"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (Tuning{}).Env(h); len(got) != 0 {
		t.Errorf("nothing tuned sets %q", got)
	}
}

func TestQuiet(t *testing.T) {
	tuned := Tuning{Children: []string{"-C"}}
	users := Host{Environ: []string{"JAVA_TOOL_OPTIONS=-Da=b"}}
	for _, c := range []struct {
		h          Host
		line, want string
		keep       bool
	}{
		{Host{}, "Picked up JAVA_TOOL_OPTIONS: -C", "", false},
		{Host{}, "[ERROR] Picked up JAVA_TOOL_OPTIONS: -C", "", false},
		{Host{}, "[INFO] [stderr] Picked up JAVA_TOOL_OPTIONS: -C", "", false},
		{Host{}, "Picked up JAVA_TOOL_OPTIONS: -Xother", "Picked up JAVA_TOOL_OPTIONS: -Xother", true},
		{Host{}, "Picked up _JAVA_OPTIONS: -C", "Picked up _JAVA_OPTIONS: -C", true},
		{users, "[ERROR] Picked up JAVA_TOOL_OPTIONS: -C -Da=b", "[ERROR] Picked up JAVA_TOOL_OPTIONS: -Da=b", true},
		{Host{}, "[INFO] BUILD SUCCESS", "[INFO] BUILD SUCCESS", true},
		{Host{}, "", "", true},
	} {
		got, keep := tuned.Quiet(c.h, c.line)
		if keep != c.keep || keep && got != c.want {
			t.Errorf("%q: %q, %v", c.line, got, keep)
		}
	}
	if _, keep := (Tuning{}).Quiet(Host{}, "Picked up JAVA_TOOL_OPTIONS: "); !keep {
		t.Error("a line is lost where nothing is tuned")
	}
}

func TestRefused(t *testing.T) {
	for line, want := range map[string]bool{
		"Error occurred during initialization of VM":                              true,
		"Multiple garbage collectors selected":                                    true,
		"[ERROR] Conflicting collector combinations in option list; please refer": true,
		"Unrecognized VM option 'UseSerialGC'":                                    true,
		"Error: Could not create the Java Virtual Machine.":                       true,
		"[ERROR] Failures: ":                                                      false,
		"a log that says Unrecognized VM option":                                  false,
		"":                                                                        false,
	} {
		if Refused(line) != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
}
