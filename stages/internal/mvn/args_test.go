package mvn

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestArgsFindProperties(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, ".mvn", "maven.config"), "-Dconfigured=yes\n# -Dcommented=yes\n-T 4 -Dboth=config\n", 0o644)
	write(t, filepath.Join(root, ".mvn", "jvm.config"), "-Xmx1g -Djvm=yes -Dboth=jvm\n", 0o644)
	h := Host{Environ: []string{"MAVEN_ARGS=-Dargs=yes", "MAVEN_OPTS=-Dopts=yes -Djvm=opts"}}
	a := ReadArgs(h, root, []string{"-DskipTests", "-D", "apart=yes", "--define", "long=yes", "--define=longer=yes", "-DskipITs=false", "-Dargs=line"})
	for name, want := range map[string]string{
		"configured": "yes", "both": "config", "jvm": "opts", "opts": "yes", "args": "line",
		"apart": "yes", "long": "yes", "longer": "yes", "skipTests": "true",
	} {
		if got, ok := a.Property(name); !ok || got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, ok := a.Property("commented"); ok {
		t.Error("a comment was taken for an argument")
	}
	if !a.Flag("skipTests") || a.Flag("skipITs") || a.Flag("maven.test.skip") {
		t.Error("flags are misread")
	}
	if v, ok := a.Option("-T", "--threads"); !ok || v != "4" {
		t.Errorf("-T: %q", v)
	}
	for _, args := range [][]string{{"-P", "a,b"}, {"-Pa,b"}, {"--activate-profiles", "a,b"}, {"--activate-profiles=a,b"}} {
		if v, ok := ReadArgs(Host{}, "/", args).Option("-P", "--activate-profiles"); !ok || v != "a,b" {
			t.Errorf("%q: %q", args, v)
		}
	}
	if a.Digest() == ReadArgs(h, root, nil).Digest() {
		t.Error("the digest does not see the command line")
	}
}

// TestTheFirstOptionWins is how Maven 3.8, 3.9 and 4 were seen to choose among
// several -s; properties go the other way.
func TestTheFirstOptionWins(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, ".mvn", "maven.config"), "-s\nconfig.xml\n-Pconfig\n-Dp=config", 0o644)
	line := []string{"-s", "one.xml", "--settings=two.xml", "-P", "a,b", "-Pc", "-Dp=1", "-Dp=2"}
	for name, c := range map[string]struct {
		environ []string
		line    []string
		want    string
		given   bool
		p       string
	}{
		"command line": {nil, line, "one.xml", true, "2"},
		"MAVEN_ARGS":   {[]string{"MAVEN_ARGS=-s args.xml -Dp=0"}, line, "args.xml", true, "2"},
		"maven.config": {nil, nil, "config.xml", false, "config"},
	} {
		a := ReadArgs(Host{Environ: c.environ}, root, c.line)
		got, _ := a.Option("-s", "--settings")
		_, given := a.Given("-s", "--settings")
		if p, _ := a.Property("p"); got != c.want || given != c.given || p != c.p {
			t.Errorf("%s: -s %s, given %v, p=%s", name, got, given, p)
		}
	}
	for want, args := range map[string][]string{"": {"-show-version", "-e"}, "a.xml": {"-sa.xml"}, "b.xml": {"-show-version", "-settings", "b.xml"}} {
		if got, _ := ReadArgs(Host{}, "/", args).Option("-s", "--settings"); got != want {
			t.Errorf("%q: %q", args, got)
		}
	}
	if got := ReadArgs(Host{}, root, line).Options("-P", "--activate-profiles"); !slices.Equal(got, []string{"a,b", "c", "config"}) {
		t.Errorf("profiles %q", got)
	}
}

func TestExtensionsAreFoundWhereverTheyAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		line, config string
		environ      []string
	}{
		"command line": {line: "-Dmaven.ext.class.path=/a.jar"},
		"maven.config": {config: "-Dmaven.ext.class.path=/a.jar"},
		"MAVEN_OPTS":   {environ: []string{"MAVEN_OPTS=-Xmx1g -Dmaven.ext.class.path=/a.jar"}},
		"MAVEN_ARGS":   {environ: []string{"MAVEN_ARGS=-Dmaven.ext.class.path=/a.jar"}},
	} {
		root := t.TempDir()
		write(t, filepath.Join(root, ".mvn", "maven.config"), c.config, 0o644)
		if got := ReadArgs(Host{Environ: c.environ}, root, []string{c.line}).Extensions(); got != "/a.jar" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
