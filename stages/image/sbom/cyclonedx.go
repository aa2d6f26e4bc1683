package sbom

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// MediaType is that of the document that Write gives (CycloneDX,
// “Registered Media Types”).
const MediaType = "application/vnd.cyclonedx+json"

// What the document says of itself and of its parts, in properties.
const (
	propertyHashes = "fastship:hashes"
	propertyPath   = "fastship:path"
	propertyBy     = "fastship:identified-by"

	hashesNote = "of the jars as the build had them, before their entries were stored uncompressed in the image; of modules of the same build: as they are in the image"
)

// writer gathers the document.
type writer struct {
	doc        Document
	spdx       spdx
	poms       poms
	components []cdx.Component
	edges      []cdx.Dependency
	refs       map[string]int         // how often a bom-ref is used
	byKey      map[string][]string    // bom-refs by group:artifact
	absent     map[string]Coordinates // by group:artifact
	runs       map[string][]string    // what a runtime needs, by bom-ref
}

// Write gives the document as JSON. The same Document gives the same bytes.
func (d Document) Write() ([]byte, error) {
	w := &writer{doc: d, spdx: newSPDX(), poms: poms{dirs: d.Repositories, known: map[string]*Pom{}}, refs: map[string]int{}, byKey: map[string][]string{}, runs: map[string][]string{}, absent: map[string]Coordinates{}}
	root, rootChain := w.application()
	chains := make([][]Pom, len(d.Libraries))
	refs := make([]string, len(d.Libraries))
	for i, l := range d.Libraries {
		refs[i], chains[i] = w.library(l)
	}
	below := w.grounds()
	for _, c := range d.Absent {
		if w.byKey[c.key()] == nil {
			w.absent[c.key()] = c
		}
	}
	w.depend(root.BOMRef, rootChain, below)
	for i := range d.Libraries {
		w.depend(refs[i], chains[i], nil)
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: d.Created.UTC().Format(time.RFC3339),
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "fastship"}}},
		Component: &root,
	}
	bom.Components = &w.components
	slices.SortFunc(w.edges, func(a, b cdx.Dependency) int { return strings.Compare(a.Ref, b.Ref) })
	bom.Dependencies = &w.edges
	bom.Properties = &[]cdx.Property{{Name: propertyHashes, Value: hashesNote}}
	return encode(bom)
}

// encode writes the document twice: its serial number is made of what it says,
// so that two documents have one number only when they are one.
func encode(bom *cdx.BOM) ([]byte, error) {
	bom.SerialNumber = ""
	var b bytes.Buffer
	write := func() error {
		b.Reset()
		return cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cdx.SpecVersion1_6)
	}
	if err := write(); err != nil {
		return nil, fmt.Errorf("write the bill of materials: %w", err)
	}
	bom.SerialNumber = serial(sha256.Sum256(b.Bytes()))
	if err := write(); err != nil {
		return nil, fmt.Errorf("write the bill of materials: %w", err)
	}
	return b.Bytes(), nil
}

// serial makes a UUID of a digest: version 8, of one's own making (RFC 9562,
// 5.8).
func serial(sum [32]byte) string {
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// ref makes a reference that no other component has.
func (w *writer) ref(wanted string) string {
	w.refs[wanted]++
	if n := w.refs[wanted]; n > 1 {
		return fmt.Sprintf("%s#%d", wanted, n)
	}
	return wanted
}

func (w *writer) application() (cdx.Component, []Pom) {
	a := w.doc.Application
	c := component(cdx.ComponentTypeApplication, a.Coordinates)
	c.BOMRef = w.ref(orElse(c.PackageURL, "application"))
	if a.SHA256 != "" {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: a.SHA256}}
	}
	if a.Source != "" {
		ref := cdx.ExternalReference{Type: cdx.ERTypeVCS, URL: a.Source}
		if a.Revision != "" {
			ref.Comment = "revision " + a.Revision
		}
		c.ExternalReferences = &[]cdx.ExternalReference{ref}
	}
	chain := w.poms.chain(Jar{Coordinates: a.Coordinates, Pom: a.Jar.Pom})
	c.Licenses = w.licenses(chain, "")
	w.contained(&c, a.Jar.Contains)
	return c, chain
}

func (w *writer) library(l Library) (ref string, chain []Pom) {
	j := l.Jar
	c := component(cdx.ComponentTypeLibrary, j.Coordinates)
	c.BOMRef = w.ref(orElse(c.PackageURL, "sha256:"+l.SHA256))
	hashes := []cdx.Hash{}
	for _, h := range []cdx.Hash{{Algorithm: cdx.HashAlgoSHA1, Value: j.SHA1}, {Algorithm: cdx.HashAlgoSHA256, Value: l.SHA256}, {Algorithm: cdx.HashAlgoSHA512, Value: j.SHA512}} {
		if h.Value != "" {
			hashes = append(hashes, h)
		}
	}
	c.Hashes = &hashes
	c.Scope = cdx.ScopeRequired
	c.Properties = &[]cdx.Property{{Name: propertyPath, Value: l.Path}, {Name: propertyBy, Value: j.By}}
	chain = w.poms.chain(j)
	c.Licenses = w.licenses(chain, j.License)
	w.contained(&c, j.Contains)
	w.components = append(w.components, c)
	w.byKey[j.key()] = append(w.byKey[j.key()], c.BOMRef)
	return c.BOMRef, chain
}

