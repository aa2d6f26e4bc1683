package maven

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// repackaged are the libraries that spring-boot-maven-plugin, from 2.3 to 4.1,
// will pack into p's application. The jar modes that it adds of itself are not
// among them: an image has none.
func repackaged(p *mvn.Project) []Foreseen {
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
	return all
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
	if major(r.Version) >= 4 {
		p.types, optional = append(p.types, "development-tool"), "false"
	}
	p.includeOptional = cmp.Or(r.IncludeOptional, optional) == "true"
	for group := range strings.SplitSeq(r.ExcludeGroupIDs, ",") {
		p.groups = append(p.groups, strings.TrimSpace(group))
	}
	return p
}

// major is the first number of a version; 0 when it begins with none.
func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(first) // 0 for what is no number
	return n
}

// has tells whether a dependency is packed.
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
