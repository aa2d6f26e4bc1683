package oci

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// File is one entry of a layer.
type File struct {
	Path    string      // slash path without a leading slash: app/lib/x.jar
	Mode    fs.FileMode // permissions, setuid, setgid, sticky, and the type bits of a directory or symbolic link
	UID     int
	GID     int
	ModTime time.Time // to the second; the zero time means Epoch
	Size    int64     // bytes, exactly what Open's reader gives or Write writes; 0 for directories and links
	Link    string    // a symbolic link's target
	// Open starts the file's content; nil for directories and links. It is
	// called once.
	Open func() (io.ReadCloser, error)
	// Write writes the content instead, where that spares a copy; nil uses
	// Open. It is called once.
	Write func(w io.Writer) error
}

// Epoch is the time of every entry that has none of its own: 1970-01-01
// 00:00:01 UTC. Not 0, because Java's File.lastModified gives 0 for a file
// that is not there.
func Epoch() time.Time { return time.Unix(1, 0).UTC() }

// arrange sorts the entries and adds the parent directories that nobody
// listed. It refuses what a runtime would unpack to another place than the
// name says.
func arrange(files []File) ([]File, error) {
	seen := make(map[string]bool, len(files))
	out := make([]File, 0, len(files)+8)
	for _, f := range files {
		if err := checkPath(f.Path); err != nil {
			return nil, err
		}
		if seen[f.Path] {
			return nil, fmt.Errorf("layer entry %q is there twice", f.Path)
		}
		seen[f.Path] = true
		out = append(out, f)
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "." && !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			out = append(out, File{Path: dir, Mode: fs.ModeDir | 0o755})
		}
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func checkPath(p string) error {
	switch {
	case !fs.ValidPath(p) || p == ".":
		return fmt.Errorf("layer entry %q: not a clean relative path", p)
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("layer entry %q: a zero byte in its name", p)
	}
	for name := range strings.SplitSeq(p, "/") {
		if strings.HasPrefix(name, ".wh.") {
			// OCI image-spec, layer.md: a whiteout deletes instead of adding.
			return fmt.Errorf("layer entry %q: names that begin with .wh. mean deletion in a layer", p)
		}
	}
	return nil
}

// header is the entry's tar header. It holds nothing of this machine: no
// user names, no access or change times, no umask.
func (f File) header() (*tar.Header, error) {
	h := &tar.Header{
		Name:    f.Path,
		Mode:    int64(f.Mode.Perm()),
		Uid:     f.UID,
		Gid:     f.GID,
		ModTime: f.ModTime.UTC().Truncate(time.Second),
	}
	if f.ModTime.IsZero() {
		h.ModTime = Epoch()
	}
	for bit, mode := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if f.Mode&bit != 0 {
			h.Mode |= mode
		}
	}
	switch f.Mode.Type() {
	case 0:
		h.Typeflag, h.Size = tar.TypeReg, f.Size
	case fs.ModeDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case fs.ModeSymlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.Link
	default:
		return nil, fmt.Errorf("layer entry %q: %s is neither a file, a directory nor a symbolic link", f.Path, f.Mode.Type())
	}
	return h, nil
}
