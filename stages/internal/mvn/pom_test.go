package mvn

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

func TestParsePomTellsWhereItIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"yaml":         {"project:\n  groupId: x\n", "p/pom.xml:1:1: not a pom: text before the first element; it is not XML"},
		"empty":        {"", "p/pom.xml:1:1: not a pom: it has no <project> element"},
		"settings":     {"<?xml version=\"1.0\"?>\n<settings></settings>", "p/pom.xml:2:11: not a pom: its root element is <settings>, not <project>"},
		"unclosed":     {"<project>\n  <groupId>x</groupId>\n  <artifactId>y\n</project>", "p/pom.xml:4:11: not a pom: element <artifactId> closed by </project>"},
		"cut off":      {"<project>\n  <groupId>x</groupId>\n", "p/pom.xml:3:1: not a pom: unexpected EOF"},
		"two roots":    {"<project></project>\n<project></project>", "p/pom.xml:2:10: not a pom: <project> after the end of <project>"},
		"text at last": {"<project></project>\n}", "p/pom.xml:2:1: not a pom: text after the end of <project>"},
		"ampersand":    {"<project>\n<name>a & b</name></project>", "p/pom.xml:2:10: not a pom: invalid character entity & (no semicolon)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePom("p/pom.xml", []byte(c.text))
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestParsePomReadsWhatMavenReads(t *testing.T) {
	for name, text := range map[string]string{
		"byte order mark": "\ufeff<project><artifactId>x</artifactId></project>",
		"namespace":       `<project xmlns="http://maven.apache.org/POM/4.0.0"><artifactId>x</artifactId></project>`,
		"latin-1":         "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><project><artifactId>x</artifactId><name>caf\xe9</name></project>",
		"HTML entities":   "<project><artifactId>x</artifactId><developers><developer><name>S&oslash;ren</name></developer></developers></project>",
		"comments":        "<!-- a --><project><!-- b --><artifactId>x</artifactId></project><!-- c -->\n",
	} {
		p, err := ParsePom("pom.xml", []byte(text))
		if err != nil || p.Artifact != "x" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if _, err := ParsePom("pom.xml", []byte(`<?xml version="1.0" encoding="EBCDIC-CP-US"?><project/>`)); err != nil {
		t.Errorf("an encoding that only Maven knows: %v", err)
	}
}

// project writes poms: the folder and what stands inside <project>, in turns.
func project(t *testing.T, dirsAndPoms ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(dirsAndPoms); i += 2 {
		write(t, filepath.Join(dir, dirsAndPoms[i], "pom.xml"), "<project>"+dirsAndPoms[i+1]+"</project>", 0o644)
	}
	return dir
}

func TestReadTree(t *testing.T) {
	dir := project(t,
		".", "<groupId>g</groupId><artifactId>root</artifactId><packaging>pom</packaging><modules><module>api</module><module>libs</module></modules>"+
			"<profiles><profile><id>it</id><modules><module>it</module><module>gone</module></modules></profile></profiles>",
		"api", "<parent><groupId>g</groupId><artifactId>root</artifactId></parent><artifactId>api</artifactId>",
		"libs", "<parent><groupId>g</groupId><artifactId>root</artifactId></parent><artifactId>libs</artifactId><packaging>pom</packaging><modules><module>core</module></modules>",
		"libs/core", "<parent><groupId>g</groupId><artifactId>libs</artifactId></parent><artifactId>core-lib</artifactId>",
		"it", "<parent><groupId>other</groupId><artifactId>elsewhere</artifactId></parent><artifactId>it</artifactId>")
	tree, err := ReadTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range tree.Modules {
		got = append(got, m.Dir)
	}
	if want := []string{".", "api", "libs", "libs/core", "it"}; !slices.Equal(got, want) {
		t.Errorf("modules %v, want %v", got, want)
	}
	if core := tree.Modules[3]; len(core.Chain) != 3 || core.Remote != nil {
		t.Errorf("core's parents: %d, %+v", len(core.Chain), core.Remote)
	}
	if it := tree.Modules[4]; it.Remote == nil || len(it.Chain) != 1 {
		t.Errorf("it's parent is not the pom above it: %+v", it)
	}
	for _, name := range []string{"core-lib", "libs/core", "./libs/core/", "libs/core/pom.xml", "g:core-lib", ":core-lib"} {
		if m, err := tree.FindModule(name); err != nil || m.Dir != "libs/core" {
			t.Errorf("module %q: %v, %v", name, m, err)
		}
	}
	_, err = tree.FindModule("cores")
	if fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), "api (api), libs/core (core-lib), it (it)") {
		t.Errorf("unknown module: %v", err)
	}
	before := tree.Digest
	write(t, filepath.Join(dir, "libs/core/pom.xml"), "<project><artifactId>core-lib</artifactId></project>", 0o644)
	if tree, err = ReadTree(dir); err != nil || tree.Digest == before {
		t.Errorf("the digest does not see a changed module: %v", err)
	}
}