// contained are the artifacts whose classes were put into a jar.
func (w *writer) contained(c *cdx.Component, inside []Coordinates) {
	if len(inside) == 0 {
		return
	}
	list := make([]cdx.Component, len(inside))
	for i, in := range inside {
		list[i] = component(cdx.ComponentTypeLibrary, in)
		list[i].BOMRef = w.ref(c.BOMRef + "!" + orElse(list[i].PackageURL, in.Name))
	}
	c.Components = &list
}

func component(kind cdx.ComponentType, c Coordinates) cdx.Component {
	return cdx.Component{Type: kind, Group: c.Group, Name: orElse(c.Name, "application"), Version: c.Version, PackageURL: c.URL()}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// licenses are a pom's, else what the manifest says. What is no SPDX
// identifier is given by name and address, as it is written.
func (w *writer) licenses(chain []Pom, manifest string) *cdx.Licenses {
	found := licenses(chain)
	if len(found) == 0 && manifest != "" && !strings.ContainsAny(manifest, `;,"`) {
		l := License{Name: manifest}
		if strings.Contains(manifest, "://") {
			l = License{URL: manifest}
		}
		found = []License{l}
	}
	var list cdx.Licenses
	for _, l := range found {
		out := cdx.License{ID: w.spdx.id(l)}
		if out.ID == "" {
			out.Name = orElse(l.Name, l.URL)
			if iri(l.URL) {
				out.URL = l.URL
			}
		}
		if !slices.ContainsFunc(list, func(c cdx.LicenseChoice) bool { return c.License.ID == out.ID && c.License.Name == out.Name }) {
			list = append(list, cdx.LicenseChoice{License: &out})
		}
	}
	if list == nil {
		return nil
	}
	return &list
}

// iri tells whether the schema takes a text for an address.
func iri(s string) bool {
	return (strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")) && !strings.ContainsAny(s, " <>\"{}|\\^`")
}

// depend writes what a pom says that a component needs, of what is there. A
// component without a known pom gets no entry: it is not said that it needs
// nothing.
func (w *writer) depend(ref string, chain []Pom, more []string) {
	if len(chain) == 0 && len(more) == 0 {
		return
	}
	on := append([]string{}, more...)
	for _, other := range w.reached(chain, map[string]bool{}) {
		if other != ref {
			on = append(on, other)
		}
	}
	slices.Sort(on)
	on = slices.Compact(on)
	w.edges = append(w.edges, cdx.Dependency{Ref: ref, Dependencies: &on})
}

// reached are the components that poms name, also by way of what is not in the
// image.
func (w *writer) reached(chain []Pom, seen map[string]bool) []string {
	var refs []string
	for _, key := range needs(chain) {
		if seen[key] {
			continue
		}
		seen[key] = true
		refs = append(refs, w.byKey[key]...)
		if c, ok := w.absent[key]; ok {
			refs = append(refs, w.reached(w.poms.chain(Jar{Coordinates: c}), seen)...)
		}
	}
	return refs
}

// add keeps a component of the ground, which several platforms may share.
func (w *writer) add(ref string, c cdx.Component) string {
	if w.refs[ref] == 0 {
		c.BOMRef = w.ref(ref)
		w.components = append(w.components, c)
	}
	return ref
}

// grounds adds what the application runs on and returns what it depends on of
// that.
func (w *writer) grounds() []string {
	var below []string
	for _, g := range w.doc.Grounds {
		if s := g.System; s.ID != "" {
			w.add("os:"+s.ID+"-"+s.Version, cdx.Component{Type: cdx.ComponentTypeOS, Name: s.ID, Version: s.Version, Description: s.Name})
		}
		var packages []string
		for _, p := range g.Packages {
			packages = append(packages, w.distributed(p, g.System))
		}
		if g.Runtime != nil {
			ref := w.runtime(*g.Runtime)
			below = append(below, ref)
			w.runs[ref] = append(w.runs[ref], packages...)
		}
		if g.Base != nil {
			below = append(below, w.base(*g.Base))
		}
	}
	for ref, packages := range w.runs {
		w.depend(ref, nil, packages)
	}
	return below
}

func (w *writer) distributed(p Package, s System) string {
	url := p.purl(s)
	c := cdx.Component{Type: cdx.ComponentTypeLibrary, Name: p.Name, Version: p.Version, Description: p.Description, PackageURL: url}
	if p.Maintainer != "" {
		c.Supplier = &cdx.OrganizationalEntity{Name: p.Maintainer}
	}
	return w.add(url, c)
}

func (w *writer) runtime(r Runtime) string {
	c := cdx.Component{
		// Scanners look at applications and libraries alone; a JVM is what
		// CycloneDX would call a platform.
		Type: cdx.ComponentTypeApplication, Name: "openjdk", Version: r.Version,
		PackageURL: "pkg:generic/openjdk@" + escape(r.Version), CPE: "cpe:2.3:a:oracle:openjdk:" + cpe(r.Version) + ":*:*:*:*:*:*:*",
	}
	if r.Vendor != "" {
		c.Supplier = &cdx.OrganizationalEntity{Name: r.Vendor}
	}
	return w.add(c.PackageURL, c)
}

func (w *writer) base(b Image) string {
	c := cdx.Component{Type: cdx.ComponentTypeContainer, Name: b.Reference, Version: b.Digest, PackageURL: b.purl()}
	if hex, ok := strings.CutPrefix(b.Digest, "sha256:"); ok {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex}}
	}
	return w.add(orElse(c.PackageURL, b.Digest), c)
}

// cpe quotes a version for a CPE 2.3 name (NISTIR 7695, 6.2).
func cpe(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'\\', c})
	}
	return b.String()
}
