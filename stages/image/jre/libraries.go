package jre

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// library is a shared library of this machine that a base takes along.
type library struct {
	name string // as programs ask for it: libc.so.6
	path string // where its content is in the root file system, links followed
}

// libraries is what the dynamic loader would load for a set of objects.
type libraries struct {
	root    string             // of the file system that they are in
	loader  string             // the path that the objects name: /lib64/ld-linux-x86-64.so.2
	dir     string             // one of the loader's own directories: /lib/x86_64-linux-gnu
	list    map[string]library // by name, the loader left out
	missing []string           // "libx.so.1, which liby.so needs", sorted
}

// withoutDevice are libraries of java.desktop that serve a display or a sound
// card. A container has neither; without them AWT takes itself for headless
// and the X11 and ALSA libraries (7 MB) stay out.
func withoutDevice() []string {
	return []string{"libawt_xawt.so", "libjawt.so", "libjsound.so", "libsplashscreen.so"}
}

// desktopOnly are the libraries of java.desktop, as far as they need others.
func desktopOnly() []string {
	return []string{"libawt.so", "libawt_headless.so", "libfontmanager.so", "libfreetype.so", "libharfbuzz.so", "libjavajpeg.so", "liblcms.so", "libmlib_image.so"}
}

// loadedByName are libraries that no object names as needed, but that are
// asked for at run time: name service modules (inside libc since glibc 2.34),
// what JNI libraries of other vendors link to, font look-up. They are taken
// where this machine has them.
func loadedByName(desktop bool) []string {
	names := []string{
		"libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2",
		"libdl.so.2", "libpthread.so.0", "librt.so.1",
		"libgcc_s.so.1", "libstdc++.so.6", "libz.so.1",
	}
	if desktop {
		names = append(names, "libfontconfig.so.1")
	}
	return names
}

// needed resolves what the run-time image at home, the libraries inside jars and
// other programs need of the file system at root.
func needed(root, home string, desktop bool, natives []Native, programs []string) (libraries, error) {
	java := filepath.Join(home, "bin", "java")
	r, err := newResolver(root, java)
	if err != nil {
		return libraries{}, err
	}
	objects, err := nativeObjects(home, desktop)
	if err != nil {
		return libraries{}, err
	}
	own := make(map[string]bool, len(objects))
	for _, path := range objects {
		own[filepath.Base(path)] = true
	}
	for _, path := range slices.Concat(objects, []string{java}, programs) {
		if err := r.follow(path, own); err != nil {
			return libraries{}, err
		}
	}
	if err := r.followNatives(natives, own); err != nil {
		return libraries{}, err
	}
	for _, name := range loadedByName(desktop) {
		if path, ok := r.find(name, nil); ok {
			if err := r.take(name, path, own); err != nil {
				return libraries{}, err
			}
		}
	}
	return r.result()
}

// nativeObjects lists the shared objects of a run-time image or JDK.
func nativeObjects(home string, desktop bool) ([]string, error) {
	skip := withoutDevice()
	if !desktop {
		skip = append(skip, desktopOnly()...)
	}
	var objects []string
	err := filepath.WalkDir(filepath.Join(home, "lib"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(path, ".so") && !slices.Contains(skip, d.Name()) {
			objects = append(objects, path)
		}
		return err
	})
	return objects, err
}

// resolver looks libraries up as ld.so(8) does: the needing object's own
// run path, /etc/ld.so.cache, the standard directories.
type resolver struct {
	root    string
	loader  string
	machine elf.Machine
	class   elf.Class
	cached  map[string][]string
	found   map[string]library
	missing map[string]bool
}

func newResolver(root, java string) (*resolver, error) {
	f, err := elf.Open(java)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", java, err)
	}
	defer f.Close()
	loader, err := interpreter(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", java, err)
	}
	r := &resolver{root: root, loader: loader, machine: f.Machine, class: f.Class, found: make(map[string]library), missing: make(map[string]bool)}
	content, err := os.ReadFile(filepath.Join(root, "etc/ld.so.cache"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil // musl, or a glibc that does without
	}
	if err == nil {
		r.cached, err = parseLoaderCache(content)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(root, "etc/ld.so.cache"), err)
	}
	return r, nil
}

