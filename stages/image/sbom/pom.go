package sbom

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// Pom is what a bill of materials takes of a pom.xml, as it is written.
type Pom struct {
	Group      string            `json:"group,omitempty"`
	Name       string            `json:"name"`
	Version    string            `json:"version,omitempty"`
	Parent     *Coordinates      `json:"parent,omitempty"`
	Licenses   []License         `json:"licenses,omitempty"`
	Needs      []Need            `json:"needs,omitempty"`
	Properties map[string]string `json:"properties,omitempty"` // those that Needs and the coordinates speak of
}

// License is a licence as a pom names it.
type License struct {
	Name string `json:"name,omitempty" xml:"name"`
	URL  string `json:"url,omitempty" xml:"url"`
}

// Need is a dependency that is there at run time.
type Need struct {
	Group string `json:"group"`
	Name  string `json:"name"`
}

type rawPom struct {
	XMLName xml.Name `xml:"project"`
	Group   string   `xml:"groupId"`
	Name    string   `xml:"artifactId"`
	Version string   `xml:"version"`
	Parent  *struct {
		Group   string `xml:"groupId"`
		Name    string `xml:"artifactId"`
		Version string `xml:"version"`
	} `xml:"parent"`
	Licenses     []License      `xml:"licenses>license"`
	Properties   mvn.Properties `xml:"properties"`
	Dependencies []struct {
		Group    string `xml:"groupId"`
		Name     string `xml:"artifactId"`
		Scope    string `xml:"scope"`
		Optional string `xml:"optional"`
	} `xml:"dependencies>dependency"`
}

// ParsePom reads the text of a pom.xml.
func ParsePom(text []byte) (Pom, error) {
	var raw rawPom
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	d.Strict = false
	d.Entity = xml.HTMLEntity
	// Poms in an older encoding are ASCII where it matters here.
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	if err := d.Decode(&raw); err != nil {
		return Pom{}, fmt.Errorf("read a pom: %w", err)
	}
	p := Pom{Group: trim(raw.Group), Name: trim(raw.Name), Version: trim(raw.Version)}
	if raw.Parent != nil {
		p.Parent = &Coordinates{Group: trim(raw.Parent.Group), Name: trim(raw.Parent.Name), Version: trim(raw.Parent.Version)}
	}
	for _, l := range raw.Licenses {
		if l = (License{Name: trim(l.Name), URL: trim(l.URL)}); l != (License{}) {
			p.Licenses = append(p.Licenses, l)
		}
	}
	var named strings.Builder
	for _, n := range raw.Dependencies {
		scope := trim(n.Scope)
		if scope != "" && scope != "compile" && scope != "runtime" || trim(n.Optional) == "true" {
			continue
		}
		need := Need{Group: trim(n.Group), Name: trim(n.Name)}
		p.Needs = append(p.Needs, need)
		named.WriteString(need.Group + need.Name)
	}
	named.WriteString(p.Version)
	for name, value := range raw.Properties {
		if strings.Contains(named.String(), "${"+name+"}") {
			if p.Properties == nil {
				p.Properties = map[string]string{}
			}
			p.Properties[name] = value
		}
	}
	return p, nil
}

// trim folds the white space of a text that was written over several lines.
func trim(s string) string { return strings.Join(strings.Fields(s), " ") }

func (p Pom) version() string {
	if p.Version == "" && p.Parent != nil {
		return p.Parent.Version
	}
	return p.resolve(p.Version)
}

func (p Pom) group() string {
	if p.Group == "" && p.Parent != nil {
		return p.Parent.Group
	}
	return p.Group
}

// resolve replaces the expressions that a pom can answer by itself.
func (p Pom) resolve(s string) string {
	for range 5 { // a property may speak of another
		if !strings.Contains(s, "${") {
			return s
		}
		pairs := []string{"${project.groupId}", p.group(), "${pom.groupId}", p.group(), "${groupId}", p.group(), "${project.artifactId}", p.Name}
		if p.Parent != nil {
			pairs = append(pairs, "${project.parent.groupId}", p.Parent.Group, "${project.parent.version}", p.Parent.Version)
		}
		for name, value := range p.Properties {
			pairs = append(pairs, "${"+name+"}", value)
		}
		s = strings.NewReplacer(pairs...).Replace(s)
	}
	return s
}

// maxParents bounds a chain of parents, which a broken repository could make
// endless.
const maxParents = 30

// poms finds poms in repositories on disk, each read once.
type poms struct {
	dirs  []string
	known map[string]*Pom // by path below a repository; nil for none
}

func (r *poms) find(c Coordinates) *Pom {
	if c.Group == "" || c.Name == "" || c.Version == "" {
		return nil
	}
	place := filepath.Join(filepath.Join(strings.Split(c.Group, ".")...), c.Name, c.Version, c.Name+"-"+c.Version+".pom")
	if !filepath.IsLocal(place) {
		return nil // coordinates come from the outside
	}
	if p, ok := r.known[place]; ok {
		return p
	}
	var found *Pom
	for _, dir := range r.dirs {
		text, err := readUpTo(filepath.Join(dir, place), maxPom)
		if err != nil {
			continue // what is not there is not known
		}
		if p, err := ParsePom(text); err == nil {
			found = &p
			break
		}
	}
	r.known[place] = found
	return found
}

func readUpTo(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// chain lists a jar's pom and its parents, as far as they are known: the
// repository's pom before the one in the jar, since that is what Maven read.
func (r *poms) chain(j Jar) []Pom {
	first := r.find(j.Coordinates)
	if first == nil {
		first = j.Pom
	}
	var list []Pom
	for p := first; p != nil && len(list) < maxParents; {
		list = append(list, *p)
		if p.Parent == nil {
			break
		}
		p = r.find(*p.Parent)
	}
	return list
}

// licenses are those of the pom, else of the next parent that has any: as
// Maven inherits them.
func licenses(chain []Pom) []License {
	for _, p := range chain {
		if len(p.Licenses) > 0 {
			return p.Licenses
		}
	}
	return nil
}

// needs are the dependencies of a pom and its parents, as group:artifact.
func needs(chain []Pom) []string {
	var list []string
	for i, p := range chain {
		for _, n := range p.Needs {
			s := n.Group + ":" + n.Name
			for _, above := range chain[i:] {
				s = above.resolve(s)
			}
			list = append(list, s)
		}
	}
	return list
}
