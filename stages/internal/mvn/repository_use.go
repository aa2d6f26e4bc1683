package mvn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
)

const extensionsNote = "extensions "

// ExtensionsNote is the note of the files that Maven's core extensions came
// with: it names root's .mvn/extensions.xml by content. Maven resolves core
// extensions before the spy is there to see. Empty where there are none.
func ExtensionsNote(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, ".mvn", "extensions.xml"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the core extensions: %w", err)
	}
	return extensionsNote + cache.Sum(text).Hex(), nil
}

// ResolvedPaths are the files that Maven reported, slash-separated and
// relative to the repository; what lies elsewhere is not among them.
func ResolvedPaths(r Report, repository string) []string {
	var all []string
	for _, f := range r.Resolved {
		rel, err := filepath.Rel(repository, f.File)
		if err == nil && filepath.IsLocal(rel) {
			all = append(all, filepath.ToSlash(rel))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// NoteNew tells which of the files new to the repository get the extensions'
// note: those in folders where Maven reported nothing as resolved.
func NoteNew(added, resolved []string, note string) map[string]string {
	if note == "" {
		return nil
	}
	notes := map[string]string{}
	seen := folders(resolved)
	for _, p := range added {
		if !seen[path.Dir(p)] {
			notes[p] = note
		}
	}
	return notes
}

// UsedFiles are the kept files that a build used, sorted: what Maven resolved,
// the poms and tracking files beside it, the status beside metadata, and what
// carries the note of the present core extensions. kept holds every file with
// its note.
func UsedFiles(kept map[string]string, resolved []string, note string) []string {
	used, beside := map[string]bool{}, folders(resolved)
	for _, p := range resolved {
		used[p] = true
	}
	var all []string
	for p, n := range kept {
		name := path.Base(p)
		companion := name == tracking || name == "resolver-status.properties" || strings.HasSuffix(name, ".pom")
		if used[p] || companion && beside[path.Dir(p)] || note != "" && n == note {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return all
}
