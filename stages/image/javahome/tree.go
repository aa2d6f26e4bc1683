package javahome

import (
	"archive/tar"
	"errors"
	"io"
	"path"
	"strings"
)

// tree is as much of an image's files as leads to a Java runtime: all links,
// and the files that may be a command or a release file.
type tree struct {
	links map[string]string // path → target of a symlink
	files map[string]bool   // regular files called bin/…, and release
	texts map[string]string // of release files
}

func newTree() *tree {
	return &tree{links: map[string]string{}, files: map[string]bool{}, texts: map[string]string{}}
}

// Whiteouts: OCI image specification, layer.md.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// maxText bounds a release file, in bytes: real ones have 1 to 4 kB.
const maxText = 64 << 10

// errEntries says that a layer is larger than any that holds a runtime.
var errEntries = errors.New("the layer has more links than can be looked at")

const maxLinks = 1 << 20

// add lays a layer over those that are there. Its whiteouts take from them
// and not from itself, wherever they stand.
func (t *tree) add(r io.Reader) error {
	own := map[string]bool{} // what this layer has, with the folders above
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean("/" + h.Name)
		dir, ok := t.resolve(path.Dir(name))
		if !ok {
			continue
		}
		base := path.Base(name)
		if base == opaque {
			t.remove(dir, own, false)
			continue
		}
		if hidden, ok := strings.CutPrefix(base, whiteout); ok {
			t.remove(path.Join(dir, hidden), own, true)
			continue
		}
		name = path.Join(dir, base)
		// What it replaces. A folder's files stay noted below a link or a file
		// of its name, where no path leads to them.
		delete(t.links, name)
		delete(t.files, name)
		delete(t.texts, name)
		if err := t.entry(name, h, archive); err != nil {
			return err
		}
		if len(t.links)+len(t.files) > maxLinks {
			return errEntries
		}
		for p := name; p != "/" && !own[p]; p = path.Dir(p) {
			own[p] = true
		}
	}
}

func (t *tree) entry(name string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeSymlink:
		t.links[name] = h.Linkname
	case tar.TypeLink: // another name of a file; a link to it is near enough
		t.links[name] = path.Clean("/" + h.Linkname)
	case tar.TypeReg:
		release := path.Base(name) == "release"
		if release || path.Base(path.Dir(name)) == "bin" || path.Base(name) == "java" {
			t.files[name] = true
		}
		if release && h.Size <= maxText {
			text, err := io.ReadAll(content)
			if err != nil {
				return err
			}
			t.texts[name] = string(text)
		}
	}
	return nil
}

// remove takes away what is below at, and with itself at too, but not what own
// names.
func (t *tree) remove(at string, own map[string]bool, itself bool) {
	gone := func(name string) bool {
		return (itself && name == at || strings.HasPrefix(name, strings.TrimSuffix(at, "/")+"/")) && !own[name]
	}
	for name := range t.links {
		if gone(name) {
			delete(t.links, name)
		}
	}
	for name := range t.files {
		if gone(name) {
			delete(t.files, name)
			delete(t.texts, name)
		}
	}
}

func (t *tree) isFile(name string) bool { return t.files[name] }

// resolve follows the symlinks of an absolute path as in a chroot; false where
// they go in circles.
func (t *tree) resolve(name string) (string, bool) {
	const most = 40 // the kernel's bound
	at, left := "/", strings.Split(name, "/")
	for links := 0; len(left) > 0; {
		part := left[0]
		left = left[1:]
		next := path.Join(at, part) // takes "", "." and ".."
		target, isLink := t.links[next]
		if part == ".." || !isLink {
			at = next
			continue
		}
		if links++; links > most {
			return "", false
		}
		if path.IsAbs(target) {
			at = "/"
		}
		left = append(strings.Split(target, "/"), left...)
	}
	return at, true
}
