package mvn

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func parsed(t *testing.T, h Host, text string) Settings {
	t.Helper()
	s, err := ParseSettings(h, "settings.xml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheUsersSettingsWinOverTheGlobalOnes(t *testing.T) {
	user := parsed(t, Host{}, `<settings><mirrors><mirror><id>corp</id><mirrorOf>central</mirrorOf><url>https://mine/</url></mirror></mirrors>
<servers><server><id>corp</id><password>mine</password></server></servers></settings>`)
	global := parsed(t, Host{}, `<settings><localRepository>/repo</localRepository>
<mirrors><mirror><id>corp</id><mirrorOf>*</mirrorOf><url>https://theirs/</url></mirror><mirror><id>all</id><mirrorOf>*</mirrorOf><url>https://all/</url></mirror></mirrors>
<servers><server><id>corp</id><password>theirs</password></server><server><id>all</id><username>ci</username><password>theirs-too</password></server></servers>
<profiles><profile><repositories><repository><id>r</id><url>https://r/</url></repository></repositories></profile></profiles></settings>`)
	s := user.Over(global)
	if s.Local != "/repo" || len(s.Mirrors) != 2 || s.Mirrors[0].URL != "https://mine/" || len(s.Servers) != 2 || s.Servers[0].Password != "mine" || len(s.Repositories) != 1 {
		t.Errorf("%+v", s)
	}
	if url, server := s.Central(); url != "https://mine" || server.Password != "mine" {
		t.Errorf("Central at %s as %+v", url, server)
	}
	if m, ok := s.MirrorOf(Remote{"r", "https://r/"}); !ok || m.ID != "all" {
		t.Errorf("r's mirror is %+v", m)
	}
	if user.Digest() == s.Digest() {
		t.Error("the digest does not see the global settings")
	}
}

func TestAMirrorThatBlocksBringsNothing(t *testing.T) {
	const blocker = `<mirror><id>maven-default-http-blocker</id><mirrorOf>external:http:*</mirrorOf><url>http://0.0.0.0/</url><blocked>true</blocked></mirror>`
	s := parsed(t, Host{}, `<settings><mirrors>`+blocker+`</mirrors></settings>`)
	if s.Speak() || !parsed(t, Host{}, `<settings><profiles><profile/></profiles></settings>`).Speak() || !parsed(t, Host{}, `<settings><mirrors><mirror><id>m</id></mirror></mirrors></settings>`).Speak() {
		t.Error("what every Maven comes with is taken for something said, or the other way round")
	}
	for url, want := range map[string]bool{"http://repo.corp/": true, "https://repo.corp/": false, "http://localhost:1/": false, "http://127.0.0.1:1/": false, "file:///repo": false} {
		if m, ok := s.MirrorOf(Remote{"r", url}); ok != want || ok && !m.blocks() {
			t.Errorf("%s: %+v, %v", url, m, ok)
		}
	}
	// Maven 3.6 has no such mirror, and writes the same IDs into its repository.
	if RemotesKey(&Tree{}, s) != RemotesKey(&Tree{}, Settings{}) {
		t.Error("the blocker has part in the pointers' names")
	}
	blocked := parsed(t, Host{}, `<settings><mirrors><mirror><id>no</id><mirrorOf>central</mirrorOf><url>https://x/</url><blocked>true</blocked></mirror></mirrors></settings>`)
	if url, _ := blocked.Central(); url != centralURL {
		t.Errorf("a blocked Central is asked for at %s", url)
	}
}

func TestConfIsBesideTheScript(t *testing.T) {
	home := t.TempDir()
	mvn := filepath.Join(home, "bin", "mvn")
	write(t, mvn, "", 0o755)
	link := filepath.Join(t.TempDir(), "mvn")
	if err := os.Symlink(mvn, link); err != nil {
		t.Fatal(err)
	}
	home, err := filepath.EvalSymlinks(home)
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(home, "conf", "settings.xml")
	for name, l := range map[string]Launcher{"link": {Path: link}, "unpacked by mvnw": {Path: "/project/mvnw", Wrapper: true, unpacked: mvn}} {
		if got := l.Conf("settings.xml"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, l := range []Launcher{{Provided: true}, {Path: "/project/mvnw", Wrapper: true}, {Path: "/no/such/mvn"}} {
		if got := l.Conf("settings.xml"); got != "" {
			t.Errorf("%+v: %s", l, got)
		}
	}
	if got := InstalledConf(Host{Environ: []string{"PATH=" + filepath.Dir(link)}}, "settings.xml"); got != want {
		t.Errorf("installed: %s", got)
	}
}

func TestToolchainsThatMavenIsToldOf(t *testing.T) {
	home := t.TempDir()
	text := func(jdk string) string {
		return `<toolchains><toolchain><type>jdk</type><configuration><jdkHome>` + jdk + `</jdkHome></configuration></toolchain></toolchains>`
	}
	write(t, filepath.Join(home, ".m2", "toolchains.xml"), text("/jdk/own"), 0o644)
	write(t, filepath.Join(home, "a.xml"), text("/jdk/a"), 0o644)
	write(t, filepath.Join(home, "b.xml"), text("/jdk/b"), 0o644)
	h := Host{Home: home}
	if got := h.toolchains(); !slices.Equal(got, []string{"/jdk/own"}) {
		t.Errorf("%q", got)
	}
	h.Toolchains = []string{filepath.Join(home, "a.xml"), filepath.Join(home, "none.xml"), filepath.Join(home, "b.xml")}
	if got := h.toolchains(); !slices.Equal(got, []string{"/jdk/a", "/jdk/b"}) {
		t.Errorf("%q", got)
	}
}
