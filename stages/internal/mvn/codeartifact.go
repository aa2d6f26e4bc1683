package mvn

import (
	"bytes"
	"encoding/xml"
	"fmt"
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

// tokenVariable is where AWS's guides keep a token; ownVariable begins the
// names of those for repositories that the settings do not know.
const (
	tokenVariable = "CODEARTIFACT_AUTH_TOKEN"
	ownVariable   = "FASTSHIP_CODEARTIFACT_TOKEN_"
)

// Added tells whether the settings have no server for the token's repository.
func (t Token) Added() bool { return strings.HasPrefix(t.Variable, ownVariable) }

// contacted are the repositories that Maven asks: those of the settings and of
// the poms, or what mirrors them.
func (s Settings) contacted(poms []Remote) []Remote {
	var all []Remote
	for _, r := range slices.Concat(s.Repositories, s.PluginRepos, poms, []Remote{{centralID, centralURL}}) {
		if m, ok := s.MirrorOf(r); ok {
			r = Remote{m.ID, m.URL}
		}
		all = append(all, r)
	}
	for _, m := range s.Mirrors { // of what only remote poms name
		all = append(all, Remote{m.ID, m.URL})
	}
	return all
}

// Tokens are those that the repositories and mirrors in the settings and the
// poms want of CodeArtifact and that the environment does not have: each
// variable once.
func (s Settings) Tokens(h Host, poms []Remote) []Token {
	var all []Token
	for _, server := range s.Servers {
		if server.variable == "" || h.Getenv(server.variable) != "" {
			continue
		}
		for _, r := range s.contacted(poms) {
			t, ok := codeArtifactOf(r.URL)
			t.Variable = server.variable
			if ok && r.ID == server.ID && !slices.ContainsFunc(all, func(o Token) bool { return o.Variable == t.Variable }) {
				all = append(all, t)
			}
		}
	}
	return all
}

// Serve adds a server for each repository of CodeArtifact that has none, with
// a variable for its domain's token: the one that is set already, or one of
// fastship's own. It returns what it added, for InsertServers.
func (s *Settings) Serve(h Host, poms []Remote) []Server {
	variables := map[Token]string{}
	var added []Server
	for _, r := range s.contacted(poms) {
		t, ok := codeArtifactOf(r.URL)
		if !ok || slices.ContainsFunc(s.Servers, func(v Server) bool { return v.ID == r.ID }) {
			continue
		}
		if variables[t] == "" {
			variables[t] = fmt.Sprint(ownVariable, len(variables)+1)
			if h.Getenv(tokenVariable) != "" {
				variables[t] = tokenVariable
			}
		}
		server := Server{ID: r.ID, Username: "aws", Password: h.Getenv(variables[t]), variable: variables[t]}
		added, s.Servers = append(added, server), append(s.Servers, server)
	}
	return added
}

// InsertServers returns the text of a settings.xml with servers added, whose
// passwords are references to their variables. An empty text is one without
// any settings.
func InsertServers(text []byte, servers []Server) ([]byte, error) {
	var inner strings.Builder
	for _, v := range servers {
		var id strings.Builder
		if err := xml.EscapeText(&id, []byte(v.ID)); err != nil {
			return nil, err
		}
		fmt.Fprintf(&inner, "<server><id>%s</id><username>%s</username><password>${env.%s}</password></server>", &id, v.Username, v.variable)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("<settings/>")
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	for depth := 0; ; {
		at := d.InputOffset()
		token, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("add servers to Maven's settings: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			switch {
			case depth == 2 && t.Name.Local == "servers":
				return insertInto(text, at, "servers", inner.String()), nil
			case depth == 1:
				return insertInto(text, at, t.Name.Local, "<servers>"+inner.String()+"</servers>"), nil
			}
			depth--
		}
	}
}

// insertInto adds to an element whose end is at a byte of the text, and opens
// it where it is an empty one such as <servers/>.
func insertInto(text []byte, end int64, name, inner string) []byte {
	if before, empty := bytes.CutSuffix(text[:end], []byte("/>")); empty && !bytes.HasPrefix(text[end:], []byte("</")) {
		return slices.Concat(before, []byte(">"+inner+"</"+name+">"), text[end:])
	}
	return slices.Concat(text[:end], []byte(inner), text[end:])
}

// Fill puts a token where the settings refer to its variable.
func (s *Settings) Fill(variable, value string) {
	for i := range s.Servers {
		if s.Servers[i].variable == variable {
			s.Servers[i].Password = value
		}
	}
}
