package mvn

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

	said string // the text without credentials, for Digest
}

// Mirror stands in for repositories.
type Mirror struct {
	ID  string `xml:"id"`
	Of  string `xml:"mirrorOf"`
	URL string `xml:"url"`
}

// Remote is a repository that a profile in the settings adds.
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

// secretHeader tells the HTTP headers that hold credentials by their names.
var secretHeader = regexp.MustCompile(`(?i)auth|token|key|secret|password`)

// Secrets are the passwords and tokens in the settings, to be masked.
func (s Settings) Secrets() []string {
	var values []string
	for _, server := range s.Servers {
		values = append(values, server.Password)
		for _, h := range server.Headers {
			if secretHeader.MatchString(h.Name) {
				values = append(values, h.Value)
			}
		}
	}
	for _, p := range s.Proxies {
		values = append(values, p.Password)
	}
	return slices.DeleteFunc(values, func(v string) bool { return v == "" })
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
	s.said = said(text)
	clean := func(values ...*string) {
		for _, v := range values {
			*v = h.expand(strings.TrimSpace(*v))
		}
	}
	clean(&s.Local)
	for i := range s.Mirrors {
		clean(&s.Mirrors[i].ID, &s.Mirrors[i].Of, &s.Mirrors[i].URL)
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
	id := centralID
	url = centralURL
	for _, m := range s.Mirrors {
		if mirrors(m.Of, centralID) {
			url, id = strings.TrimRight(m.URL, "/"), m.ID
			break
		}
	}
	for _, server := range s.Servers {
		if server.ID == id {
			return url, server
		}
	}
	return url, Server{ID: id}
}

// mirrors tells whether a mirrorOf pattern covers a remote repository
// (maven.apache.org/guides/mini/guide-mirror-settings.html): a list of IDs,
// where * is all, external:* all that are not on this machine, external:http:*
// those over plain http, and !id leaves one out.
func mirrors(pattern, id string) bool {
	covered := false
	for word := range strings.SplitSeq(pattern, ",") {
		switch word = strings.TrimSpace(word); word {
		case "!" + id:
			return false
		case id, "*", "external:*":
			covered = true
		}
	}
	return covered
}
