package sbom

import (
	"strings"
)

// escape writes a part of a package URL (package-url/purl-spec): all but
// letters, digits and .-_~: is percent-encoded.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(".-_~:", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// URL is the artifact's package URL (package-url/purl-spec); empty without a group, which Maven's
// have to have.
func (c Coordinates) URL() string {
	if c.Group == "" || c.Name == "" || c.Version == "" {
		return ""
	}
	s := "pkg:maven/" + escape(c.Group) + "/" + escape(c.Name) + "@" + escape(c.Version)
	if c.Classifier != "" {
		s += "?classifier=" + escape(c.Classifier)
	}
	return s
}

// purl follows the form that scanners look up Debian's and its children's
// security trackers by: the source package is the upstream.
func (p Package) purl(s System) string {
	url := "pkg:deb/" + escape(s.ID) + "/" + escape(p.Name) + "@" + escape(p.Version) + "?arch=" + escape(p.Architecture)
	if s.Version != "" {
		url += "&distro=" + escape(s.ID+"-"+s.Version)
	}
	switch {
	case p.SourceVersion != p.Version:
		url += "&upstream=" + escape(p.Source+"@"+p.SourceVersion)
	case p.Source != p.Name:
		url += "&upstream=" + escape(p.Source)
	}
	return url
}

// purl names the image by its digest; empty for one in a layout on disk.
func (i Image) purl() string {
	name, ok := repositoryOf(i.Reference)
	if !ok {
		return ""
	}
	last := name[strings.LastIndexByte(name, '/')+1:]
	return "pkg:oci/" + escape(strings.ToLower(last)) + "@" + escape(i.Digest) + "?repository_url=" + escape(strings.ToLower(name))
}

// repositoryOf takes tag and digest off a reference.
func repositoryOf(reference string) (string, bool) {
	if reference == "" || strings.HasPrefix(reference, "oci:") {
		return "", false
	}
	name, _, _ := strings.Cut(reference, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name, true
}
