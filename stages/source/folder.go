package source

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// notSource are the folders and files of version control systems.
var notSource = []string{".git", ".hg", ".svn"}

// listFolder lists the files under dir that no .gitignore names, without git.
// top, where it is not empty, is the top of the work tree around dir, whose
// .gitignore files and .git/info/exclude hold for dir too. Ids stay empty.
func listFolder(ctx context.Context, dir, top string) ([]file, error) {
	w := walker{dir: dir}
	rules, err := rulesAbove(dir, top)
	if err != nil {
		return nil, err
	}
	if err := w.walk(ctx, "", rules); err != nil {
		return nil, err
	}
	return w.files, nil
}

// rulesAbove reads the rules of the folders from top down to the one above
// dir, for paths relative to dir.
func rulesAbove(dir, top string) (ignoreRules, error) {
	if top == "" {
		return nil, nil
	}
	rel, err := filepath.Rel(top, dir)
	if err != nil {
		return nil, err
	}
	rules, err := readIgnore(filepath.Join(top, ".git", "info", "exclude"), "", filepath.ToSlash(rel))
	if err != nil || rel == "." {
		return rules, err
	}
	parts := strings.Split(filepath.ToSlash(rel), "/")
	for i := range parts {
		above := filepath.Join(top, filepath.FromSlash(path.Join(parts[:i]...)), ".gitignore")
		more, err := readIgnore(above, "", path.Join(parts[i:]...))
		if err != nil {
			return nil, err
		}
		rules = append(rules, more...)
	}
	return rules, nil
}

type walker struct {
	dir   string
	files []file
}

// walk lists one folder; sub is its path below the walker's, with slashes.
func (w *walker) walk(ctx context.Context, sub string, rules ignoreRules) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entries, err := os.ReadDir(filepath.Join(w.dir, filepath.FromSlash(sub)))
	if err != nil {
		return err
	}
	own, err := readIgnore(filepath.Join(w.dir, filepath.FromSlash(sub), ".gitignore"), sub, "")
	if err != nil {
		return err
	}
	rules = append(slices.Clip(rules), own...)
	isPom := func(e os.DirEntry) bool { return e.Name() == "pom.xml" }
	hasPom := func(string) bool { return slices.ContainsFunc(entries, isPom) }
	for _, e := range entries {
		name := e.Name()
		inside := path.Join(sub, name)
		switch {
		case slices.Contains(notSource, name), rules.match(inside, e.IsDir()):
		case e.IsDir():
			if !isOutput(name+"/", hasPom) {
				err = w.walk(ctx, inside, rules)
			}
		case e.Type().IsRegular(), e.Type()&os.ModeSymlink != 0:
			if !isOutput(name, hasPom) {
				w.files = append(w.files, file{path: inside})
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
