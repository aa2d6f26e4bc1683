package maven

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// repositoryPath is the artifact's file below the repository's root. Its ID is
// group:artifact:extension[:classifier]:version.
func repositoryPath(r mvn.Resolved) (string, bool) {
	parts := strings.Split(r.ID, ":")
	if len(parts) < 4 {
		return "", false
	}
	place := filepath.Join(append(strings.Split(parts[0], "."), parts[1], parts[len(parts)-1], filepath.Base(r.File))...)
	return place, strings.HasSuffix(r.File, string(filepath.Separator)+place)
}

// changedLocally names an artifact that is on this host, but is not the one
// that the kept job took: installed over it since, or edited. What is not here
// would be downloaded, and a released artifact never changes.
func (j *job) changedLocally(n needs) string {
	if j.repo.Leased {
		return "" // it holds what was downloaded, as it was
	}
	for _, f := range n.Files {
		path := filepath.Join(j.repo.Path, f.Path)
		_, err := os.Lstat(path)
		if err == nil && !j.book.Is(path, cache.Descriptor{Digest: f.Digest, Size: f.Size}) {
			return f.Path
		}
	}
	return ""
}
