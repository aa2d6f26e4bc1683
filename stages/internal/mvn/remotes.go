package mvn

import (
	"slices"
	"strings"
)

// Remotes are the repositories that the poms on disk name, to read from and to
// deploy to, with those of the profiles named or active by default. What a URL
// refers to elsewhere is left out.
func (t *Tree) Remotes(a Args, profiles []string) []Remote {
	var all []Remote
	for _, m := range t.Modules {
		properties := m.properties(profiles)
		look := func(name string) (string, bool) {
			if v, ok := a.Property(name); ok {
				return v, true
			}
			v, ok := properties[name]
			return v, ok
		}
		for _, p := range m.Chain {
			said := slices.Concat(p.Repositories, p.PluginRepos, p.Deploys, p.Snapshots)
			for _, profile := range p.active(profiles) {
				said = slices.Concat(said, profile.Repositories, profile.PluginRepos)
			}
			for _, r := range said {
				r = Remote{strings.TrimSpace(Interpolate(r.ID, look)), strings.TrimSpace(Interpolate(r.URL, look))}
				if !strings.Contains(r.ID+r.URL, "${") && !slices.Contains(all, r) {
					all = append(all, r)
				}
			}
		}
	}
	return all
}
