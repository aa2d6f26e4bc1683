package maven

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/zipfs"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// repackaged are the libraries that spring-boot-maven-plugin, from 2.3 to 4.1,
// will pack into p's application.
func (s *Step) repackaged(ctx context.Context, p *mvn.Project) []Foreseen {
	if p.Repackage.LayoutFactory != "" {
		return nil
	}
	packs := newPackaging(p.Repackage)
	names := map[string]int{}
	for _, d := range p.Resolution.Dependencies {
		names[fileName(d)]++
	}
	var all []Foreseen
	for _, d := range released(p.Resolution) {
		if !packs.has(d) {
			continue
		}
		name := fileName(d)
		if names[name] > 1 {
			name = d.Group + "-" + name // ArtifactsLibraries
		}
		all = append(all, Foreseen{Name: name, File: d.File})
	}
	return append(all, s.tools(ctx, p)...)
}

// fileName is a library's, unless two have the same (ArtifactsLibraries).
func fileName(d mvn.Dependency) string {
	name := d.Artifact + "-" + d.Version
	if d.Classifier != "" {
		name += "-" + d.Classifier
	}
	return name + "." + d.Extension
}

// packaging is what of its dependencies the plugin packs into an application
// (AbstractPackagerMojo, AbstractDependencyFilterMojo).
type packaging struct {
	settings        *mvn.Repackage
	groups          []string // left out
	types           []string // Spring-Boot-Jar-Types, left out
	includeOptional bool
	manifests       *glance
}

func newPackaging(r *mvn.Repackage) *packaging {
	p := &packaging{settings: r, manifests: newGlance(), types: []string{"annotation-processor", "dependencies-starter"}}
	optional := "true"
	if major, _ := release(r.Version); major >= 4 {
		p.types, optional = append(p.types, "development-tool"), "false"
	}
	p.includeOptional = cmp.Or(r.IncludeOptional, optional) == "true"
	for group := range strings.SplitSeq(r.ExcludeGroupIDs, ",") {
		p.groups = append(p.groups, strings.TrimSpace(group))
	}
	return p
}

// release is the major and minor number of a version of Spring Boot.
func release(version string) (major, minor int) {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, _ = strconv.Atoi(first) // 0 for what is no number
	minor, _ = strconv.Atoi(second)
	return major, minor
}

func (p *packaging) has(d mvn.Dependency) bool {
	r := p.settings
	switch {
	case d.Optional && !p.includeOptional,
		d.Group == "org.springframework.boot" && d.Artifact == "spring-boot-devtools" && r.ExcludeDevtools != "false",
		d.Group == "org.springframework.boot" && d.Artifact == "spring-boot-docker-compose" && r.ExcludeDockerCompose != "false",
		slices.Contains(p.groups, d.Group),
		len(r.Includes) > 0 && !lists(r.Includes, d),
		lists(r.Excludes, d):
		return false
	}
	return !slices.Contains(p.types, p.manifests.jarType(d.File))
}

// lists tells whether one of group:artifact[:classifier] is the dependency.
func lists(all []string, d mvn.Dependency) bool {
	id := d.Group + ":" + d.Artifact
	return slices.ContainsFunc(all, func(s string) bool { return s == id || s == id+":"+d.Classifier })
}

// tools is the jar that Spring Boot's packager puts in by itself, the first
// entry of META-INF/jarmode/ in spring-boot-loader-tools: to unpack or list a
// jar's layers. It has no file of its own, so the cache keeps it; without a
// cache, or before Maven has the packager, it is not foreseen.
func (s *Step) tools(ctx context.Context, p *mvn.Project) []Foreseen {
	blobs := s.local()
	if !packsTools(p) || blobs == nil || blobs.Blobs == nil {
		return nil
	}
	version := p.Repackage.Version
	archive, err := zipfs.Open(filepath.Join(p.Resolution.Repository, "org", "springframework", "boot", "spring-boot-loader-tools", version, "spring-boot-loader-tools-"+version+".jar"))
	if err != nil {
		return nil
	}
	defer archive.Close()
	i := slices.IndexFunc(archive.Files(), func(f *zip.File) bool {
		return strings.HasPrefix(f.Name, "META-INF/jarmode/") && strings.HasSuffix(f.Name, ".jar")
	})
	if i < 0 {
		return nil
	}
	f := archive.Files()[i]
	content, err := zipfs.Read(f, 16<<20)
	if err != nil {
		return nil
	}
	digest := cache.Sum(content)
	if err := blobs.Blobs.Put(ctx, digest, int64(len(content)), bytes.NewReader(content)); err != nil {
		return nil
	}
	file, err := blobs.Blobs.Path(digest)
	if err != nil {
		return nil
	}
	return []Foreseen{{Name: strings.TrimSuffix(path.Base(f.Name), ".jar") + "-" + version + ".jar", File: file}}
}

// packsTools tells whether the packager puts its tools in: until Spring Boot
// 3.3 into archives with layers alone, which were off by default in 2.3 and
// not for wars until 2.5 (Packager, Layers).
func packsTools(p *mvn.Project) bool {
	r := p.Repackage
	major, minor := release(r.Version)
	at := func(x, y int) bool { return major > x || major == x && minor >= y }
	switch {
	case r.IncludeTools == "false" || r.IncludeLayerTools == "false":
		return false
	case at(3, 3):
		return true
	case p.Packaging == "war" && !at(2, 5):
		return false
	case at(2, 4):
		return r.Layers != "false"
	}
	return r.Layers == "true"
}
