package appjar

import (
	"archive/zip"
	"cmp"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/zipfs"
)

// loaderService is the entry that the boot loader's own class stands in
// (spring-boot-jarmode-tools, IndexedJarStructure.ENTRY_IGNORE_LIST); the
// loader is left out, so the entry must be too.
const loaderService = "META-INF/services/java.nio.file.spi.FileSystemProvider"

// loaderPackage holds the launcher's classes.
const loaderPackage = "org/springframework/boot/loader"

// packaging is how a Spring Boot archive is laid out unless its manifest says
// otherwise (spring-boot-loader-tools, Layouts).
type packaging struct {
	what, root, provided string
}

func jar() packaging { return packaging{what: "jar", root: "BOOT-INF/"} }

func war() packaging {
	return packaging{what: "war", root: "WEB-INF/", provided: "WEB-INF/lib-provided/"}
}

// readBoot lays out a Spring Boot jar as `java -Djarmode=tools -jar app.jar
// extract` does (Boot 3.3 and later; earlier ones have the same structure).
// That tool loses a war's pages and static files: see addWebapp.
func (a *App) readBoot(m manifest, p packaging) error {
	a.Kind = SpringBoot
	a.Main = m.get("Start-Class")
	if a.Main == "" {
		return fault.New(fault.ImageFailed, "set <mainClass> in spring-boot-maven-plugin's configuration", "the Spring Boot %s's manifest has no Start-Class", p.what)
	}
	classes := dirOr(m.get("Spring-Boot-Classes"), p.root+"classes/")
	libs := []string{dirOr(m.get("Spring-Boot-Lib"), p.root+"lib/")}
	if p.provided != "" {
		libs = append(libs, p.provided)
	}
	if err := a.bootLayers(m, p, classes); err != nil {
		return err
	}
	names, err := a.bootLibraries(m, p, libs)
	if err != nil {
		return err
	}
	if err := a.addNested(names, libs); err != nil {
		return err
	}
	files := a.bootEntries(classes)
	if files[classFile(a.Main)] == nil && !a.inLibrary(a.Main) {
		return a.noMain("Start-Class", "correct <mainClass> in spring-boot-maven-plugin's configuration; it is a class's full name")
	}
	a.tellLoaderPath(m, files)
	a.ownJar = newOwnJar(files, nil)
	if p.provided != "" {
		if err := a.addWebapp(append(libs, classes)); err != nil {
			return err
		}
	}
	for _, name := range []string{"Start-Class", "Spring-Boot-Classes", "Spring-Boot-Lib", "Spring-Boot-Classpath-Index", "Spring-Boot-Layers-Index"} {
		m = m.with(name, "")
	}
	m = m.with("Main-Class", a.Main).with("Class-Path", a.classPath())
	if a.manifest, err = m.bytes(); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	a.findTimes()
	return a.findRelease(classes)
}

func dirOr(dir, otherwise string) string {
	if dir = cmp.Or(dir, otherwise); !strings.HasSuffix(dir, "/") {
		dir += "/"
	}
	return dir
}

// bootLayers reads layers.idx. The loader's layer is left out, it has no
// files in the thin layout.
func (a *App) bootLayers(m manifest, p packaging, classes string) error {
	f := a.archive.Lookup(cmp.Or(m.get("Spring-Boot-Layers-Index"), p.root+"layers.idx"))
	if f == nil {
		return nil
	}
	b, err := zipfs.Read(f, maxText)
	if err != nil {
		return err
	}
	layers, err := parseLayersIndex(b)
	if err != nil {
		return badIndex("%s: %w", f.Name, err)
	}
	a.index = layers
	for _, l := range layers {
		if slices.Contains(a.Layers, l.name) {
			return badIndex("%s: layer %q is there twice", f.Name, l.name)
		}
		if strings.ContainsFunc(l.name, unicode.IsControl) || !utf8.ValidString(l.name) {
			return badIndex("%s: %q is no name of a layer", f.Name, l.name)
		}
		a.Layers = append(a.Layers, l.name)
	}
	a.Layer = cmp.Or(layerOf(layers, classes), Application)
	if !slices.Contains(a.Layers, a.Layer) {
		a.Layers = append(a.Layers, a.Layer)
	}
	return nil
}

// jarMode begins the names of the jars that work on a packed jar, which the
// image has not. The packager lists them on the class path.
const jarMode = "spring-boot-jarmode-"

// bootLibraries names the entries of the libraries in class path order.
func (a *App) bootLibraries(m manifest, p packaging, libs []string) ([]string, error) {
	var packed []string
	for _, f := range a.archive.Files() {
		if inside(f.Name, libs) && strings.HasSuffix(f.Name, ".jar") && !strings.HasPrefix(path.Base(f.Name), jarMode) {
			packed = append(packed, f.Name)
		}
	}
	f := a.archive.Lookup(cmp.Or(m.get("Spring-Boot-Classpath-Index"), p.root+"classpath.idx"))
	if f == nil {
		return packed, nil
	}
	b, err := zipfs.Read(f, maxText)
	if err != nil {
		return nil, err
	}
	names, err := parseClasspathIndex(b)
	if err != nil {
		return nil, badIndex("%s: %w", f.Name, err)
	}
	indexed := make(map[string]bool, len(names))
	for i, n := range names {
		if !inside(n, libs) { // Boot 2.3.0 wrote file names alone
			n = libs[0] + n
			names[i] = n
		}
		if indexed[n] {
			return nil, badIndex("%s names %s twice", f.Name, n)
		}
		indexed[n] = true
		if a.archive.Lookup(n) == nil {
			return nil, badIndex("%s names %s, which is not in the %s", f.Name, n, p.what)
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(path.Base(n), jarMode) })
	for _, n := range packed {
		if !indexed[n] {
			names = append(names, n)
			a.Warnings = append(a.Warnings, fmt.Sprintf("%s is in the %s but not in %s: it comes last on the class path", n, p.what, f.Name))
		}
	}
	return names, nil
}

