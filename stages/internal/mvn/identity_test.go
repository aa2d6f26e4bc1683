package mvn

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/cache"
)

func identity(t *testing.T, of interface {
	Identity() (cache.Digest, error)
}) cache.Digest {
	t.Helper()
	d, err := of.Identity()
	if err != nil || len(d) != len("sha256:")+64 {
		t.Fatalf("identity %q, %v", d, err)
	}
	return d
}

func TestAMavenIsNamedByItsLibraries(t *testing.T) {
	install := func(core string) Launcher {
		home := t.TempDir()
		write(t, filepath.Join(home, "bin", "mvn"), "#!/bin/sh\n", 0o755)
		write(t, filepath.Join(home, "lib", "maven-core-3.9.9.jar"), core, 0o644)
		write(t, filepath.Join(home, "boot", "classworlds.jar"), "x", 0o644)
		return Launcher{Path: filepath.Join(home, "bin", "mvn"), Version: "3.9.9"}
	}
	a, b, patched := install("core"), install("core"), install("core, patched")
	if identity(t, a) != identity(t, b) {
		t.Error("the same Maven in two places has two names")
	}
	if identity(t, a) == identity(t, patched) {
		t.Error("a patched library is not seen")
	}
	before := identity(t, b)
	write(t, filepath.Join(filepath.Dir(filepath.Dir(b.Path)), "lib", "ext", "spy.jar"), "x", 0o644)
	if identity(t, b) == before {
		t.Error("an extension in lib/ext is not seen")
	}
	pinned := FindLauncher(Host{}, t.TempDir(), t.TempDir())
	provided := pinned
	provided.Path = "/cache/bin/mvn"
	if identity(t, pinned) != identity(t, provided) || identity(t, pinned) == identity(t, a) {
		t.Error("a provided Maven has one name, before and after it is there")
	}
	project := t.TempDir()
	write(t, filepath.Join(project, "mvnw"), "#!/bin/sh\n", 0o755)
	properties := wrapperProperties(project)
	write(t, properties, "distributionUrl=a\n", 0o644)
	wrapped := FindLauncher(Host{}, project, project)
	before = identity(t, wrapped)
	write(t, properties, "distributionUrl=b\n", 0o644)
	if identity(t, wrapped) == before {
		t.Error("another distributionUrl is not seen")
	}
	if _, err := (Launcher{Path: "/no/such/bin/mvn"}).Identity(); err == nil {
		t.Error("a Maven that is not there has an identity")
	}
}

func TestAJDKIsNamedByItsReleaseFile(t *testing.T) {
	a, b := JDK{Home: t.TempDir(), Version: "17"}, JDK{Home: t.TempDir(), Version: "17"}
	if identity(t, a) == identity(t, b) {
		t.Error("two JDKs without a release file are one")
	}
	write(t, filepath.Join(a.Home, "release"), "JAVA_VERSION=\"17\"\n", 0o644)
	write(t, filepath.Join(b.Home, "release"), "JAVA_VERSION=\"17\"\n", 0o644)
	if identity(t, a) != identity(t, b) {
		t.Error("the same release in two places has two names")
	}
}

func TestTheSettingsDigestHoldsNoCredentials(t *testing.T) {
	const text = `<settings><!-- c --><localRepository>/r</localRepository>
<servers><server><id>corp</id><username>ci</username><password>s3cret</password><configuration><a>b</a></configuration></server></servers>
<mirrors><mirror><id>corp</id><mirrorOf>*</mirrorOf><url>https://repo.corp</url></mirror></mirrors>
<proxies><proxy><host>p.corp</host><username>u1</username><password>pw</password></proxy></proxies>
<profiles><profile><id>x</id><properties><flag>on</flag><sonar.token>t0ken</sonar.token></properties></profile></profiles></settings>`
	read := func(replace ...string) Settings {
		path := filepath.Join(t.TempDir(), "settings.xml")
		write(t, path, strings.NewReplacer(replace...).Replace(text), 0o644)
		s, err := ReadSettings(Host{}, path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	own := read()
	for _, secret := range []string{"s3cret", "ci\n", "pw", "t0ken", "u1", "localRepository"} {
		if strings.Contains(own.said, secret) {
			t.Errorf("%q is in %q", secret, own.said)
		}
	}
	for _, same := range [][]string{{"s3cret", "other"}, {"t0ken", "other"}, {"<!-- c -->", "\n \n"}, {"/r<", "/other<"}, {"<a>b</a>", ""}} {
		if read(same...).Digest() != own.Digest() {
			t.Errorf("%q changes the digest", same)
		}
	}
	for _, other := range [][]string{{"https://repo.corp", "https://elsewhere"}, {"p.corp", "q.corp"}, {">on<", ">off<"}, {"<mirrorOf>*", "<mirrorOf>central"}} {
		if read(other...).Digest() == own.Digest() {
			t.Errorf("%q does not change the digest", other)
		}
	}
}

// BenchmarkIdentity is what each key costs for a Maven and a JDK.
func BenchmarkIdentity(b *testing.B) {
	h := Host{Environ: os.Environ(), Home: os.Getenv("HOME")}
	l := FindLauncher(h, b.TempDir(), b.TempDir())
	choice, err := ChooseJDK(b.Context(), h, Want{})
	if err != nil {
		b.Skip(err)
	}
	for b.Loop() {
		if _, err := l.Identity(); err != nil {
			b.Fatal(err)
		}
		if _, err := choice.JDK.Identity(); err != nil {
			b.Fatal(err)
		}
	}
}

// A credential's variable is renewed all the time and says nothing on what is
// built.
func TestSettingsVariables(t *testing.T) {
	s, err := ParseSettings(Host{}, "settings.xml", []byte(`<settings><!-- ${env.COMMENT} -->
		<mirrors><mirror><id>m</id><url>https://${env.MIRROR}/</url></mirror></mirrors>
		<servers><server><id>m</id><username>${env.USER_M}</username><password>${env.TOKEN}</password></server></servers>
		<profiles><profile><id>p</id><activation><property><name>env.CI</name></property></activation>
		<properties><db.password>${env.DB}</db.password><a>${env.A} ${env.MIRROR}</a></properties></profile></profiles></settings>`))
	if got := s.Variables(); err != nil || !slices.Equal(got, []string{"A", "CI", "MIRROR"}) {
		t.Errorf("%v, %v", got, err)
	}
}
