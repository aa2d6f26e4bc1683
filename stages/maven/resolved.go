package maven

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// downloaded tells whether an artifact came from a remote repository: its
// line in _remote.repositories ends in "NAME>REPOSITORY=". One that mvn install
// wrote ends in "NAME>=", and one without a line counts as installed (resolver,
// EnhancedLocalRepositoryManager).
func downloaded(file string) bool {
	f, err := os.Open(filepath.Join(filepath.Dir(file), "_remote.repositories"))
	if err != nil {
		return false
	}
	defer f.Close()
	remote := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, from, ok := strings.Cut(strings.TrimSpace(lines.Text()), ">")
		if !ok || name != filepath.Base(file) {
			continue
		}
		if from == "=" {
			return false // installed over the download
		}
		remote = true
	}
	return remote && lines.Err() == nil
}

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