// inside tells whether an entry lies in one of the folders.
func inside(entry string, folders []string) bool {
	return slices.ContainsFunc(folders, func(dir string) bool { return strings.HasPrefix(entry, dir) && len(entry) > len(dir) })
}

func badIndex(format string, args ...any) error {
	return fault.New(fault.ImageFailed, "build it anew (clean package): a tool that changed the jar after spring-boot-maven-plugin's repackage left its index as it was", format, args...)
}

// maxNested bounds what a compressed nested jar may grow to; jars are
// compressed themselves, so one that grows more than tenfold is no jar.
const maxNested = 10

// maxInMemory bounds a compressed nested jar that is looked into.
const maxInMemory = 256 << 20

// maxContent bounds a compressed nested jar that is read out of order. Spring
// Boot stores its libraries; only other packers compress them once more.
const maxContent = 32 << 20

func (a *App) addNested(names, libs []string) error {
	taken := make(map[string]bool, len(names))
	for _, n := range names {
		f := a.archive.Lookup(n)
		if f.Method == zip.Deflate && f.UncompressedSize64 > 1<<20 && f.UncompressedSize64/maxNested > f.CompressedSize64 {
			return grows(f)
		}
		name := n
		for _, lib := range libs {
			name = strings.TrimPrefix(name, lib)
		}
		if taken[name] { // in lib and in lib-provided
			name = "provided/" + name
		}
		taken[name] = true
		l := Library{
			Name: name, Layer: layerOf(a.index, n),
			Size: int64(f.UncompressedSize64), Open: nested(f),
			Archive: func() (*zip.Reader, io.Closer, error) {
				z, err := a.archive.Nested(f, maxInMemory)
				return z, io.NopCloser(nil), err
			},
		}
		if f.Method == zip.Store || f.UncompressedSize64 <= maxContent {
			l.Content = func() (io.ReaderAt, io.Closer, error) {
				r, err := a.archive.Content(f, maxContent)
				return r, io.NopCloser(nil), err
			}
		}
		if a.released(name) {
			l.Entry = Entry{Name: name, Size: l.Size, CRC: f.CRC32}
		}
		a.Libraries = append(a.Libraries, l)
	}
	return nil
}

// released tells a library that nobody builds anew under its name.
func (a *App) released(name string) bool {
	return !strings.Contains(name, "SNAPSHOT") && !named(name, a.options.Snapshots) && !named(name, a.options.Modules)
}

// nested opens an entry's content; that of a stored one without the detour
// over a checksum of its own, since its digest is checked anyway.
func nested(f *zip.File) func() (io.ReadCloser, error) {
	if f.Method != zip.Store {
		return f.Open
	}
	return func() (io.ReadCloser, error) {
		r, err := f.OpenRaw()
		return io.NopCloser(r), err
	}
}

// bootEntries maps app.jar's entries: the application's classes at the root,
// META-INF where it was. Where both have a file, the one at the root is kept:
// the loader's parent saw it first.
func (a *App) bootEntries(classes string) map[string]*zip.File {
	files := map[string]*zip.File{}
	for _, f := range a.archive.Files() {
		if name, ok := strings.CutPrefix(f.Name, classes); ok && name != "" {
			files[name] = f
		}
	}
	for _, f := range a.archive.Files() {
		if !strings.HasPrefix(f.Name, "META-INF/") || f.Name == loaderService || strings.HasPrefix(f.Name, classes) {
			continue
		}
		if other := files[f.Name]; other != nil && !zipfs.IsDir(f) && f.CRC32 != other.CRC32 {
			a.Warnings = append(a.Warnings, fmt.Sprintf("%s and %s differ: the image has the first", f.Name, other.Name))
		}
		files[f.Name] = f
	}
	for name := range files {
		if strings.HasPrefix(name, loaderPackage+"/") {
			delete(files, name)
		}
	}
	return files
}

// classPath is the manifest's Class-Path: relative URLs, separated by blanks
// (JAR File Specification).
func (a *App) classPath() string {
	urls := make([]string, len(a.Libraries))
	for i, l := range a.Libraries {
		urls[i] = (&url.URL{Path: "lib/" + l.Name}).EscapedPath()
	}
	return strings.Join(urls, " ")
}

// grows refuses a zip bomb.
func grows(f *zip.File) error {
	return fault.New(fault.ImageFailed, "leave the entry out of the build: no honest file is compressed like that",
		"%w: entry %s grows from %d to %d bytes", zipfs.ErrFormat, f.Name, f.CompressedSize64, f.UncompressedSize64)
}
