package mvn

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// tracking is the file in which Maven's resolver notes, per folder, which
// remote repository each file came from. A file that it does not name counts
// as installed on this host.
const tracking = "_remote.repositories"

// Left says why a file of a repository is not kept.
type Left string

// Reasons to leave a file out.
const (
	LeftChecksum   Left = "checksum or signature" // Maven never reads them again
	LeftNotFound   Left = "note of a failed download"
	LeftUnfinished Left = "unfinished download"
	LeftInstalled  Left = "installed on this host"
	LeftReactor    Left = "made by this build"
	LeftUntracked  Left = "of unknown origin"
	LeftLonely     Left = "without its artifact"
	LeftDamaged    Left = "not as its checksum says"
	LeftIrregular  Left = "not a plain file"
)

// Selection parts the files of a repository. All paths are slash-separated,
// relative to the repository, and sorted.
type Selection struct {
	Release []string // released artifacts with their tracking files: never change
	Mutable []string // SNAPSHOTs and metadata, to be kept for a day
	Left    map[Left][]string
}

// SelectFiles decides which of the given files of a repository may enter a
// cache. The built projects' own artifacts never do. It reads tracking files,
// and checks each artifact against the .sha1 that Maven downloaded beside it.
// A file that vanished meanwhile is passed over.
func SelectFiles(ctx context.Context, repository fs.FS, paths []string, built []*Project) (Selection, error) {
	s := selector{fs: repository, built: map[string]bool{}, tracked: map[string]map[string]bool{}}
	s.out.Left = map[Left][]string{}
	for _, p := range built {
		s.built[path.Join(strings.ReplaceAll(p.Group, ".", "/"), p.Artifact, p.Version)] = true
	}
	var companions []string // kept only where an artifact is
	for _, p := range slices.Sorted(slices.Values(paths)) {
		if err := ctx.Err(); err != nil {
			return Selection{}, err
		}
		if name := path.Base(p); name == tracking || isMetadata(name) {
			companions = append(companions, p)
			continue
		}
		if err := s.artifact(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Selection{}, fmt.Errorf("select %s: %w", p, err)
		}
	}
	s.companions(companions)
	slices.Sort(s.out.Release)
	slices.Sort(s.out.Mutable)
	return s.out, nil
}

type selector struct {
	fs      fs.FS
	built   map[string]bool            // version folders of the reactor
	tracked map[string]map[string]bool // folder → file → came from a remote repository
	out     Selection
}

func (s *selector) leave(why Left, p string) { s.out.Left[why] = append(s.out.Left[why], p) }

func (s *selector) artifact(p string) error {
	if why, out := leftByName(p); out && !(strings.HasSuffix(p, ".asc") && s.origin(p) == fromRemote) {
		s.leave(why, p) // a signature that the build asked for by name is tracked as an artifact
		return nil
	}
	info, err := fs.Lstat(s.fs, p)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		s.leave(LeftIrregular, p)
		return nil
	}
	if s.built[path.Dir(p)] {
		s.leave(LeftReactor, p)
		return nil
	}
	switch s.origin(p) {
	case fromHere:
		s.leave(LeftInstalled, p)
		return nil
	case fromUnknown:
		s.leave(LeftUntracked, p)
		return nil
	}
	right, err := matchesSHA1(s.fs, p)
	switch {
	case err != nil:
		return err
	case !right:
		s.leave(LeftDamaged, p)
	case isSnapshot(p):
		s.out.Mutable = append(s.out.Mutable, p)
	default:
		s.out.Release = append(s.out.Release, p)
	}
	return nil
}

// companions keeps tracking files beside, and metadata above, what is kept.
func (s *selector) companions(paths []string) {
	release, mutable := folders(s.out.Release), folders(s.out.Mutable)
	above := map[string]bool{}
	for _, set := range []map[string]bool{release, mutable} {
		for dir := range set {
			for ; dir != "." && !above[dir]; dir = path.Dir(dir) {
				above[dir] = true
			}
		}
	}
	for _, p := range paths {
		dir, name := path.Dir(p), path.Base(p)
		info, err := fs.Lstat(s.fs, p)
		switch {
		case err != nil: // vanished
		case !info.Mode().IsRegular():
			s.leave(LeftIrregular, p)
		case name == "maven-metadata-local.xml":
			s.leave(LeftInstalled, p)
		case name == tracking && release[dir]:
			s.out.Release = append(s.out.Release, p)
		case name == tracking && mutable[dir], name != tracking && above[dir]:
			s.out.Mutable = append(s.out.Mutable, p)
		default:
			s.leave(LeftLonely, p)
		}
	}
}

