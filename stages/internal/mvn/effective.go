package mvn

import (
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// Over merges settings as Maven does the user's over the global ones: what has
// an ID of its own is added behind, the rest only where s says nothing
// (org.apache.maven.settings.merge.MavenSettingsMerger).
func (s Settings) Over(global Settings) Settings {
	if s.Local == "" {
		s.Local = global.Local
	}
	s.Mirrors = over(s.Mirrors, global.Mirrors, func(m Mirror) string { return m.ID })
	s.Servers = over(s.Servers, global.Servers, func(v Server) string { return v.ID })
	s.Proxies = slices.Concat(s.Proxies, global.Proxies) // the first that is active counts
	s.Repositories = slices.Concat(s.Repositories, global.Repositories)
	s.PluginRepos = slices.Concat(s.PluginRepos, global.PluginRepos)
	s.secrets = slices.Concat(s.secrets, global.secrets)
	if global.said != "" {
		s.said += "\x00" + global.said
	}
	return s
}

func over[T any](strong, weak []T, id func(T) string) []T {
	merged := slices.Clone(strong)
	for _, w := range weak {
		if !slices.ContainsFunc(merged, func(m T) bool { return id(m) == id(w) }) {
			merged = append(merged, w)
		}
	}
	return merged
}

// Speak tells whether the settings say anything beyond what every Maven comes
// with: the mirror that blocks plain http.
func (s Settings) Speak() bool {
	open := slices.ContainsFunc(s.Mirrors, func(m Mirror) bool { return !m.blocks() })
	return open || s.Local != "" || len(s.Servers) > 0 || len(s.Proxies) > 0 ||
		strings.Contains(s.said, "<profile>") || strings.Contains(s.said, "<activeProfile>") || strings.Contains(s.said, "<pluginGroup>")
}

func (m Mirror) blocks() bool { return m.Blocked == "true" }

// MirrorOf is the mirror that stands in for a repository: one that names its
// very ID, else the first whose pattern covers it
// (maven.apache.org/guides/mini/guide-mirror-settings.html).
func (s Settings) MirrorOf(r Remote) (Mirror, bool) {
	for _, m := range s.Mirrors {
		if m.Of == r.ID {
			return m, true
		}
	}
	for _, m := range s.Mirrors {
		if mirrors(m.Of, r) {
			return m, true
		}
	}
	return Mirror{}, false
}

// mirrors tells whether a mirrorOf pattern covers a repository: a list of IDs,
// where * is all, external:* all that are not on this machine, external:http:*
// those of them over plain http, and !id leaves one out.
func mirrors(pattern string, r Remote) bool {
	covered := false
	for word := range strings.SplitSeq(pattern, ",") {
		switch word = strings.TrimSpace(word); word {
		case "!" + r.ID:
			return false
		case r.ID:
			return true
		case "*":
			covered = true
		case "external:*":
			covered = covered || external(r.URL)
		case "external:http:*":
			covered = covered || external(r.URL) && strings.HasPrefix(strings.ToLower(r.URL), "http:")
		}
	}
	return covered
}

func external(repository string) bool {
	u, err := url.Parse(repository)
	if err != nil {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme != "file" && u.Hostname() != "localhost" && !(ip != nil && ip.Equal(net.IPv4(127, 0, 0, 1)))
}

// Conf is a file in the conf folder of this Maven's installation, there or
// not; empty where the installation is not on this machine yet.
func (l Launcher) Conf(name string) string {
	mvn := l.Path
	if filepath.Base(mvn) == "mvnw" {
		mvn = l.unpacked
	}
	if mvn == "" {
		return ""
	}
	script, err := filepath.EvalSymlinks(mvn)
	if err != nil {
		return ""
	}
	return filepath.Join(filepath.Dir(filepath.Dir(script)), "conf", name)
}

// InstalledConf is Conf of the Maven on PATH or in MAVEN_HOME; empty without
// one.
func InstalledConf(h Host, name string) string { return findInstalled(h).Conf(name) }
