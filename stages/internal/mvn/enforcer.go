package mvn

import (
	"fmt"
	"slices"
	"strings"
)

// Execution is one execution of a plugin.
type Execution struct {
	Phase string        `xml:"phase"`
	Rules EnforcerRules `xml:"configuration>rules"`
}

// EnforcerRules are what maven-enforcer-plugin's configuration says on the
// versions of Maven and of its JDK, as written.
type EnforcerRules struct {
	Maven []EnforcerRule `xml:"requireMavenVersion"`
	Java  []EnforcerRule `xml:"requireJavaVersion"`
}

// EnforcerRule is one of its rules; at level WARN it ends no build.
type EnforcerRule struct {
	Version string `xml:"version"`
	Level   string `xml:"level"`
}

// Rule is one version requirement of a build.
type Rule struct {
	Text  string // as written: [3.9,)
	Pom   string // the file that has it, or group:artifact:version of a remote one
	Range Range
}

// Required are the rules that a build is held to.
type Required struct {
	Maven, Java []Rule
}

// RequiredBy are the rules that Maven itself told of, with its view of remote
// parents and profiles.
func RequiredBy(events []RuleEvent) Required {
	var all Required
	for _, e := range events {
		to := &all.Maven
		if e.On == "java" {
			to = &all.Java
		}
		addRule(to, e.Version, e.From)
	}
	return all
}

// ModelRules are the poms on disk that only Maven 4 reads: those of a model
// newer than 4.0.0 (maven.apache.org/whatsnewinmaven4.html).
func (t *Tree) ModelRules() []Rule {
	for _, m := range t.Modules {
		for _, p := range m.Chain {
			if v := strings.TrimSpace(p.ModelVersion); IsVersion(v) && CompareVersions(v, "4.0.0") > 0 {
				const first = "4.0.0-rc-1"
				return []Rule{{first + " for its model " + v, p.Path, Range{{low: first}}}}
			}
		}
	}
	return nil
}

// Meets tells whether a version is within all of the rules.
func Meets(rules []Rule, version string) bool {
	_, unfit := broken(rules, version)
	return !unfit
}

// Required reads the enforcer plugin's rules in the poms on disk. What a
// remote parent or a profile says is not seen: the spy tells it.
func (t *Tree) Required(a Args) Required {
	var all Required
	if a.Flag("enforcer.skip") {
		return all
	}
	seen := map[*Pom]bool{}
	for _, m := range t.Modules {
		if !slices.ContainsFunc(m.Chain, func(p *Pom) bool { return slices.ContainsFunc(p.Plugins, isEnforcer) }) {
			continue // managed at most, and so not run
		}
		properties := m.properties(nil)
		look := func(name string) (string, bool) {
			if v, ok := a.Property(name); ok {
				return v, true
			}
			v, ok := properties[name]
			return v, ok
		}
		for _, p := range m.Chain {
			if seen[p] {
				continue
			}
			seen[p] = true
			for _, plugin := range slices.Concat(p.Plugins, p.Managed) {
				if isEnforcer(plugin) {
					all.add(plugin, p.Path, look)
				}
			}
		}
	}
	return all
}

func isEnforcer(p Plugin) bool { return p.Artifact == "maven-enforcer-plugin" }

func (r *Required) add(plugin Plugin, pom string, look func(string) (string, bool)) {
	rules := []EnforcerRules{plugin.Rules}
	for _, e := range plugin.Executions {
		if strings.TrimSpace(e.Phase) != "none" {
			rules = append(rules, e.Rules)
		}
	}
	read := func(to *[]Rule, rules []EnforcerRule) {
		for _, rule := range rules {
			if !strings.EqualFold(strings.TrimSpace(rule.Level), "WARN") {
				addRule(to, Interpolate(rule.Version, look), pom)
			}
		}
	}
	for _, rule := range rules {
		read(&r.Maven, rule.Maven)
		read(&r.Java, rule.Java)
	}
}

func addRule(to *[]Rule, text, pom string) {
	text = strings.TrimSpace(text)
	spec := text
	if spec == "8" {
		spec = "1.8" // the rule knows this one, too
	}
	if parsed, ok := ParseRange(spec); ok {
		*to = append(*to, Rule{text, pom, parsed})
	}
}

// broken is the first rule that a version does not meet.
func broken(rules []Rule, version string) (Rule, bool) {
	i := slices.IndexFunc(rules, func(r Rule) bool { return !r.Range.Holds(version) })
	if i < 0 {
		return Rule{}, false
	}
	return rules[i], true
}

// newestMaven is the newest release that fastship knows. A rule that wants
// more may name a version that nobody has released.
const newestMaven = "4.0.0-rc-4"

// knownMavens are the pinned one, the last releases of their lines, oldest
// first, and what the rules themselves name up to the newest one known.
func knownMavens(rules []Rule) []string {
	known := []string{PinnedMaven, "3.6.3", "3.8.8", newestMaven}
	for _, r := range rules {
		for _, i := range r.Range {
			if IsVersion(i.low) && !i.lowOpen && CompareVersions(i.low, newestMaven) <= 0 {
				known = append(known, i.low)
			}
		}
	}
	return known
}

// Fitting is this Maven if it meets the rules, else the distribution that
// does: the pinned one, or the oldest known. A wrapper, or with chosen a
// version that was asked for, stays as it is, and Note tells that the build
// will end at the rule.
func (l Launcher) Fitting(rules []Rule, chosen bool) Launcher {
	rule, unfit := broken(rules, l.Version)
	if l.Version == "" || !unfit {
		return l
	}
	why := fmt.Sprintf("%s wants Maven %s", rule.Pom, rule.Text)
	if l.Wrapper || chosen {
		remedy := "correct distributionUrl in .mvn/wrapper/maven-wrapper.properties"
		if chosen {
			remedy = "correct maven.version"
		}
		l.Note = fmt.Sprintf("%s, and this build is pinned to %s: that rule will end it; %s", why, l.Version, remedy)
		return l
	}
	for _, version := range knownMavens(rules) {
		if _, unfit := broken(rules, version); unfit {
			continue
		}
		fit := Launcher{Version: version, Provided: true, Note: l.Note,
			Origin: fmt.Sprintf("Maven's distribution: %s, and %s has %s", why, l.Origin, l.Version)}
		if version == PinnedMaven {
			fit.SHA512 = pinnedSHA512
		}
		return fit
	}
	l.Note = why + ", which no known release is: that rule will end the build"
	return l
}
