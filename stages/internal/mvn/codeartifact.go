package mvn

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Token is a password that AWS CodeArtifact gives out, and the environment
// variable by which the settings refer to it.
type Token struct {
	Variable, Domain, Owner, Region string
}

// codeArtifact is the form of a repository's host:
// docs.aws.amazon.com/codeartifact/latest/ug/maven-mvn.html.
var codeArtifact = regexp.MustCompile(`^([a-z][a-z0-9-]*)-([0-9]{12})\.d\.codeartifact\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$`)

// codeArtifactOf reads domain, owner and region from a repository's URL.
func codeArtifactOf(repository string) (t Token, ok bool) {
	u, err := url.Parse(repository)
	if err != nil || u.Scheme != "https" { // a token goes over no open line
		return Token{}, false
	}
	m := codeArtifact.FindStringSubmatch(u.Hostname())
	if m == nil {
		return Token{}, false
	}
	return Token{Domain: m[1], Owner: m[2], Region: m[3]}, true
}

var envReference = regexp.MustCompile(`^\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}$`)

func variableOf(password string) string {
	m := envReference.FindStringSubmatch(strings.TrimSpace(password))
	if m == nil {
		return ""
	}
	return m[1]
}

// Tokens are those that the mirrors and repositories in the settings want of
// CodeArtifact and that the environment does not have: each variable once.
func (s Settings) Tokens(h Host) []Token {
	at := slices.Concat(s.Repositories, s.PluginRepos)
	for _, m := range s.Mirrors {
		at = append(at, Remote{m.ID, m.URL})
	}
	var all []Token
	for _, server := range s.Servers {
		if server.variable == "" || h.Getenv(server.variable) != "" {
			continue
		}
		for _, r := range at {
			t, ok := codeArtifactOf(r.URL)
			t.Variable = server.variable
			if ok && r.ID == server.ID && !slices.ContainsFunc(all, func(o Token) bool { return o.Variable == t.Variable }) {
				all = append(all, t)
			}
		}
	}
	return all
}

// Fill puts a token where the settings refer to its variable.
func (s *Settings) Fill(variable, value string) {
	for i := range s.Servers {
		if s.Servers[i].variable == variable {
			s.Servers[i].Password = value
		}
	}
}
