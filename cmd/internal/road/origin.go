package road

import (
	"net/url"
	"strings"
)

// publicURL is the form of a remote that is written into images: the same for
// a clone by https, by ssh and by git's short form, since the same commit must
// give the same image. A remote that is a path of this machine gives the
// empty string.
func publicURL(remote string) string {
	if host, path, ok := strings.Cut(remote, ":"); ok && !strings.Contains(remote, "://") && !strings.ContainsAny(host, `/\`) && len(host) > 1 {
		_, afterUser, found := strings.Cut(host, "@")
		if !found {
			afterUser = host
		}
		remote = "ssh://" + afterUser + "/" + strings.TrimPrefix(path, "/")
	}
	u, err := url.Parse(remote)
	if err != nil || u.Host == "" {
		return ""
	}
	host := u.Host
	if u.Scheme == "ssh" || u.Scheme == "git" {
		host = u.Hostname() // their ports are not https's
	}
	return "https://" + host + strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), ".git")
}
