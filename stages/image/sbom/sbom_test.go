package sbom

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func jar(t testing.TB, files ...string) *zip.Reader {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, files[i+1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func properties4(g, a, v string) (string, string) {
	return "META-INF/maven/" + g + "/" + a + "/pom.properties", "#x\nversion=" + v + "\ngroupId=" + g + "\nartifactId=" + a + "\n"
}

func TestInspect(t *testing.T) {
	pom := func(g, a, v string) []string {
		name, text := properties4(g, a, v)
		return []string{name, text}
	}
	for name, c := range map[string]struct {
		file     string
		inside   []string
		maven    Coordinates
		want     Coordinates
		by       string
		contains int
	}{
		"maven":            {"core-6.2.1.jar", nil, Coordinates{Group: "org.x", Name: "core", Version: "6.2.1"}, Coordinates{Group: "org.x", Name: "core", Version: "6.2.1"}, byMaven, 0},
		"maven classifier": {"netty-4.1-linux-x86_64.jar", nil, Coordinates{Group: "io.netty", Name: "netty", Version: "4.1"}, Coordinates{Group: "io.netty", Name: "netty", Version: "4.1", Classifier: "linux-x86_64"}, byMaven, 0},
		"pom":              {"core-6.2.1.jar", pom("org.x", "core", "6.2.1"), Coordinates{}, Coordinates{Group: "org.x", Name: "core", Version: "6.2.1"}, byPom, 0},
		"longest artifact": {"core-api-1.jar", slices.Concat(pom("org.x", "core", "9"), pom("org.x", "core-api", "1")), Coordinates{}, Coordinates{Group: "org.x", Name: "core-api", Version: "1"}, byPom, 1},
		"shaded":           {"all-1.jar", slices.Concat(pom("org.x", "core", "9"), pom("org.y", "other", "1")), Coordinates{}, Coordinates{Name: "all", Version: "1"}, byName, 2},
		"manifest":         {"legacy.jar", []string{"META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nImplementation-Version: 2.\r\n 5\r\nImplementation-Vendor-Id: org.le\r\n gacy\r\n\r\nName: a\r\nImplementation-Version: 7\r\n"}, Coordinates{}, Coordinates{Group: "org.legacy", Name: "legacy", Version: "2.5"}, byManifest, 0},
		"name":             {"odd-thing-1.0-beta2.jar", nil, Coordinates{}, Coordinates{Name: "odd-thing", Version: "1.0-beta2"}, byName, 0},
		"nothing":          {"größe.jar", nil, Coordinates{}, Coordinates{Name: "größe"}, byName, 0},
		"lies":             {"a-1.jar", []string{"META-INF/maven/g/a/pom.xml", "<project", "META-INF/maven/g/b/pom.properties", "no version"}, Coordinates{}, Coordinates{Name: "a", Version: "1"}, byName, 0},
	} {
		var archive *zip.Reader
		if c.inside != nil {
			archive = jar(t, c.inside...)
		}
		j := Inspect(archive, c.file, c.maven)
		if j.Coordinates != c.want || j.By != c.by || len(j.Contains) != c.contains {
			t.Errorf("%s: %+v by %s, %d inside", name, j.Coordinates, j.By, len(j.Contains))
		}
	}
}

const parentPom = `<?xml version="1.0" encoding="ISO-8859-1"?>
<project xmlns="http://maven.apache.org/POM/4.0.0"><groupId>org.x</groupId><artifactId>parent</artifactId><version>3</version>
<licenses><license><name>The Apache Software License,
   Version 2.0</name><url>https://www.apache.org/licenses/LICENSE-2.0.txt</url></license></licenses>
<properties><y.group>org.y</y.group></properties></project>`

const corePom = `<project><parent><groupId>org.x</groupId><artifactId>parent</artifactId><version>3</version></parent>
<artifactId>core</artifactId><version>6.2.1</version><dependencies>
<dependency><groupId>${project.groupId}</groupId><artifactId>util</artifactId></dependency>
<dependency><groupId>${own.group}</groupId><artifactId>other</artifactId><scope>runtime</scope></dependency>
<dependency><groupId>org.x</groupId><artifactId>shaded</artifactId><optional>true</optional></dependency>
<dependency><groupId>junit</groupId><artifactId>junit</artifactId><scope>test</scope></dependency>
</dependencies><properties><own.group>org.y</own.group><unused>1</unused></properties></project>`

// sample is a document with something of everything.
func sample(t testing.TB) Document {
	t.Helper()
	repository := t.TempDir()
	for place, text := range map[string]string{
		"org/x/parent/3/parent-3.pom": parentPom,
		"org/s/starter/1/starter-1.pom": `<project><groupId>org.s</groupId><artifactId>starter</artifactId><version>1</version><dependencies>
			<dependency><groupId>org.x</groupId><artifactId>shaded</artifactId></dependency>
			<dependency><groupId>org.s</groupId><artifactId>starter</artifactId></dependency></dependencies></project>`,
	} {
		if err := os.MkdirAll(filepath.Join(repository, filepath.Dir(place)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repository, place), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lib := func(file string, maven Coordinates, inside ...string) Library {
		j := Inspect(jar(t, inside...), file, maven)
		if err := j.Hash(strings.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		return Library{Path: "app/lib/" + file, SHA256: strings.Repeat("a", 64), Jar: j}
	}
	bName, bText := properties4("org.b", "b", "2")
	aName, aText := properties4("org.a", "a", "1")
	return Document{
		Created: time.Date(2024, 5, 6, 7, 8, 9, 0, time.FixedZone("", 7200)),
		Application: Application{
			Coordinates: Coordinates{Group: "com.example", Name: "orders", Version: "1.0+7"}, SHA256: strings.Repeat("0", 64),
			Source: "https://example.com/orders.git", Revision: "0123456789abcdef0123456789abcdef01234567",
			Jar: Jar{Pom: &Pom{Name: "orders", Needs: []Need{{"org.x", "core"}, {"org.not", "here"}, {"org.s", "starter"}}}},
		},
		Libraries: []Library{
			lib("core-6.2.1.jar", Coordinates{Group: "org.x", Name: "core", Version: "6.2.1"}, "META-INF/maven/org.x/core/pom.xml", corePom),
			lib("util-1.jar", Coordinates{Group: "org.x", Name: "util", Version: "1"}, "META-INF/maven/org.x/util/pom.xml", `<project><artifactId>util</artifactId><licenses><license><name>GPL2 w/ CPE</name><url>not a url</url></license><license><name>MIT</name></license></licenses></project>`),
			lib("other-1.jar", Coordinates{Group: "org.y", Name: "other", Version: "1"}, "META-INF/MANIFEST.MF", "Bundle-License: https://www.apache.org/licenses/LICENSE-2.0.txt\n"),
			lib("shaded-1.jar", Coordinates{Group: "org.x", Name: "shaded", Version: "1"}, aName, aText, bName, bText),
			lib("unknown.jar", Coordinates{}),
			lib("unknown.jar", Coordinates{}), // the same file in two folders
		},
		Grounds: []Ground{{
			Runtime: &Runtime{Version: "17.0.15", Vendor: "Debian"},
			System:  System{"debian", "12", "Debian GNU/Linux 12 (bookworm)"},
			Packages: []Package{
				{Name: "libc6", Version: "2.36-9+deb12u10", Architecture: "amd64", Source: "glibc", SourceVersion: "2.36-9+deb12u10", Maintainer: "GNU Libc Maintainers <x@example.com>"},
				{Name: "libgcc-s1", Version: "12.2.0-14", Architecture: "amd64", Source: "gcc-12", SourceVersion: "12.2.0-13"},
			},
		}, { // another platform with the same JDK
			Runtime:  &Runtime{Version: "17.0.15", Vendor: "Debian"},
			System:   System{"debian", "12", "Debian GNU/Linux 12 (bookworm)"},
			Packages: []Package{{Name: "libc6", Version: "2.36-9+deb12u10", Architecture: "arm64", Source: "glibc", SourceVersion: "2.36-9+deb12u10"}},
		}},
		Absent:       []Coordinates{{Group: "org.s", Name: "starter", Version: "1"}, {Group: "org.x", Name: "core", Version: "6.2.1"}},
		Repositories: []string{filepath.Join(repository, "absent"), repository},
	}
}

func decode(t testing.TB, raw []byte) cdx.BOM {
	t.Helper()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(raw), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	return bom
}

func TestWrite(t *testing.T) {
	d := sample(t)
	raw, err := d.Write()
	if err != nil {
		t.Fatal(err)
	}
	valid(t, raw)
	again, err := d.Write()
	if err != nil || !bytes.Equal(raw, again) {
		t.Errorf("the same document gives other bytes: %v", err)
	}
	bom := decode(t, raw)
	d.Libraries[0].SHA256 = strings.Repeat("b", 64)
	changed, err := d.Write()
	if err != nil || decode(t, changed).SerialNumber == bom.SerialNumber {
		t.Errorf("another document has the same serial number: %v", err)
	}
	if bom.Metadata.Timestamp != "2024-05-06T05:08:09Z" || bom.Metadata.Component.PackageURL != "pkg:maven/com.example/orders@1.0%2B7" {
		t.Errorf("%+v, %+v", bom.Metadata, bom.Metadata.Component)
	}
	by := map[string]cdx.Component{}
	for _, c := range *bom.Components {
		if _, twice := by[c.BOMRef]; twice {
			t.Errorf("two components are %s", c.BOMRef)
		}
		by[c.BOMRef] = c
	}
	if len(by) != 6+1+3+1 {
		t.Errorf("%d components", len(by))
	}
	core := by["pkg:maven/org.x/core@6.2.1"]
	if core.Licenses == nil || (*core.Licenses)[0].License.ID != "Apache-2.0" || len(*core.Hashes) != 3 {
		t.Errorf("core %+v", core)
	}
	util := by["pkg:maven/org.x/util@1"]
	if l := *util.Licenses; len(l) != 2 || l[0].License.Name != "GPL2 w/ CPE" || l[0].License.URL != "" || l[1].License.ID != "MIT" {
		t.Errorf("util %+v", l)
	}
	if other := by["pkg:maven/org.y/other@1"]; (*other.Licenses)[0].License.ID != "Apache-2.0" {
		t.Errorf("other %+v", other)
	}
	if shaded := by["pkg:maven/org.x/shaded@1"]; len(*shaded.Components) != 2 || (*shaded.Components)[1].PackageURL != "pkg:maven/org.b/b@2" {
		t.Errorf("shaded %+v", shaded.Components)
	}
	needs := map[string][]string{}
	for _, e := range *bom.Dependencies {
		needs[e.Ref] = []string{}
		if e.Dependencies != nil {
			needs[e.Ref] = *e.Dependencies
		}
	}
	if got := needs["pkg:maven/org.x/core@6.2.1"]; !slices.Equal(got, []string{"pkg:maven/org.x/util@1", "pkg:maven/org.y/other@1"}) {
		t.Errorf("core needs %v", got)
	}
	if got := needs[bom.Metadata.Component.BOMRef]; !slices.Equal(got, []string{"pkg:generic/openjdk@17.0.15", "pkg:maven/org.x/core@6.2.1", "pkg:maven/org.x/shaded@1"}) {
		t.Errorf("the application needs %v", got)
	}
	if got := needs["pkg:generic/openjdk@17.0.15"]; len(got) != 3 {
		t.Errorf("the JVM needs %v", got)
	}
	if got, said := needs["pkg:maven/org.y/other@1"]; said {
		t.Errorf("nobody knows what other needs, and it says %v", got)
	}
	if _, ok := by["pkg:deb/debian/libgcc-s1@12.2.0-14?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-13"]; !ok {
		t.Error("no libgcc-s1")
	}
	if strings.Contains(string(raw), d.Repositories[1]) {
		t.Error("it tells of a path on this machine")
	}
}

func TestWriteOnABaseImage(t *testing.T) {
	d := sample(t)
	for reference, want := range map[string]string{
		"registry.example:5000/base/java:21@sha256:" + strings.Repeat("e", 64): "pkg:oci/java@sha256:" + strings.Repeat("e", 64) + "?repository_url=registry.example:5000%2Fbase%2Fjava",
		"oci:base": "",
	} {
		d.Grounds = []Ground{{Base: &Image{Reference: reference, Digest: "sha256:" + strings.Repeat("e", 64)}}}
		raw, err := d.Write()
		if err != nil {
			t.Fatal(err)
		}
		valid(t, raw)
		bom := decode(t, raw)
		last := (*bom.Components)[len(*bom.Components)-1]
		if last.PackageURL != want || (*last.Hashes)[0].Value != strings.Repeat("e", 64) {
			t.Errorf("%+v", last)
		}
	}
	raw, err := Document{}.Write() // nothing known
	if err != nil {
		t.Fatal(err)
	}
	valid(t, raw)
}

func TestLicenseNames(t *testing.T) {
	s := newSPDX()
	for _, c := range [][3]string{
		{"Apache License, Version 2.0", "", "Apache-2.0"}, {"Apache-2.0", "", "Apache-2.0"}, {"The Apache License, Version 2.0", "", "Apache-2.0"},
		{"The Apache Software License, Version 2.0", "", "Apache-2.0"}, {"Apache License 2.0", "", "Apache-2.0"}, {"ASL 2.0", "", "Apache-2.0"},
		{"Apache 2", "", "Apache-2.0"}, {"Apache License v2.0", "", "Apache-2.0"},
		{"The MIT License", "", "MIT"}, {"MIT License", "", "MIT"}, {"EPL 2.0", "", "EPL-2.0"}, {"Eclipse Public License v. 2.0", "", "EPL-2.0"}, {"Eclipse Public License - v 1.0", "", "EPL-1.0"},
		{"EDL 1.0", "", "BSD-3-Clause"}, {"Eclipse Distribution License - v 1.0", "", "BSD-3-Clause"}, {"The BSD License", "", ""}, {"BSD-3-Clause", "", "BSD-3-Clause"},
		{"GNU Lesser General Public License", "http://www.gnu.org/licenses/old-licenses/lgpl-2.1.html", "LGPL-2.1-only"},
		{"GPL2 w/ CPE", "https://www.gnu.org/software/classpath/license.html", ""}, {"some", "http://opensource.org/licenses/MIT", "MIT"}, {"", "", ""},
	} {
		if got := s.id(License{c[0], c[1]}); got != c[2] {
			t.Errorf("%q %q: %q, want %q (%q)", c[0], c[1], got, c[2], normal(c[0]))
		}
	}
}

// TestPomsLead: coordinates and parents come from outside.
func TestPomsLead(t *testing.T) {
	p := poms{dirs: []string{t.TempDir()}, known: map[string]*Pom{}}
	if p.find(Coordinates{Group: "..", Name: "..", Version: "x"}) != nil {
		t.Error("a pom outside the repository")
	}
	self := &Pom{Name: "a", Group: "g", Version: "1", Parent: &Coordinates{Group: "g", Name: "a", Version: "1"}}
	p.known[filepath.Join("g", "a", "1", "a-1.pom")] = self
	if got := len(p.chain(Jar{Coordinates: Coordinates{Group: "g", Name: "a", Version: "1"}})); got != maxParents {
		t.Errorf("a pom that is its own parent: %d", got)
	}
}

// valid holds a document against the schema that comes with the library.
func valid(t testing.TB, raw []byte) {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	for _, name := range []string{"bom-1.6.schema.json", "spdx.schema.json", "jsf-0.82.schema.json"} {
		file := name
		if strings.HasPrefix(name, "jsf") {
			file = "jsf-0.82.schemax.json"
		}
		f, err := os.Open(filepath.Join(strings.TrimSpace(string(out)), "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		schema, err := jsonschema.UnmarshalJSON(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+name, schema); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	c.AssertFormat()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Fatalf("the schema: %v\n%s", err, raw)
	}
	var shape struct{ SpecVersion, SerialNumber string }
	if err := json.Unmarshal(raw, &shape); err != nil || shape.SpecVersion != "1.6" || !strings.HasPrefix(shape.SerialNumber, "urn:uuid:") {
		t.Errorf("%+v, %v", shape, err)
	}
}

func FuzzPom(f *testing.F) {
	f.Add([]byte(corePom))
	f.Add([]byte(parentPom))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePom(text)
		if err != nil {
			return
		}
		needs([]Pom{p})
		if _, err := (Document{Application: Application{Jar: Jar{Pom: &p}}}).Write(); err != nil {
			t.Fatal(err)
		}
	})
}
