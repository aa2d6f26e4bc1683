package mvn

import (
	"bytes"
	"encoding/xml"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/redact"
)

var (
	// secretHeader tells the HTTP headers that hold credentials by their names.
	secretHeader = regexp.MustCompile(`(?i)auth|token|key|secret|password`)
	// secretName tells the elements and properties whose values are secret.
	secretName = regexp.MustCompile(`(?i)passw|passphrase|token|secret|credential|api-?_?key|private-?_?key|authorization`)
	// userinfo is user:password@ in a URL (RFC 3986, section 3.2.1).
	userinfo = regexp.MustCompile(`://[^/\s:@"<>]*:([^/\s@"<>]+)@`)
)

// Secrets are the passwords and tokens in the settings, to be masked: those of
// servers, headers and proxies, the values of elements whose names tell of a
// password, passphrase, token, secret or key, such as a profile's properties,
// and passwords in URLs.
func (s Settings) Secrets() []string {
	values := slices.Clone(s.secrets)
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
	slices.Sort(values)
	return slices.DeleteFunc(slices.Compact(values), func(v string) bool { return v == "" })
}

// secretsIn are the secrets that a settings.xml has by the names of its
// elements, with ${env.X} expanded.
func (h Host) secretsIn(text []byte) []string {
	var found []string
	d := xml.NewDecoder(bytes.NewReader(text))
	name := ""
	for {
		token, err := d.Token()
		if err != nil {
			return found
		}
		switch t := token.(type) {
		case xml.StartElement:
			name = t.Name.Local
		case xml.EndElement:
			name = ""
		case xml.CharData:
			value := h.expand(strings.TrimSpace(string(t)))
			if secretName.MatchString(name) {
				found = append(found, telling(name, value)...)
			}
			found = append(found, SecretsInURLs(value)...)
		}
	}
}

// telling is a secret, unless its value is a switch, a path or an expression.
// What a name says is a password is one, however short.
func telling(name, value string) []string {
	lower := strings.ToLower(name)
	if strings.Contains(value, "${") {
		return nil
	}
	if strings.Contains(lower, "passw") || strings.Contains(lower, "passphrase") {
		if value == "true" || value == "false" {
			return nil
		}
		return nonEmpty(value)
	}
	if strings.HasPrefix(value, "/") || strings.HasPrefix(value, "~/") {
		return nil // <privateKey> names a file
	}
	return redact.FromEnv([]string{"SECRET=" + value})
}

// SecretsInURLs are the passwords in the URLs of a text.
func SecretsInURLs(text string) []string {
	var found []string
	for _, m := range userinfo.FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[1], "${") {
			found = append(found, m[1])
		}
	}
	return found
}

// Secrets are the values of properties whose names tell of a secret, such as
// -Dgpg.passphrase=…, wherever they are set.
func (a Args) Secrets() []string {
	found := map[string]bool{}
	for _, args := range [][]string{a.config, a.user, a.system} {
		for name, value := range properties(args) {
			if secretName.MatchString(name) {
				for _, v := range telling(name, value) {
					found[v] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// WrapperSecrets are what a wrapper's variables and its distributionUrl hold.
// A user name is told when it is more than a word: a token may be one.
func WrapperSecrets(h Host, root string) []string {
	all := nonEmpty(h.Getenv("MVNW_PASSWORD"))
	if user := h.Getenv("MVNW_USERNAME"); strings.ContainsAny(user, "0123456789-_") {
		all = append(all, user)
	}
	all = append(all, SecretsInURLs(h.Getenv("MVNW_REPOURL"))...)
	return append(all, SecretsInURLs(readProperties(wrapperProperties(root))["distributionUrl"])...)
}
