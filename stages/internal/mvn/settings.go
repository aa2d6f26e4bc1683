package mvn

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Settings is what fastship itself needs of a settings.xml: where Central and
// the local repository are, and which remote repositories there are. Everything
// else is Maven's own business.
type Settings struct {
	Local   string   `xml:"localRepository"`
	Mirrors []Mirror `xml:"mirrors>mirror"`
	Servers []Server `xml:"servers>server"`
	Proxies []Proxy  `xml:"proxies>proxy"`

	Repositories []Remote `xml:"profiles>profile>repositories>repository"`
	PluginRepos  []Remote `xml:"profiles>profile>pluginRepositories>pluginRepository"`

	said    string   // the text without credentials, for Digest
	secrets []string // values of elements that hold credentials by their names
}

// Mirror stands in for repositories.
type Mirror struct {
	ID      string `xml:"id"`
	Of      string `xml:"mirrorOf"`
	URL     string `xml:"url"`
	Blocked string `xml:"blocked"` // true: what it stands in for is refused, as Maven 3.8.1 and newer do with plain http
}

// Remote is a repository that a pom or a profile in the settings adds.
type Remote struct {
	ID  string `xml:"id"`
	URL string `xml:"url"`
}

// Server holds the credentials of the mirror or repository of the same ID.
type Server struct {
	ID       string   `xml:"id"`
	Username string   `xml:"username"`
	Password string   `xml:"password"`
	Headers  []Header `xml:"configuration>httpHeaders>property"`

	variable string // the environment variable that is the whole password, or empty
}

// Header is an HTTP header that a server wants.
type Header struct {
	Name  string `xml:"name"`
	Value string `xml:"value"`
}

// Proxy is an HTTP proxy.
type Proxy struct {
	Active   string `xml:"active"` // anything but false is active
	Host     string `xml:"host"`
	Port     string `xml:"port"`
	Username string `xml:"username"`
	Password string `xml:"password"`
	NonProxy string `xml:"nonProxyHosts"` // host patterns, | between
}

// ReadSettings reads a settings.xml, with ${env.X} and ${user.home} expanded
// as Maven does. An absent file is an empty one.
func ReadSettings(h Host, path string) (Settings, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, nil
	}
	if err != nil {
		return Settings{}, fmt.Errorf("read Maven's settings: %w", err)
	}
	return ParseSettings(h, path, text)
}

// ParseSettings reads the text of a settings.xml; name stands in its errors.
func ParseSettings(h Host, name string, text []byte) (Settings, error) {
	var s Settings
	if err := xml.Unmarshal(text, &s); err != nil {
		return Settings{}, fmt.Errorf("read Maven's settings %s: %w", name, err)
	}
	s.said, s.secrets = said(text), h.secretsIn(text)
	clean := func(values ...*string) {
		for _, v := range values {
			*v = h.expand(strings.TrimSpace(*v))
		}
	}
	clean(&s.Local)
	for i := range s.Mirrors {
		clean(&s.Mirrors[i].ID, &s.Mirrors[i].Of, &s.Mirrors[i].URL, &s.Mirrors[i].Blocked)
	}
	for _, list := range [][]Remote{s.Repositories, s.PluginRepos} {
		for i := range list {
			clean(&list[i].ID, &list[i].URL)
		}
	}
	for i := range s.Servers {
		s.Servers[i].variable = variableOf(s.Servers[i].Password)
		clean(&s.Servers[i].ID, &s.Servers[i].Username, &s.Servers[i].Password)
		for k := range s.Servers[i].Headers {
			clean(&s.Servers[i].Headers[k].Name, &s.Servers[i].Headers[k].Value)
		}
	}
	for i := range s.Proxies {
		p := &s.Proxies[i]
		clean(&p.Active, &p.Host, &p.Port, &p.Username, &p.Password, &p.NonProxy)
	}
	return s, nil
}

// UserSettings is the path of the settings that Maven takes without -s.
func UserSettings(h Host) string { return filepath.Join(h.Home, ".m2", "settings.xml") }

// central is where Maven Central is, and its ID in settings.
const (
	centralID  = "central"
	centralURL = "https://repo.maven.apache.org/maven2"
)

// Central is the repository to take Maven Central's artifacts from: the mirror
// that the settings name for it, with that server's credentials, else Central
// itself.
func (s Settings) Central() (url string, server Server) {
	central := Remote{centralID, centralURL}
	if m, ok := s.MirrorOf(central); ok && !m.blocks() {
		central = Remote{m.ID, strings.TrimRight(m.URL, "/")}
	}
	for _, server := range s.Servers {
		if server.ID == central.ID {
			return central.URL, server
		}
	}
	return central.URL, Server{ID: central.ID}
}