func TestReadTreeNamesTheFileAtFault(t *testing.T) {
	dir := project(t, ".", "<artifactId>root</artifactId><modules><module>gone</module></modules>")
	_, err := ReadTree(dir)
	if fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), filepath.Join(dir, "gone", "pom.xml")) {
		t.Errorf("absent module: %v", err)
	}
	dir = project(t, ".", "<artifactId>root</artifactId><modules><module>a</module></modules>", "a", "<artifactId>")
	_, err = ReadTree(dir)
	if fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), filepath.Join(dir, "a", "pom.xml")+":1:") {
		t.Errorf("broken module: %v", err)
	}
	dir = project(t, ".", "<artifactId>root</artifactId><modules><module>.</module><module>a</module></modules>", "a", "<artifactId>a</artifactId><modules><module>..</module></modules>")
	if tree, err := ReadTree(dir); err != nil || len(tree.Modules) != 2 {
		t.Errorf("modules in a circle: %v", err)
	}
}

func TestReleases(t *testing.T) {
	spring := "<parent><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-parent</artifactId><relativePath/></parent>"
	compiler := func(settings string) string {
		return "<build><plugins><plugin><artifactId>maven-compiler-plugin</artifactId><configuration>" + settings + "</configuration></plugin></plugins></build>"
	}
	properties := func(s string) string { return "<properties>" + s + "</properties>" }
	for name, c := range map[string]struct {
		poms     []string
		args     []string
		profiles []string
		want     []int
	}{
		"release":                 {poms: []string{".", properties("<maven.compiler.release>21</maven.compiler.release>")}, want: []int{21}},
		"source and target":       {poms: []string{".", properties("<maven.compiler.source>1.8</maven.compiler.source><maven.compiler.target>11</maven.compiler.target>")}, want: []int{11}},
		"by another property":     {poms: []string{".", properties("<v>21</v><maven.compiler.release>${v}</maven.compiler.release>")}, want: []int{21}},
		"toolchain":               {poms: []string{".", properties("<maven.compiler.release>21</maven.compiler.release>") + "<build><plugins><plugin><artifactId>maven-toolchains-plugin</artifactId></plugin></plugins></build>"}},
		"in itself for ever":      {poms: []string{".", properties("<maven.compiler.release>${maven.compiler.release}</maven.compiler.release>")}},
		"Spring Boot":             {poms: []string{".", spring + properties("<java.version>21</java.version>")}, want: []int{21}},
		"java.version of no kind": {poms: []string{".", properties("<java.version>21</java.version>")}},
		"plugin":                  {poms: []string{".", properties("<maven.compiler.release>17</maven.compiler.release>") + compiler("<release>21</release>")}, want: []int{21}},
		"plugin by property":      {poms: []string{".", properties("<java.version>21</java.version>") + compiler("<source>${java.version}</source>")}, want: []int{21}},
		"command line":            {poms: []string{".", properties("<maven.compiler.release>17</maven.compiler.release>")}, args: []string{"-Dmaven.compiler.release=25"}, want: []int{25}},
		"profile": {poms: []string{".", properties("<maven.compiler.release>17</maven.compiler.release>") +
			"<profiles><profile><id>new</id>" + properties("<maven.compiler.release>25</maven.compiler.release>") + "</profile></profiles>"}, profiles: []string{"new"}, want: []int{25}},
		"profile by default": {poms: []string{".", "<profiles><profile><id>new</id><activation><activeByDefault>true</activeByDefault></activation>" +
			properties("<maven.compiler.release>25</maven.compiler.release>") + "</profile></profiles>"}, want: []int{25}},
		"inherited": {poms: []string{".", "<artifactId>root</artifactId><packaging>pom</packaging><modules><module>a</module><module>b</module></modules>" + properties("<maven.compiler.release>17</maven.compiler.release>"),
			"a", "<parent><artifactId>root</artifactId></parent><artifactId>a</artifactId>",
			"b", "<parent><artifactId>root</artifactId></parent><artifactId>b</artifactId>" + properties("<maven.compiler.release>21</maven.compiler.release>")}, want: []int{17, 21}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t, c.poms...)
			tree, err := ReadTree(dir)
			if err != nil {
				t.Fatal(err)
			}
			if got := tree.Releases(ReadArgs(Host{}, dir, c.args), c.profiles); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func FuzzParsePom(f *testing.F) {
	f.Add([]byte("<project><modules><module>a</module></modules><properties><a.b>${c}</a.b></properties></project>"))
	f.Add([]byte("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><project><parent><relativePath/></parent></project>"))
	f.Add([]byte("\ufeff<project>&oslash;<!-- --></project>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePom("pom.xml", text)
		if (p == nil) == (err == nil) {
			t.Fatalf("pom %v with error %v", p, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "pom.xml:") {
			t.Fatalf("an error without its place: %v", err)
		}
		if p != nil {
			for _, v := range p.Properties {
				Interpolate(v, func(name string) (string, bool) { v, ok := p.Properties[name]; return v, ok })
			}
		}
	})
}
