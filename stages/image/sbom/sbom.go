// Package sbom writes a software bill of materials: what an image is made of,
// in the form of CycloneDX 1.6 (ECMA-424).
package sbom

import (
	"time"
)

// Coordinates name an artifact as Maven does.
type Coordinates struct {
	Group      string `json:"group,omitempty"`
	Name       string `json:"name"`
	Version    string `json:"version,omitempty"`
	Classifier string `json:"classifier,omitempty"`
}

// key is what dependencies in poms go by.
func (c Coordinates) key() string { return c.Group + ":" + c.Name }

// Document is what an image is made of.
type Document struct {
	Created     time.Time // the document's time: the commit's, so that the same input gives the same bytes
	Application Application
	Libraries   []Library // in the order of the class path
	// Absent are dependencies that the build resolved and that are not in the
	// image, since they hold nothing: Spring Boot's starters. What they need
	// is needed by who needs them.
	Absent  []Coordinates
	Grounds []Ground // what the image of each platform stands on
	// Repositories are Maven repositories on disk, where poms are looked up
	// for licences and dependencies that jars do not tell of.
	Repositories []string
}

// Application is the jar that the image is made for.
type Application struct {
	Coordinates
	SHA256   string // 64 hexadecimal digits, of the jar as it was built
	Source   string // the repository's URL, without credentials
	Revision string // the commit
	Jar      Jar
}

// Library is one jar beside the application.
type Library struct {
	Path   string // in the image, without the leading slash
	SHA256 string // 64 hexadecimal digits, of the jar as the build had it
	Jar    Jar
}

// Ground is what an image stands on: a linked Java runtime with parts of a
// distribution, or somebody else's image.
type Ground struct {
	Runtime  *Runtime
	System   System
	Packages []Package // of System, that the image has files of
	Base     *Image
}

// Runtime is a Java runtime.
type Runtime struct {
	Version string // 17.0.15
	Vendor  string // may be empty
}

// System is a Linux distribution.
type System struct{ ID, Version, Name string }

// Package is one of its packages.
type Package struct {
	Name, Version, Architecture string
	Source, SourceVersion       string
	Maintainer, Description     string
}

// Image is an image in a registry or a layout.
type Image struct {
	Reference string
	Digest    string // sha256:…
}
