package mvn

import (
	"cmp"
	"path/filepath"
)

// Repository is the local repository that Maven is to use.
type Repository struct {
	Leased bool   // one of fastship's own, restored and kept
	Path   string // absolute; empty when leased
	Reason string // why this one, for people
}

// RepositoryWish is what decides on the local repository beside the host's
// environment and Maven's arguments.
type RepositoryWish struct {
	Setting string // maven.repository: auto, user, leased or a path; empty means auto
	Dir     string // the project's folder, absolute: relative paths start here
	Local   string // localRepository of the effective settings; may be empty
	Shared  bool   // the store is one that other hosts read
	CI      bool
}

const localRepository = "maven.repo.local"

// ChooseRepository decides on the local repository. With auto it is the one
// that the user's arguments or settings name, else a leased one where a shared
// store or CI makes it worth it, else ~/.m2/repository.
func ChooseRepository(h Host, a Args, w RepositoryWish) Repository {
	users, from := usersRepository(a, w)
	named := from != ""
	own := Repository{Path: cmp.Or(users, filepath.Join(h.Home, ".m2", "repository"))}
	switch setting := cmp.Or(w.Setting, "auto"); setting {
	case "auto":
		switch {
		case named:
			own.Reason = from + " names it"
			return own
		case w.Shared:
			return Repository{Leased: true, Reason: "the cache is shared with other hosts"}
		case w.CI:
			return Repository{Leased: true, Reason: "this is a CI build"}
		}
		own.Reason = "the cache is this host's own"
		return own
	case "user":
		own.Reason = "maven.repository is user"
		return own
	case "leased":
		reason := "maven.repository is leased"
		if named {
			reason += ", which overrules " + from
		}
		return Repository{Leased: true, Reason: reason}
	default:
		reason := "maven.repository names it"
		if named {
			reason += " and overrules " + from
		}
		return Repository{Path: under(w.Dir, setting), Reason: reason}
	}
}

// usersRepository is the repository that the user chose, and where he said so:
// a property wins over the settings, as in Maven.
func usersRepository(a Args, w RepositoryWish) (path, from string) {
	if v, ok := a.Property(localRepository); ok {
		return under(w.Dir, v), "-D" + localRepository
	}
	if w.Local != "" {
		return under(w.Dir, w.Local), "localRepository in settings.xml"
	}
	return "", ""
}

func under(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
