package source

import (
	"net/url"
	"strings"
)

// withoutCredentials takes out of a remote's URL whatever lets someone in:
// user, password, query and fragment; git's scp-like form (user@host:path)
// included. The user "git" stays: it is no secret, and the URL would not work
// without it.
func withoutCredentials(remote string) string {
	scheme, rest, isURL := strings.Cut(remote, "://")
	if !isURL {
		return scpWithoutCredentials(remote)
	}
	u, err := url.Parse(remote)
	if err != nil || u.Opaque != "" {
		// Too odd for net/url: take no risk with anything before an @.
		authority, path, _ := strings.Cut(rest, "/")
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			authority, path, _ = strings.Cut(rest[at+1:], "/")
		}
		path, _, _ = strings.Cut(path, "?")
		return scheme + "://" + authority + "/" + path
	}
	name := u.User.Username()
	u.User, u.RawQuery, u.Fragment, u.RawFragment, u.ForceQuery = nil, "", "", "", false
	if name == "git" {
		u.User = url.User(name)
	}
	return u.String()
}

// scpWithoutCredentials does so for user@host:path. What has a slash before
// its first colon is a path on this machine, which may hold any character.
func scpWithoutCredentials(remote string) string {
	head, _, _ := strings.Cut(remote, "/")
	colon := strings.LastIndex(head, ":")
	if colon < 0 {
		return remote
	}
	at := strings.LastIndex(head[:colon], "@")
	if at < 0 || head[:at] == "git" {
		return remote
	}
	return remote[at+1:]
}
