package jre

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/stages/internal/oci"
)

const (
	javaHome  = "opt/java"
	localeDir = "usr/lib/locale/C.utf8"
	fontDir   = "usr/share/fonts"
	userID    = 65532 // nonroot, as in other images that have no shell
)

const passwd = `root:x:0:0:root:/root:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
`

const group = `root:x:0:
nonroot:x:65532:
`

const nsswitch = `passwd: files
group: files
hosts: files dns
`

// fontconfig leaves its cache where any user may write.
const fontconfig = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <cachedir>/tmp/fontconfig</cachedir>
</fontconfig>
`

// content is a file of the system around the JVM, small enough to be held.
type content struct {
	path string
	data []byte
}

// system is what a JVM finds around itself, apart from shared libraries.
type system struct {
	files   []content
	lacking []string // what this machine does not have, as a sentence
}

// surroundings collects the system's files from the machine that jdk belongs to
// and from jdk.
func surroundings(jdk JDK, desktop bool) (system, error) {
	s := system{files: []content{
		{"etc/passwd", []byte(passwd)},
		{"etc/group", []byte(group)},
		{"etc/nsswitch.conf", []byte(nsswitch)},
	}}
	if !jdk.linksOptions() {
		s.files = append(s.files, content{optionsFile, settings(jdk.defaultOptions())})
	}
	// The libraries are this distribution's, so its name is the true one:
	// scanners look their known faults up by it.
	path, err := inRoot(jdk.Root, "/etc/os-release")
	if err != nil {
		return system{}, fmt.Errorf("read the name of this system: %w", err)
	}
	release, err := os.ReadFile(path)
	switch {
	case err == nil:
		s.files = append(s.files, content{"etc/os-release", release})
	case !errors.Is(err, fs.ErrNotExist):
		return system{}, fmt.Errorf("read the name of this system: %w", err)
	}
	roots := []string{jdk.Root, "/"} // what another machine's lacks may be taken from this one's
	if err := s.addLocale(roots...); err != nil {
		return system{}, fmt.Errorf("read the locale C.UTF-8: %w", err)
	}
	if desktop {
		if err := s.addFonts(roots...); err != nil {
			return system{}, fmt.Errorf("read the fonts: %w", err)
		}
	}
	return s, nil
}

// addLocale takes the C library's tables of C.UTF-8 from the first root that has
// them; without them Java 17 cannot name files outside ASCII.
func (s *system) addLocale(roots ...string) error {
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join(root, localeDir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			s.files = append(s.files, content{name, data})
			return err
		})
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	s.lacking = append(s.lacking, "this machine has no /"+localeDir+": in the image, file names outside ASCII will not work (Debian: libc-bin)")
	return nil
}

// addFonts takes the first family that a root has, in a regular and a bold
// sans, a serif and a fixed-width face: Java's logical fonts.
func (s *system) addFonts(roots ...string) error {
	families := [][]string{
		{"DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf"},
		{"LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf", "LiberationSerif-Regular.ttf", "LiberationMono-Regular.ttf"},
	}
	for _, root := range roots {
		for _, faces := range families {
			found, err := readFonts(root, faces)
			if err != nil {
				return err
			}
			if len(found) > 0 {
				s.files = append(append(s.files, found...), content{"etc/fonts/fonts.conf", []byte(fontconfig)})
				return nil
			}
		}
	}
	s.lacking = append(s.lacking, "this machine has neither the DejaVu nor the Liberation fonts: in the image, Java cannot draw text (Debian: fonts-dejavu-core)")
	return nil
}

// readFonts reads those of faces that a root has.
func readFonts(root string, faces []string) ([]content, error) {
	var found []content
	for _, face := range faces {
		data, err := readFont(root, face)
		if err != nil {
			return nil, err
		}
		if data != nil {
			found = append(found, content{fontDir + "/" + face, data})
		}
	}
	return found, nil
}

// readFont looks in the folders of the distributions: truetype/dejavu,
// dejavu-sans-fonts, TTF. It returns nil for a face that is not there.
func readFont(root, face string) ([]byte, error) {
	for _, pattern := range []string{"*", "*/*"} {
		matches, err := filepath.Glob(filepath.Join(root, fontDir, pattern, face))
		if err != nil {
			return nil, err
		}
		if len(matches) > 0 {
			return os.ReadFile(matches[0])
		}
	}
	return nil, nil
}

// entries are the system's files and directories in a layer.
func (s system) entries() []oci.File {
	list := []oci.File{
		{Path: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Path: "root", Mode: fs.ModeDir | 0o700},
		{Path: "home/nonroot", Mode: fs.ModeDir | 0o755, UID: userID, GID: userID},
		// Mount points, so that a read-only root works everywhere.
		{Path: "dev", Mode: fs.ModeDir | 0o755},
		{Path: "proc", Mode: fs.ModeDir | 0o555},
		{Path: "sys", Mode: fs.ModeDir | 0o555},
	}
	return append(list, s.plain()...)
}

// plain are its files alone.
func (s system) plain() []oci.File {
	list := make([]oci.File, len(s.files))
	for i, f := range s.files {
		list[i] = oci.File{Path: f.path, Mode: 0o644, Size: int64(len(f.data)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(f.data)), nil
		}}
	}
	return list
}

// entries are the libraries in a layer: all in one directory, under the names
// that programs ask for, and the loader where programs name it.
func (l libraries) entries() ([]oci.File, error) {
	list := []oci.File{}
	add := func(name, path string) error {
		f, err := fileEntry(name, path)
		f.Mode = 0o755
		list = append(list, f)
		return err
	}
	loader, err := inRoot(l.root, l.loader)
	if err != nil {
		return nil, err
	}
	if err := add(strings.TrimPrefix(l.loader, "/"), loader); err != nil {
		return nil, err
	}
	for name, lib := range l.list {
		if path := filepath.Join(l.dir, name); path != l.loader {
			if err := add(strings.TrimPrefix(path, "/"), filepath.Join(l.root, lib.path)); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

func fileEntry(name, path string) (oci.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return oci.File{}, err
	}
	if !info.Mode().IsRegular() {
		return oci.File{}, fmt.Errorf("read %s: %s is not a file", path, info.Mode().Type())
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	return oci.File{Path: name, Mode: mode, Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(path) }}, nil
}

// runtimeEntries are the run-time image at home in a layer. Links that stay
// inside are kept; what leads out of it (to /etc, on Debian) is copied from the
// file system at root, and left out where it is not there.
func runtimeEntries(root, home string) ([]oci.File, error) {
	skip := append(withoutDevice(), "cacerts")
	var list []oci.File
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || slices.Contains(skip, d.Name()) {
			return err
		}
		rel, err := filepath.Rel(home, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel == "man" { // of a JDK 8
				return fs.SkipDir
			}
			return nil
		}
		name := javaHome + "/" + filepath.ToSlash(rel)
		if d.Type() == fs.ModeSymlink {
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if !filepath.IsAbs(target) && filepath.IsLocal(filepath.Join(filepath.Dir(rel), target)) {
				list = append(list, oci.File{Path: name, Mode: fs.ModeSymlink | 0o777, Link: target})
				return nil
			}
			if path, err = linkedFile(root, path, target); err != nil || path == "" {
				return err
			}
		}
		f, err := fileEntry(name, path)
		list = append(list, f)
		return err
	})
	return list, err
}

// linkedFile is what a link at path leads to in the file system at root; empty
// for nothing, or a folder.
func linkedFile(root, path, target string) (string, error) {
	if !filepath.IsAbs(target) {
		target = filepath.Join("/", strings.TrimPrefix(filepath.Dir(path), root), target)
	}
	real, err := inRoot(root, target)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(real); err != nil || info.IsDir() {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return "", err
	}
	return real, nil
}
