package inspect

import (
	"archive/zip"
	"io"
	"path"
	"regexp"
	"strings"
)

// Jar is a jar in a layer.
type Jar struct {
	Path    string `json:"path"`
	Bytes   int64  `json:"bytes"`
	Digest  string `json:"digest"` // sha256 of its bytes
	Group   string `json:"group,omitempty"`
	Name    string `json:"name,omitempty"` // artifact ID; from the file's name where the jar does not say it
	Version string `json:"version,omitempty"`
	Classes int    `json:"classes,omitempty"`
	Entries int    `json:"entries,omitempty"`
	Stored  bool   `json:"stored,omitempty"` // no entry is compressed
	Broken  string `json:"broken,omitempty"` // why it cannot be looked into

	entries map[string]content
	varying []string
}

// content is what a comparison needs of a jar's entry.
type content struct {
	crc  uint32
	size uint64
}

// maxJar bounds what is looked into, in bytes; larger jars are files like any
// other.
const maxJar = 96 << 20

var (
	versioned = regexp.MustCompile(`^(.+?)-(\d[^/]*)$`)
	timeIn    = regexp.MustCompile(`(?m)^#(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d|^(?:git\.)?build\.time\s*[=:]`)
)

// lookInto reads a jar's directory and coordinates. A file that is no zip
// archive is told by Broken.
func lookInto(name string, jar io.ReaderAt, size int64) *Jar {
	j := &Jar{Path: name, Bytes: size, Stored: true, entries: map[string]content{}}
	base := strings.TrimSuffix(path.Base(name), path.Ext(name))
	if j.Name = base; versioned.MatchString(base) {
		m := versioned.FindStringSubmatch(base)
		j.Name, j.Version = m[1], m[2]
	}
	z, err := zip.NewReader(jar, size)
	if err != nil {
		j.Broken, j.Stored = err.Error(), false
		return j
	}
	var poms []*zip.File
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		j.Entries++
		j.entries[f.Name] = content{f.CRC32, f.UncompressedSize64}
		j.Stored = j.Stored && f.Method == zip.Store
		if strings.HasSuffix(f.Name, ".class") {
			j.Classes++
		}
		file := path.Base(f.Name)
		if file == "pom.properties" && strings.HasPrefix(f.Name, "META-INF/maven/") {
			poms = append(poms, f)
		}
		own := path.Base(name) == "app.jar" // libraries come as they were published
		if own && (file == "build-info.properties" || file == "git.properties" || file == "pom.properties") && timeIn.MatchString(small(f)) {
			j.varying = append(j.varying, "times: the build wrote the time of day into "+f.Name+" of "+path.Base(name))
		}
	}
	j.coordinates(poms, base)
	return j
}

// coordinates are those of the only pom.properties, or of the one that has the
// file's name among a shaded jar's many.
func (j *Jar) coordinates(poms []*zip.File, base string) {
	for _, f := range poms {
		values := properties(small(f))
		if len(poms) > 1 && values["artifactId"]+"-"+values["version"] != base {
			continue
		}
		if values["artifactId"] != "" {
			j.Group, j.Name, j.Version = values["groupId"], values["artifactId"], values["version"]
		}
	}
}

// small reads an entry of up to 64 KB; anything else is empty.
func small(f *zip.File) string {
	if f.UncompressedSize64 > 64<<10 {
		return ""
	}
	r, err := f.Open()
	if err != nil {
		return ""
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		return ""
	}
	return string(b)
}

func properties(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return values
}
