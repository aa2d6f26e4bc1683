package image

import (
	"cmp"
	"path"
	"regexp"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/image/jre"
	"github.com/fastship/fastship/stages/internal/oci"
)

// jlink is the Base that needs no network.
const jlink = "jlink"

// base is what the application's layers are put on. Its layers are blobs in
// the cache, unless it is lazy.
type base struct {
	name     string // for people, and Out.Base
	ref      string // the reference it was asked for; empty for jlink
	digest   string // what ref was pinned to; empty for jlink
	layers   []oci.Layer
	history  []v1.History
	config   v1.Config
	platform v1.Platform
	java     string   // the entrypoint's first word
	flags    []string // that follow it
	release  int      // its Java release; 0 when unknown
	cached   bool     // nothing had to be made or fetched
	lazy     bool     // its layers may be missing in the cache: the push brings them

	// archive is what training has made of the application on this base; nil
	// for nothing.
	archive *oci.Layer

	// Of the linked base: the JDK, and the distribution's packages that the
	// rest of it comes from.
	jdk      jre.JDK
	packages []jre.Package
	system   jre.System
}

// leavesBase tells whether a base's layers may stay in its registry: nobody
// but the push needs their bytes.
func (c Config) leavesBase() bool { return c.Pushed && !c.Outputs.any() }

// nonroot is the user of images whose base has none; the number is that of
// Google's distroless images, by now customary.
const nonroot = "65532:65532"

// userOf keeps a base's own user unless that is root.
func userOf(user string) string {
	name, _, _ := strings.Cut(user, ":")
	if name == "" || name == "root" || name == "0" {
		return nonroot
	}
	return user
}

func env(vars []string, name string) string {
	for i := len(vars) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(vars[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// javaOf finds the java command of a base that somebody else made: below its
// JAVA_HOME, or whatever its PATH gives.
func javaOf(vars []string) string {
	if home := env(vars, "JAVA_HOME"); path.IsAbs(home) {
		return path.Join(home, "bin", "java")
	}
	return "java"
}

var javaVersion = regexp.MustCompile(`^(?:jdk-?)?(?:1\.)?(\d+)`)

// releaseOf reads the JAVA_VERSION that the usual base images set: 17.0.2,
// jdk-21.0.9+10, 8u412.
func releaseOf(vars []string) int {
	m := javaVersion.FindStringSubmatch(env(vars, "JAVA_VERSION"))
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// ociType gives a base's layer the OCI name of its type: the bytes are the
// same, and a manifest should not mix the two families.
func ociType(mediaType string) string {
	switch mediaType {
	case "application/vnd.docker.image.rootfs.diff.tar.gzip":
		return oci.MediaTypeLayerGzip
	case "application/vnd.docker.image.rootfs.diff.tar":
		return "application/vnd.oci.image.layer.v1.tar"
	case "application/vnd.docker.image.rootfs.diff.tar.zstd":
		return oci.MediaTypeLayerZstd
	}
	return mediaType
}

// pinned is how a reference and its digest are written together.
func pinned(ref, digest string) string {
	bare, _, _ := strings.Cut(ref, "@")
	return bare + "@" + digest
}

func layerDescriptor(d v1.Descriptor) cache.Descriptor {
	return cache.Descriptor{Name: "base", MediaType: ociType(string(d.MediaType)), Digest: cache.Digest(d.Digest.String()), Size: d.Size}
}

func platformName(p v1.Platform) string {
	name := cmp.Or(p.OS, "linux") + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	return name
}
