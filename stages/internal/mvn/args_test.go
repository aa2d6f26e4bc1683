package mvn

import (
	"path/filepath"
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
