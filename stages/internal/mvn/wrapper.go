package mvn

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func wrapperProperties(dir string) string {
	return filepath.Join(dir, ".mvn", "wrapper", "maven-wrapper.properties")
}

var distribution = regexp.MustCompile(`/apache-maven-([0-9][0-9A-Za-z.-]*?)-bin\.(zip|tar\.gz)$`)

// wrapperLauncher is the project's ./mvnw. Where this machine does not have
// its distribution yet, fastship can bring the very same one from its cache.
// A distribution of another kind (mvnd, tar.gz, a file: URL) is left to the
// script itself.
func wrapperLauncher(h Host, dir string) Launcher {
	l := Launcher{Path: filepath.Join(dir, "mvnw"), Wrapper: true, Origin: "the project's ./mvnw", wrapped: dir}
	properties := readProperties(wrapperProperties(dir))
	url := properties["distributionUrl"]
	m := distribution.FindStringSubmatch(url)
	if m == nil {
		return l
	}
	l.Version = m[1]
	url = mirrored(h.Getenv("MVNW_REPOURL"), url)
	l.unpacked = wrapperHas(h, m[1])
	if m[2] != "zip" || !(strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://")) || l.unpacked != "" {
		return l
	}
	l.Provided, l.url, l.sha256 = true, url, properties["distributionSha256Sum"]
	l.user, l.password = h.Getenv("MVNW_USERNAME"), h.Getenv("MVNW_PASSWORD")
	l.Origin = "the distribution that the project's ./mvnw names, brought by fastship"
	return l
}

// mirrored is the URL with the repository that MVNW_REPOURL names, as mvnw
// replaces it: what comes before /org/apache/maven/.
func mirrored(repository, url string) string {
	const pattern = "/org/apache/maven/"
	_, path, ok := strings.Cut(url, pattern)
	if repository == "" || !ok {
		return url
	}
	return strings.TrimRight(repository, "/") + pattern + path
}

// wrapperHas is the mvn of this version that mvnw has unpacked before, or
// empty: the scripts put it in dists/apache-maven-VERSION/HASH, the jar in
// dists/apache-maven-VERSION-bin/HASH/apache-maven-VERSION.
func wrapperHas(h Host, version string) string {
	dists := filepath.Join(cmp.Or(h.Getenv("MAVEN_USER_HOME"), filepath.Join(h.Home, ".m2")), "wrapper", "dists")
	for _, pattern := range []string{"apache-maven-" + version + "/*/bin/mvn", "apache-maven-" + version + "-bin/*/*/bin/mvn"} {
		if found, _ := filepath.Glob(filepath.Join(dists, pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// readProperties reads key=value lines; what else Java's format knows does not
// occur in a wrapper's file but for escaped colons. An absent file is empty.
func readProperties(path string) map[string]string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			all[strings.TrimSpace(name)] = strings.ReplaceAll(strings.TrimSpace(value), `\:`, ":")
		}
	}
	return all
}
