package mvn

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettingsNameCentral(t *testing.T) {
	h := Host{Home: "/home/me", Environ: []string{"REPO_TOKEN=s3cret"}}
	read := func(text string) Settings {
		t.Helper()
		path := filepath.Join(t.TempDir(), "settings.xml")
		write(t, path, text, 0o644)
		s, err := ReadSettings(h, path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const servers = `<servers><server><id>corp</id><username>ci</username><password>${env.REPO_TOKEN}</password></server></servers>`
	for name, c := range map[string]struct{ of, url, user string }{
		"all":                   {"*", "https://repo.corp/maven", "ci"},
		"central":               {"central", "https://repo.corp/maven", "ci"},
		"external":              {"external:*", "https://repo.corp/maven", "ci"},
		"all but another":       {"*,!snapshots", "https://repo.corp/maven", "ci"},
		"all but central":       {"*, !central", centralURL, ""},
		"another":               {"jboss", centralURL, ""},
		"plain http repos only": {"external:http:*", centralURL, ""},
	} {
		s := read(`<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0">` + servers +
			`<mirrors><mirror><id>corp</id><mirrorOf>` + c.of + `</mirrorOf><url>https://repo.corp/maven/</url></mirror></mirrors></settings>`)
		url, server := s.Central()
		if url != c.url || server.Username != c.user {
			t.Errorf("%s: %s as %q, want %s as %q", name, url, server.Username, c.url, c.user)
		}
		if server.Username != "" && server.Password != "s3cret" {
			t.Errorf("%s: the password is %q", name, server.Password)
		}
	}
	if s, err := ReadSettings(h, filepath.Join(t.TempDir(), "none.xml")); err != nil || len(s.Mirrors) != 0 {
		t.Errorf("no settings: %+v, %v", s, err)
	}
	bad := filepath.Join(t.TempDir(), "settings.xml")
	write(t, bad, "<settings>", 0o644)
	if _, err := ReadSettings(h, bad); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("broken settings: %v", err)
	}
}

func TestSettingsProxy(t *testing.T) {
	s := Settings{Proxies: []Proxy{{Active: "false", Host: "off"}, {Host: "proxy.corp", Port: "3128", Username: "me", Password: "pw", NonProxy: "localhost|*.corp|10.*"}}}
	transport := s.client(http.DefaultClient).Transport.(*http.Transport)
	for target, want := range map[string]string{
		"https://repo.maven.apache.org/maven2": "http://me:pw@proxy.corp:3128",
		"https://repo.corp/maven":              "",
		"http://localhost:8081/":               "",
		"http://10.1.2.3/":                     "",
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		proxy, err := transport.Proxy(&http.Request{URL: u})
		got := ""
		if proxy != nil {
			got = proxy.String()
		}
		if err != nil || got != want {
			t.Errorf("%s through %q (%v), want %q", target, got, err, want)
		}
	}
	if c := (Settings{}).client(http.DefaultClient); c != http.DefaultClient {
		t.Error("without a proxy the client is another one")
	}
}
