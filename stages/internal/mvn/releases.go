package mvn

import (
	"slices"
	"strings"
)

// Releases guesses, from the poms on disk alone, for which Java releases the
// compiler plugin will be asked to compile. What a remote parent says is not
// seen, except that Spring Boot's makes java.version the release. The spy has
// the last word: a wrong guess costs the start of one JVM.
func (t *Tree) Releases(a Args, profiles []string) []int {
	var all []int
	for _, m := range t.Modules {
		if m.packaging() != "pom" {
			all = append(all, m.releases(a, profiles)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (m *Module) releases(a Args, profiles []string) []int {
	if m.toolchain() {
		return nil // another JDK than Maven's own compiles
	}
	properties := m.properties(profiles)
	look := func(name string) (string, bool) {
		if v, ok := a.Property(name); ok {
			return v, true
		}
		v, ok := properties[name]
		return v, ok
	}
	value := func(name string, configured func(Plugin) string) int {
		if v := m.configured(configured); v != "" {
			return JavaMajor(Interpolate(v, look))
		}
		v, _ := look("maven.compiler." + name)
		return JavaMajor(Interpolate(v, look))
	}
	release := value("release", func(p Plugin) string { return p.Release })
	if release == 0 && m.Remote != nil && m.Remote.Artifact == "spring-boot-starter-parent" {
		v, _ := look("java.version")
		release = JavaMajor(Interpolate(v, look))
	}
	if release == 0 {
		release = max(value("source", func(p Plugin) string { return p.Source }), value("target", func(p Plugin) string { return p.Target }))
	}
	if release == 0 {
		return nil
	}
	return []int{release}
}

func (m *Module) toolchain() bool {
	return slices.ContainsFunc(m.Chain, func(p *Pom) bool {
		return slices.ContainsFunc(p.Plugins, func(p Plugin) bool { return p.Artifact == "maven-toolchains-plugin" })
	})
}

// configured is the compiler plugin's setting in the nearest pom that has one.
func (m *Module) configured(setting func(Plugin) string) string {
	for _, p := range m.Chain {
		for _, plugin := range slices.Concat(p.Plugins, p.Managed) {
			if plugin.Artifact == "maven-compiler-plugin" && setting(plugin) != "" {
				return setting(plugin)
			}
		}
	}
	return ""
}

// properties are those of the pom and its local parents, the nearest winning,
// and in each pom those of its active profiles over its own.
func (m *Module) properties(profiles []string) Properties {
	all := Properties{}
	for _, p := range slices.Backward(m.Chain) {
		for k, v := range p.Properties {
			all[k] = v
		}
		for _, profile := range p.active(profiles) {
			for k, v := range profile.Properties {
				all[k] = v
			}
		}
	}
	return all
}

// active are the profiles named, or those active by default in a pom of which
// none is named.
func (p *Pom) active(named []string) []Profile {
	var on, byDefault []Profile
	for _, profile := range p.Profiles {
		off := slices.ContainsFunc(named, func(n string) bool { return n == "!"+profile.ID || n == "-"+profile.ID })
		switch {
		case slices.ContainsFunc(named, func(n string) bool { return strings.TrimLeft(n, "+?") == profile.ID }):
			on = append(on, profile)
		case profile.ActiveByDefault && !off:
			byDefault = append(byDefault, profile)
		}
	}
	if len(on) > 0 {
		return on
	}
	return byDefault
}