func folders(paths []string) map[string]bool {
	set := map[string]bool{}
	for _, p := range paths {
		set[path.Dir(p)] = true
	}
	return set
}

func isSnapshot(p string) bool { return strings.HasSuffix(path.Dir(p), "-SNAPSHOT") }

func isMetadata(name string) bool {
	return name == "resolver-status.properties" || strings.HasPrefix(name, "maven-metadata") && strings.HasSuffix(name, ".xml")
}

// IsTracking tells whether a file is a tracking file.
func IsTracking(p string) bool { return path.Base(p) == tracking }

// MergeTracking adds to a tracking file the lines of another that it lacks. An
// empty one is as good as none.
func MergeTracking(there, more []byte) []byte {
	if len(there) == 0 {
		return more
	}
	merged := there
	if !bytes.HasSuffix(merged, []byte("\n")) {
		merged = append(merged[:len(merged):len(merged)], '\n')
	}
	have := map[string]bool{}
	for line := range bytes.Lines(there) {
		have[string(bytes.TrimSpace(line))] = true
	}
	for line := range bytes.Lines(more) {
		text := string(bytes.TrimSpace(line))
		if text == "" || text[0] == '#' || have[text] {
			continue
		}
		merged = append(merged[:len(merged):len(merged)], text+"\n"...)
	}
	return merged
}

// MayChange tells whether Maven itself changes a file of its repository in
// place: tracking files, metadata and what lies with SNAPSHOTs.
func MayChange(p string) bool {
	name := path.Base(p)
	return name == tracking || isMetadata(name) || isSnapshot(p)
}

// leftByName tells what no repository needs to keep, whatever it holds.
func leftByName(p string) (Left, bool) {
	switch path.Ext(p) {
	case ".sha1", ".md5", ".sha256", ".sha512", ".asc":
		return LeftChecksum, true
	case ".lastUpdated":
		return LeftNotFound, true
	case ".part", ".tmp", ".lock":
		return LeftUnfinished, true
	}
	return LeftUnfinished, strings.HasPrefix(p, ".locks/") || strings.HasPrefix(p, ".meta/")
}

type origin int

const (
	fromUnknown origin = iota
	fromHere
	fromRemote
)

// origin is where a file came from. One that was installed here, too, is not
// known to be what the remote repository has.
func (s *selector) origin(p string) origin {
	dir := path.Dir(p)
	files, read := s.tracked[dir]
	if !read {
		text, err := fs.ReadFile(s.fs, path.Join(dir, tracking))
		if err == nil {
			files = readTracking(text)
		}
		s.tracked[dir] = files
	}
	remote, known := files[path.Base(p)]
	switch {
	case !known:
		return fromUnknown
	case remote:
		return fromRemote
	}
	return fromHere
}

// Downloaded tells whether a file of a repository came from a remote one, and
// was not installed over since.
func Downloaded(file string) bool {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(file), tracking))
	return err == nil && readTracking(text)[filepath.Base(file)]
}

// readTracking reads a tracking file, a list of FILE>REPOSITORY= (resolver's
// EnhancedLocalRepositoryManager; an empty repository means this host), to
// whether each file is known from remote repositories alone.
func readTracking(text []byte) map[string]bool {
	files := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		file, repository, ok := strings.Cut(line, ">")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		file = strings.ReplaceAll(file, `\`, "") // java.util.Properties escapes
		remote := strings.TrimRight(repository, "=: ") != ""
		if before, seen := files[file]; seen {
			remote = remote && before
		}
		files[file] = remote
	}
	return files
}

// matchesSHA1 compares a file with the .sha1 beside it. Where there is none,
// or none that can be read as one, there is nothing to differ from.
func matchesSHA1(repository fs.FS, p string) (bool, error) {
	text, err := fs.ReadFile(repository, p+".sha1")
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	want := ""
	for _, word := range strings.Fields(string(text)) { // HEX, HEX FILE, or SHA1(FILE)= HEX
		if b, err := hex.DecodeString(word); err == nil && len(b) == sha1.Size {
			want = strings.ToLower(word)
			break
		}
	}
	if want == "" {
		return true, nil
	}
	f, err := repository.Open(p)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha1.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return hex.EncodeToString(h.Sum(nil)) == want, nil
}
