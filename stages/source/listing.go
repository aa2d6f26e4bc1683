package source

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// file is one file that a build can see.
type file struct {
	path string // relative to the project's folder, with slashes; "../x" outside it
	mode string // git's: 100644, 100755 (executable), 120000 (symbolic link); empty: ask the disk
	id   string // git's object id of the bytes on disk; empty: not hashed yet
}

// listing is a folder's files, and its place in git's history.
type listing struct {
	files         []file
	git           bool
	top           string // the work tree's top folder; empty outside git
	sha256        bool   // the repository names objects by SHA-256 instead of SHA-1
	plain         bool   // core.fileMode is off: the disk's executable bits mean nothing
	commit        string
	branch        string
	defaultBranch string // origin's
	dirty         bool
	changes       int // files that differ from the commit
	remote        string
	time          time.Time
	warnings      []string
}

// String says in one line what the source is.
func (l *listing) String() string {
	files := fmt.Sprintf("%d files", len(l.files))
	if len(l.files) == 1 {
		files = "1 file"
	}
	if !l.git {
		return files + ", not in git"
	}
	s := "a repository without commits"
	if l.commit != "" {
		s = "commit " + l.commit[:min(12, len(l.commit))]
	}
	if l.branch != "" {
		s += " on " + l.branch
	}
	s += ", " + files
	if l.changes > 0 {
		s += fmt.Sprintf(", %d of them not as committed", l.changes)
	}
	return s
}

// list reads a folder by git where git can, and by its .gitignore files where
// it cannot.
func list(ctx context.Context, dir string) (*listing, error) {
	l, err := listGit(ctx, dir)
	if err == nil {
		return l, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	top := repositoryAbove(dir)
	if errors.Is(err, errIgnored) {
		top = ""
	}
	files, walkErr := listFolder(ctx, dir, top)
	if walkErr != nil {
		return nil, walkErr
	}
	l = &listing{files: files}
	if top != "" {
		l.warnings = append(l.warnings, fmt.Sprintf("no commit is recorded, and files are chosen by .gitignore alone: %v", err))
	}
	return l, nil
}

// isOutput tells whether a build made the file at p rather than read it:
// fastship's own folder, Maven's target folder beside a pom.xml, and the poms
// that maven-shade-plugin and flatten-maven-plugin write beside one. Tracked
// or not makes no difference: the identity must not change by a commit.
func isOutput(p string, hasPom func(dir string) bool) bool {
	if !strings.Contains(p, "target/") && !strings.Contains(p, ".fastship") && !strings.HasSuffix(p, "-pom.xml") {
		return false // nearly all of them
	}
	for rest := p; rest != ""; {
		name, after, isDir := strings.Cut(rest, "/")
		switch {
		case name == ".fastship":
			return true
		case name == "target" && isDir:
			if hasPom(path.Dir(p[:len(p)-len(rest)+len(name)])) {
				return true
			}
		case name == "dependency-reduced-pom.xml", name == ".flattened-pom.xml":
			return !isDir && hasPom(path.Dir(p))
		}
		rest = after
	}
	return false
}

// pomFolders tells of a folder (with slashes, "." for the top) whether files
// has a pom.xml in it.
func pomFolders(files []file) func(dir string) bool {
	poms := map[string]bool{}
	for _, f := range files {
		if isPom(f.path) {
			poms[path.Dir(f.path)] = true
		}
	}
	return func(dir string) bool { return poms[dir] }
}

func isPom(p string) bool {
	rest, ok := strings.CutSuffix(p, "pom.xml")
	return ok && (rest == "" || strings.HasSuffix(rest, "/"))
}
