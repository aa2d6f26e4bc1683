package mvn

import (
	"path"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
)

// RepositoryID is what names the trees of a project's local repository.
type RepositoryID struct {
	Project string // the root pom's group:artifact, the same wherever it is checked out
	Remotes string // RemotesKey's
	Branch  string // being built; may be empty
	// Fallbacks are the branches to look up after it, best first: a pull
	// request's base, the project's default branch. Empty ones do not count.
	Fallbacks []string
}

// Pointers names one look-up: the released artifacts, and what changes.
type Pointers struct {
	Release   string
	Snapshots string
}

// PointerNames are the pointers to look up, best first; the first is the one
// to save to. A name is
//
//	maven/1/REMOTES/PROJECT/BRANCH/releases
//	maven/1/REMOTES/PROJECT/BRANCH/snapshots
//
// where 1 is the version of this form, REMOTES is RemotesKey's, and PROJECT and
// BRANCH are one segment each: bytes other than letters, digits, ".", "_" and
// "-" are written as % and two upper-case hexadecimal digits, and of more than
// 120 bytes the first 100 remain, "+", and 16 digits of the
// whole's sha256. An empty branch is "@", which no branch is written as.
// The poms are no part of it: a branch's tree is the union of what its builds
// used, so that a changed pom finds all that did not change.
func PointerNames(id RepositoryID) []Pointers {
	var all []Pointers
	for i, branch := range append([]string{id.Branch}, id.Fallbacks...) {
		if branch == "" && i > 0 {
			continue
		}
		s := "@"
		if branch != "" {
			s = segment(branch)
		}
		dir := path.Join("maven", "1", id.Remotes, segment(id.Project), s)
		p := Pointers{path.Join(dir, "releases"), path.Join(dir, "snapshots")}
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

const (
	maxSegment  = 120
	longSegment = 100
)

func segment(s string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		c := s[i]
		plain := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.' && i > 0
		if plain {
			out.WriteByte(c)
		} else {
			out.WriteByte('%')
			out.WriteByte(digits[c>>4])
			out.WriteByte(digits[c&15])
		}
	}
	if out.Len() <= maxSegment {
		return out.String()
	}
	return out.String()[:longSegment] + "+" + cache.Sum([]byte(s)).Hex()[:16]
}

// RemotesKey names, in 16 hexadecimal digits, the IDs of the remote
// repositories and mirrors that poms and settings ask for. Maven asks anew for
// every artifact whose tracking file names another ID. URLs are no part of it:
// they may hold passwords, and tracking files do not hold them. A mirror that
// blocks is none either: nothing comes from it, and only some Mavens have one.
func RemotesKey(t *Tree, settings ...Settings) string {
	var repositories []Remote
	for _, m := range t.Modules {
		for _, p := range m.Chain {
			repositories = slices.Concat(repositories, p.Repositories, p.PluginRepos)
			for _, profile := range p.Profiles {
				repositories = slices.Concat(repositories, profile.Repositories, profile.PluginRepos)
			}
		}
	}
	var ids, mirrors []string
	for _, s := range settings {
		repositories = slices.Concat(repositories, s.Repositories, s.PluginRepos)
		for _, m := range s.Mirrors {
			if !m.blocks() {
				mirrors = append(mirrors, m.ID+" of "+m.Of)
			}
		}
	}
	for _, r := range repositories {
		ids = append(ids, strings.TrimSpace(r.ID))
	}
	slices.Sort(ids)
	// Of several mirrors the first that fits is used: their order counts.
	return string(cache.NewKey("maven-remotes", "1").
		Add("repositories", slices.Compact(ids)).Add("mirrors", mirrors).Key())[:16]
}
