// Package image makes an OCI image of a jar and a Java runtime, without a
// Docker daemon.
package image

import (
	"context"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/extra"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// Config is what the image section of fastship.yaml says to this stage.
type Config struct {
	// Base is jlink (the default): a Java runtime linked from the JDK at
	// hand; else a reference of an image that has Java (host/name:tag or
	// host/name@digest), or oci:DIR, an OCI layout, relative to Dir.
	Base    string   `yaml:"base"`
	Modules []string `yaml:"modules"` // modules that no class names, added to the jlink base
	JVM     []string `yaml:"jvm"`     // JVM flags of the entrypoint
	Jars    string   `yaml:"jars"`    // stored (the default): libraries rewritten without compression of their own; verbatim: as they are
	// Compression is that of layers: gzip, zstd, or auto (the default), which
	// is zstd where every reader of the image is known to take it.
	Compression string `yaml:"compression"`
	// Platforms are those that the image is for: linux/amd64, linux/arm64.
	// Several give an index. Empty means the one that Deps.Platform names.
	Platforms []string `yaml:"platforms"`
	// JDKs are the folders of JDKs by platform, for jlink bases of platforms
	// that the JDK at hand is not made for, relative to Dir.
	JDKs map[string]string `yaml:"jdks"`
	// Certificates are PEM files of authorities that the jlink base trusts
	// besides the JDK's own, relative to Dir.
	Certificates []string `yaml:"certificates"`
	Debug        bool     `yaml:"debug"` // adds a shell, its usual tools, jcmd and jfr to the jlink base
	// Train says which classes are archived for a faster start: auto (the
	// default) those of released libraries, full the application's too, which
	// takes a training at each change, never none.
	Train     string `yaml:"train"`
	Container `yaml:",inline"`
	Files     []extra.Files `yaml:"files"` // files of the project that go into the image, in a layer of their own
	Outputs   Outputs       `yaml:"-"`     // places for the image beside the layout
	// Dir is the project's folder, absolute, to which paths are relative.
	Dir string `yaml:"-"`
	// SBOM and Provenance say whether a bill of materials and a statement of
	// where the image comes from are made; nil means yes.
	SBOM       *bool `yaml:"sbom"`
	Provenance *bool `yaml:"provenance"`
	// Pushed says that the image goes to a registry, for readers that nobody
	// here knows, and that a base's layers need not be here: the push has them
	// from its registry, if at all.
	Pushed bool   `yaml:"-"`
	Layout string `yaml:"-"` // the OCI layout's folder, absolute: .fastship/image
	// Insecure allows plain http to the base's registry when it is not on
	// this machine.
	Insecure bool `yaml:"-"`
}

// inProject is a path as fastship.yaml has it, relative to its folder.
func (c Config) inProject(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.Dir, path)
}

// Deps is what the stage is lent.
type Deps struct {
	Cache *cache.Cache
	// State is the project's state folder, where the jar's digest is known
	// again without reading it; empty reads the jar.
	State string
	// JDK finds, by reading only, the home of the JDK that In will name, so
	// that Check can tell whether it links. Nil leaves that to Run.
	JDK func(context.Context) (home string, err error)
	// Platform names, by reading only, the platform that will run the image:
	// linux/arm64. Nil or an empty name means this machine's.
	Platform func(context.Context) (string, error)
	// Getenv is os.LookupEnv or its like, for what the docker command reads
	// of the environment; nil is an empty one.
	Getenv func(name string) (string, bool)
	// Zstd tells whether all that will pull a pushed image is known to read
	// zstd layers. Nil means that nobody is known.
	Zstd func(context.Context) bool
	// Coming is told, as soon as that is sure, that a new image is being made,
	// with how many blobs of its own at least; before that, where its libraries
	// are foreseen, of zero blobs, as soon as one of their layers is new. What it
	// returns is told of each layer that is whole in Cache, while others are
	// still being made, and of the end, once or twice: when there will be no
	// image after all, or when the run is over. ctx ends with the run or later.
	// Coming and layer return at once. Nil tells nobody.
	Coming func(ctx context.Context, blobs int) (layer func(cache.Descriptor), withdraw func(context.Context))
	// Keychain finds the credentials of the base's registry; nil means the
	// Docker configuration and its helpers.
	Keychain authn.Keychain
}

// In is what an image is made of.
type In struct {
	Jar       runner.Descriptor // Name is the file's absolute path
	Snapshots []string          // file names of libraries that are snapshots
	Modules   []string          // file names of libraries that are modules of the same build
	Name      string            // the application's name: Maven's artifactId
	Version   string
	Group     string // Maven's groupId; empty when nobody knows
	// Libraries are the application's dependencies as the build resolved them.
	Libraries []Library
	// Repositories are Maven repositories on disk, where poms may be.
	Repositories []string
	Build        Build
	Dirty        bool   // the tree had changes that Revision does not have
	JavaHome     string // the JDK that built the jar
	JavaMajor    int
	Revision     string    // the commit, empty outside git
	Source       string    // the remote's URL, empty outside git
	Created      time.Time // the commit's time; zero outside git, then the epoch is used

	book *stamp.Book // of OfJar, which has hashed the jar
}

// stamps is the book that knows the jar.
func (in In) stamps(state string) *stamp.Book {
	if in.book != nil {
		return in.book
	}
	return stamp.Open(state)
}

// Library is a dependency by its coordinates.
type Library struct {
	File                 string // the jar's file name
	Group, Name, Version string
}

// Out is the image as it lies in the OCI layout.
type Out struct {
	Layout   string              `json:"layout"`   // the layout's folder, absolute
	Digest   string              `json:"digest"`   // of the manifest, or of the index of several platforms
	Size     int64               `json:"size"`     // bytes: manifests, configs and layers, each once
	Layers   []runner.Descriptor `json:"layers"`   // bottom first; Name is the layer's role: base, dependencies, …
	Platform string              `json:"platform"` // linux/amd64; of several, the first, and so are Layers and Base
	Kind     string              `json:"kind"`     // what the jar was taken for: spring-boot, quarkus, shaded, thin, plain
	Base     string              `json:"base"`     // jlink and its JDK, or the pinned base reference
	// From is the pinned base reference where the layout may lack layers that
	// the base's registry has; else empty.
	From string `json:"from,omitempty"`
	// Images are those of an index, one for each platform; empty for a
	// manifest alone.
	Images []Image `json:"images,omitempty"`
}

// Image is an index's image for one platform.
type Image struct {
	Platform string              `json:"platform"` // linux/arm64
	Digest   string              `json:"digest"`   // of its manifest
	Size     int64               `json:"size"`     // bytes: manifest, config and layers
	Layers   []runner.Descriptor `json:"layers"`   // bottom first; Name is the layer's role
}

// Platforms lists what the image is for.
func (o Out) Platforms() []string {
	if len(o.Images) == 0 {
		return []string{o.Platform}
	}
	var all []string
	for _, i := range o.Images {
		all = append(all, i.Platform)
	}
	return all
}