func interpreter(f *elf.File) (string, error) {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		path := make([]byte, p.Filesz)
		if _, err := p.ReadAt(path, 0); err != nil {
			return "", err
		}
		return strings.TrimRight(string(path), "\x00"), nil
	}
	return "", errors.New("it names no dynamic loader: a statically linked java cannot be taken along")
}

// follow takes along everything that the object at path needs.
func (r *resolver) follow(path string, own map[string]bool) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	names, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read what %s needs: %w", path, err)
	}
	for _, name := range names {
		if own[name] || name == filepath.Base(r.loader) || r.found[name].path != "" {
			continue
		}
		found, ok := r.find(name, r.runPath(f, path))
		if !ok {
			r.missing[name+", which "+filepath.Base(path)+" needs"] = true
			continue
		}
		if err := r.take(name, found, own); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) take(name, path string, own map[string]bool) error {
	if r.found[name].path != "" {
		return nil
	}
	r.found[name] = library{name: name, path: path}
	real, err := inRoot(r.root, path)
	if err != nil {
		return err
	}
	return r.follow(real, own)
}

// runPath lists the directories that the object itself has its needs looked
// up in. What the JDK has beside it is the image's own, so only those in the
// root file system count.
func (r *resolver) runPath(f *elf.File, path string) []string {
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		values, _ := f.DynString(tag) // absent is not an error, and a broken table was seen by ImportedLibraries
		for _, value := range values {
			origin := filepath.Join("/", strings.TrimPrefix(filepath.Dir(path), r.root))
			for dir := range strings.SplitSeq(value, ":") {
				dir = strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(dir)
				if filepath.IsAbs(dir) {
					dirs = append(dirs, dir)
				}
			}
		}
	}
	return dirs
}

// find returns the first object of that name for the machine, by its path in
// the root file system.
func (r *resolver) find(name string, dirs []string) (string, bool) {
	var paths []string
	for _, dir := range dirs {
		paths = append(paths, filepath.Join(dir, name))
	}
	paths = append(paths, r.cached[name]...)
	for _, dir := range r.standard() {
		paths = append(paths, filepath.Join(dir, name))
	}
	for _, path := range paths {
		real, err := inRoot(r.root, path)
		if err != nil {
			continue
		}
		if f, err := elf.Open(real); err == nil {
			fits := f.Machine == r.machine && f.Class == r.class
			f.Close()
			if fits {
				return path, true
			}
		}
	}
	return "", false
}

func (r *resolver) standard() []string {
	triplets := map[elf.Machine]string{elf.EM_X86_64: "x86_64-linux-gnu", elf.EM_AARCH64: "aarch64-linux-gnu"}
	return []string{"/lib/" + triplets[r.machine], "/usr/lib/" + triplets[r.machine], "/lib64", "/usr/lib64", "/lib", "/usr/lib"}
}

// result names the one directory that the libraries go to: that of the C
// library, which is in the loader's own list wherever ldconfig has put it
// (/lib/x86_64-linux-gnu on Debian, /lib64 on Fedora, /usr/lib on Arch).
func (r *resolver) result() (libraries, error) {
	dir := ""
	for _, name := range slices.Sorted(maps.Keys(r.found)) {
		if strings.HasPrefix(name, "libc.") {
			dir = filepath.Dir(r.found[name].path)
		}
	}
	if dir == "" {
		return libraries{}, errors.New("find the C library: java needs none that this machine has")
	}
	for name, l := range r.found {
		real, err := inRoot(r.root, l.path)
		if err != nil {
			return libraries{}, err
		}
		r.found[name] = library{name: name, path: filepath.Join("/", strings.TrimPrefix(real, r.root))}
	}
	return libraries{root: r.root, loader: r.loader, dir: dir, list: r.found, missing: slices.Sorted(maps.Keys(r.missing))}, nil
}

// identity names the content of all of them, wherever they are.
func (l libraries) identity() ([]string, error) {
	path, err := inRoot(l.root, l.loader)
	if err != nil {
		return nil, err
	}
	loader, err := fileIdentity(path)
	if err != nil {
		return nil, err
	}
	ids := []string{l.dir, l.loader + " " + loader}
	for _, name := range slices.Sorted(maps.Keys(l.list)) {
		id, err := fileIdentity(filepath.Join(l.root, l.list[name].path))
		if err != nil {
			return nil, err
		}
		ids = append(ids, name+" "+id)
	}
	return append(ids, l.missing...), nil
}
