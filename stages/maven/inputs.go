package maven

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// DefaultInputs are what counts where maven.inputs says nothing: everything
// but what people and tools around the build read. What lies in a src folder
// always counts, resources among it.
func DefaultInputs() []string {
	return []string{
		"**", "!*.md", "!*.adoc", "!/docs/**", "!LICENSE", "!LICENSE.txt", "!.github/**", "!.gitignore",
		"!.gitattributes", "!.editorconfig", "!/fastship.yaml", "src/**", "**/src/**",
	}
}

var resourceFolder = regexp.MustCompile(`<directory>\s*([^<]*?)\s*</directory>`)

// inputs chooses the files that count. Poms and .mvn always do. By default a
// document that a pom names counts too, and all do where a pom takes resources
// from outside src, which may be anywhere.
func inputs(files []File, patterns []string, poms string) []File {
	byDefault := len(patterns) == 0
	if byDefault {
		patterns = DefaultInputs()
		if readsAnything(poms) {
			patterns = []string{"**"}
		}
	} else if strings.HasPrefix(patterns[0], "!") {
		patterns = append([]string{"**"}, patterns...)
	}
	var kept []File
	for _, f := range files {
		base := path.Base(f.Path)
		if base == "pom.xml" || strings.HasPrefix(f.Path, "../") || strings.HasPrefix(f.Path, ".mvn/") ||
			counts(patterns, f.Path) || byDefault && named(poms, f.Path) {
			kept = append(kept, f)
		}
	}
	return kept
}

// readsAnything tells whether poms take resources from outside src, which may
// be anywhere.
func readsAnything(poms string) bool {
	return slices.ContainsFunc(resourceFolder.FindAllStringSubmatch(poms, -1), func(m []string) bool { return !strings.Contains(m[1], "src") })
}

// named tells whether a pom names the file, or the top folder that it is in.
func named(poms, p string) bool {
	folder, _, inside := strings.Cut(p, "/")
	if strings.Contains(poms, path.Base(p)) || !inside {
		return strings.Contains(poms, path.Base(p))
	}
	for rest := poms; ; {
		i := strings.Index(rest, folder)
		if i < 0 {
			return false
		}
		end := i + len(folder)
		if i > 0 && strings.ContainsRune(">/ \n\t", rune(rest[i-1])) && end < len(rest) && strings.ContainsRune("</ \n\t", rune(rest[end])) {
			return true
		}
		rest = rest[end:]
	}
}

func counts(patterns []string, p string) bool {
	for i := len(patterns) - 1; i >= 0; i-- {
		pattern, not := strings.CutPrefix(patterns[i], "!")
		if matches(pattern, p) {
			return !not
		}
	}
	return false
}

// matches follows gitignore(5): without a slash a pattern is a name at any
// depth, and what names a folder covers all that is in it.
func matches(pattern, p string) bool {
	anchored := strings.Contains(strings.TrimSuffix(pattern, "/"), "/")
	pattern = strings.TrimPrefix(pattern, "/")
	folder := strings.HasSuffix(pattern, "/")
	pattern = strings.TrimSuffix(pattern, "/")
	if !anchored {
		pattern = "**/" + pattern
	}
	if ok, _ := doublestar.Match(pattern, p); ok && !folder { // a broken pattern matches nothing
		return true
	}
	ok, _ := doublestar.Match(pattern+"/*/**", p)
	return ok
}
