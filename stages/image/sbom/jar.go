package sbom

import (
	"archive/zip"
	"bytes"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/zipfs"
)

// Version changes whenever the same input would give another document.
const Version = "1"

// Jar is what a jar's bytes and name tell of it.
type Jar struct {
	SHA1   string `json:"sha1,omitempty"`   // hexadecimal; empty for the application
	SHA512 string `json:"sha512,omitempty"` // hexadecimal; empty for the application
	Coordinates
	// By says who told the coordinates: maven, pom.properties, manifest or
	// name.
	By       string        `json:"by"`
	Pom      *Pom          `json:"pom,omitempty"`      // the one inside; nil without one
	License  string        `json:"license,omitempty"`  // Bundle-License of the manifest
	Contains []Coordinates `json:"contains,omitempty"` // artifacts whose classes were put into it
}

const (
	byMaven    = "maven"
	byPom      = "pom.properties"
	byManifest = "manifest"
	byName     = "name"
)

// Bounds of what is read of a jar, in bytes and pieces: far above what real
// ones have.
const (
	maxProperties = 64 << 10
	maxPom        = 4 << 20
	maxManifest   = 1 << 20
	maxContained  = 5000
)

// Hash fills the digests that scanners and repositories know a jar by.
func (j *Jar) Hash(r io.Reader) error {
	one, five := sha1.New(), sha512.New()
	if _, err := io.CopyBuffer(io.MultiWriter(one, five), struct{ io.Reader }{r}, make([]byte, 256<<10)); err != nil {
		return err
	}
	j.SHA1, j.SHA512 = hex.EncodeToString(one.Sum(nil)), hex.EncodeToString(five.Sum(nil))
	return nil
}

// Inspect reads the jar's descriptors. name is its file name; maven its
// coordinates when the build told them, else zero. archive may be nil for a
// file that is no readable jar: then the name alone speaks.
func Inspect(archive *zip.Reader, name string, maven Coordinates) Jar {
	name = path.Base(name)
	j := Jar{Coordinates: maven, By: byMaven}
	var inside descriptors
	if archive != nil {
		inside = describe(archive)
		j.License = inside.manifest["Bundle-License"]
	}
	own := inside.own(name, maven)
	if own >= 0 {
		j.Pom = inside.poms[own].pom
	}
	for i, p := range inside.poms {
		if i != own && p.Version != "" { // without one it is a template or an example
			j.Contains = append(j.Contains, p.Coordinates)
		}
	}
	switch {
	case maven.Name != "":
		j.Classifier = classifier(name, maven)
	case own >= 0:
		j.Coordinates, j.By = inside.poms[own].Coordinates, byPom
		j.Classifier = classifier(name, j.Coordinates)
	default:
		j.Coordinates, j.By = guess(name, inside.manifest)
	}
	return j
}

// descriptors is what Maven and others left in a jar.
type descriptors struct {
	manifest map[string]string
	poms     []described // sorted by coordinates
}

type described struct {
	Coordinates
	pom *Pom // nil where only pom.properties is there
}

var descriptor = regexp.MustCompile(`^META-INF/maven/([^/]+)/([^/]+)/pom\.(xml|properties)$`)

// describe reads what a jar tells; what cannot be read is as good as not
// there.
func describe(archive *zip.Reader) descriptors {
	var d descriptors
	at := map[string]int{}
	for _, f := range archive.File {
		if f.Name == "META-INF/MANIFEST.MF" {
			if text, err := zipfs.Read(f, maxManifest); err == nil {
				d.manifest = headers(text)
			}
			continue
		}
		m := descriptor.FindStringSubmatch(f.Name)
		if m == nil || len(d.poms) >= maxContained {
			continue
		}
		key := m[1] + ":" + m[2]
		i, ok := at[key]
		if !ok {
			i = len(d.poms)
			at[key] = i
			d.poms = append(d.poms, described{Coordinates: Coordinates{Group: m[1], Name: m[2]}})
		}
		d.poms[i].read(f, m[3])
	}
	slices.SortFunc(d.poms, func(a, b described) int { return strings.Compare(a.key(), b.key()) })
	return d
}

func (p *described) read(f *zip.File, kind string) {
	if kind == "properties" {
		text, err := zipfs.Read(f, maxProperties)
		if err != nil {
			return
		}
		for line := range bytes.Lines(text) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "version="); ok {
				p.Version = value
			}
		}
		return
	}
	text, err := zipfs.Read(f, maxPom)
	if err != nil {
		return
	}
	pom, err := ParsePom(text)
	if err != nil {
		return
	}
	p.pom = &pom
	if v := pom.version(); p.Version == "" && !strings.Contains(v, "${") {
		p.Version = v
	}
}

// own finds the pom of the jar itself: the one that Maven names, else the one
// whose artifact the file is named for, the longest where several fit.
func (d descriptors) own(file string, maven Coordinates) int {
	best := -1
	stem := strings.TrimSuffix(file, path.Ext(file))
	for i, p := range d.poms {
		if maven.Name != "" {
			if p.key() == maven.key() {
				return i
			}
			continue
		}
		fits := p.Version != "" && (stem == p.Name || strings.HasPrefix(stem, p.Name+"-") || strings.HasPrefix(stem, p.Group+"."+p.Name+"-")) // Quarkus puts the group in front
		if fits && (best < 0 || len(p.Name) > len(d.poms[best].Name)) {
			best = i
		}
	}
	return best
}

// classifier is what a file's name has beyond artifact and version.
func classifier(file string, c Coordinates) string {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(file, path.Ext(file)), c.Name+"-"+c.Version+"-")
	if !ok {
		return ""
	}
	return rest
}

var versioned = regexp.MustCompile(`^(.+?)-(\d.*)$`)

// guess reads coordinates off the manifest and the file's name. A group is
// only taken from what is a group by its form.
func guess(file string, manifest map[string]string) (c Coordinates, by string) {
	stem := strings.TrimSuffix(file, path.Ext(file))
	c, by = Coordinates{Name: stem}, byName
	if m := versioned.FindStringSubmatch(stem); m != nil {
		c.Name, c.Version = m[1], m[2]
	}
	if c.Version == "" {
		for _, name := range []string{"Implementation-Version", "Bundle-Version"} {
			if v := manifest[name]; v != "" && c.Version == "" {
				c.Version, by = v, byManifest
			}
		}
	}
	if id := manifest["Implementation-Vendor-Id"]; strings.Contains(id, ".") && !strings.ContainsAny(id, " /:") {
		c.Group, by = id, byManifest
	}
	return c, by
}

// headers reads a manifest's main section (JAR File Specification): lines of
// 72 bytes go on after a blank.
func headers(text []byte) map[string]string {
	all := map[string]string{}
	last := ""
	for line := range bytes.Lines(text) {
		s := strings.TrimRight(string(line), "\r\n")
		if s == "" {
			break
		}
		if more, ok := strings.CutPrefix(s, " "); ok {
			all[last] += more
			continue
		}
		name, value, ok := strings.Cut(s, ": ")
		if !ok {
			continue
		}
		last, all[name] = name, value
	}
	return all
}

// String implements fmt.Stringer.
func (c Coordinates) String() string { return fmt.Sprintf("%s:%s:%s", c.Group, c.Name, c.Version) }
