package jre

import (
	"archive/zip"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/inflate"
)

// library tells a jar that keeps its bytes from run to run.
func (j Jar) library() bool { return j.Digest != "" && !j.Own }

// Jar is an archive whose classes run in the image: the application's own or
// a library. Classes below any folder count (BOOT-INF/classes), archives
// inside it do not.
type Jar struct {
	Name   string       // for messages
	Digest cache.Digest // of the archive; empty: read it each time
	Own    bool         // the application's or a module of its project, not a library
	Open   func() (*zip.Reader, io.Closer, error)
}

// references is what the classes of a jar name, whatever the JDK.
type references struct {
	Packages []string         `json:"packages,omitempty"` // with slashes, sorted
	Versions map[int][]string `json:"versions,omitempty"` // more of them, below META-INF/versions/N
	Requires []string         `json:"requires,omitempty"` // modules, by a module-info
	Natives  []Native         `json:"natives,omitempty"`
	Locales  bool             `json:"locales,omitempty"` // it speaks other languages than English
}

// packages lists what counts on a JDK of that release.
func (r references) packages(major int) []string {
	list := r.Packages
	for version, more := range r.Versions {
		if version <= major {
			list = append(list[:len(list):len(list)], more...)
		}
	}
	return list
}

// scanVersion changes when the same jar would give other references.
const scanVersion = "2"

// scan reads the references of jars, side by side; those of jars with a
// digest are kept in the cache. What watch sees of them need not be read.
func scan(ctx context.Context, c *cache.Cache, jars []Jar, watch *Watch) ([]references, error) {
	found := make([]references, len(jars))
	group, ctx := errgroup.WithContext(ctx)
	reading := make(chan struct{}, runtime.GOMAXPROCS(0)) // at once
	for i, jar := range jars {
		group.Go(func() error {
			read := func(ctx context.Context) (refs references, _ []cache.Descriptor, err error) {
				if refs, seen := watch.wait(ctx, jar.Digest); seen {
					return refs, nil, nil
				}
				reading <- struct{}{}
				defer func() { <-reading }()
				refs, err = scanJar(ctx, jar)
				return refs, nil, err
			}
			var err error
			if jar.Digest == "" {
				found[i], _, err = read(ctx)
				return err
			}
			key := cache.NewKey("class references", scanVersion).Add("jar", string(jar.Digest)).Key()
			found[i], _, _, err = cache.Do(ctx, c, key, read)
			watch.known(jar.Digest)
			return err
		})
	}
	return found, group.Wait()
}

func scanJar(ctx context.Context, jar Jar) (references, error) {
	archive, closer, err := jar.Open()
	if err != nil {
		return references{}, fault.New(fault.ImageFailed, "build it again, or delete it from the Maven repository when it came from there: a jar cut short by a full disk looks like this", "read the classes of %s: %w", jar.Name, err)
	}
	defer closer.Close()
	s := scanner{packages: make(map[int]map[string]bool)}
	for _, f := range archive.File {
		if ctx.Err() != nil {
			return references{}, context.Cause(ctx)
		}
		if err := s.entry(f); err != nil {
			return references{}, fmt.Errorf("read %s in %s: %w", f.Name, jar.Name, err)
		}
	}
	return s.references(), nil
}

// scanner collects the references of one jar.
type scanner struct {
	packages map[int]map[string]bool // by version; 0 for the jar's own
	requires []string
	natives  []Native
	locales  bool
	decoder  *inflate.Decoder // nil before the first deflated class
	packed   []byte
	class    []byte
	pool     pool
	recent   recent // packages of version
	version  int
}

func (s *scanner) entry(f *zip.File) error {
	if !needsContent(f.Name) {
		s.name(f.Name)
		return nil
	}
	if isNative(path.Base(f.Name)) && f.UncompressedSize64 > maxNative {
		return nil
	}
	content, err := s.read(f)
	if err != nil {
		return err
	}
	s.content(f.Name, content)
	return nil
}

// name looks at an entry whose name says all.
func (s *scanner) name(name string) {
	version, name := split(name)
	service, ok := strings.CutPrefix(name, "META-INF/services/")
	if !ok {
		s.locales = s.locales || isTranslation(name)
		return
	}
	// The name of a service's file is that of its interface.
	if dot := strings.LastIndexByte(service, '.'); dot > 0 {
		s.set(version)[strings.ReplaceAll(service[:dot], ".", "/")] = true
	}
}

// content looks at a class or a shared library. What no JVM could load either,
// in spite of its name, names nothing.
func (s *scanner) content(name string, content []byte) {
	version, rest := split(name)
	if isNative(rest) {
		s.native(name, content)
		return
	}
	if s.pool.parse(content) != nil {
		return
	}
	if path.Base(rest) == "module-info.class" {
		s.requires = append(s.requires, s.pool.requires()...)
	}
	s.locales = s.locales || s.pool.namesLocale()
	if version != s.version {
		s.recent, s.version = recent{}, version
	}
	set := s.set(version)
	s.pool.packages(func(pkg []byte) {
		if s.recent.has(pkg) {
			return
		}
		name := string(pkg)
		set[name] = true
		s.recent.keep(name)
	})
}

// recent are packages that were named before: the classes of a jar name few of
// them, thousands of times, and to ask a map each time takes long.
type recent [256]string

func (r *recent) has(pkg []byte) bool { return r[place(pkg)] == string(pkg) }

func (r *recent) keep(pkg string) { r[place(pkg)] = pkg }

// place hashes a package's length and a few of its bytes.
func place[T []byte | string](pkg T) uint8 {
	n := len(pkg)
	return uint8(n) + 31*pkg[n-1] + 101*pkg[n/2] + 157*pkg[n-1-n/4]
}

func (s *scanner) set(version int) map[string]bool {
	if s.packages[version] == nil {
		s.packages[version] = make(map[string]bool)
	}
	return s.packages[version]
}

// maxClass is the largest class file read, in bytes: far above what javac
// makes, far below what would hurt.
const maxClass = 64 << 20

// read gives an entry's content, in memory that the next call uses again. The
// archive's own reader would make an inflater for each class.
func (s *scanner) read(f *zip.File) ([]byte, error) {
	if max(f.UncompressedSize64, f.CompressedSize64) > maxClass {
		return nil, fault.New(fault.ImageFailed, "leave it out of the build: no compiler writes a class like that", "a class of %d bytes, %d of them packed", f.UncompressedSize64, f.CompressedSize64)
	}
	raw, err := f.OpenRaw()
	if err != nil {
		return nil, err
	}
	s.packed = slices.Grow(s.packed[:0], int(f.CompressedSize64))[:f.CompressedSize64]
	if _, err := io.ReadFull(raw, s.packed); err != nil {
		return nil, err
	}
	switch f.Method {
	case zip.Store:
		return s.packed, nil
	case zip.Deflate:
	default:
		return nil, zip.ErrAlgorithm
	}
	if s.decoder == nil {
		s.decoder = inflate.NewDecoder()
	}
	size := int(f.UncompressedSize64)
	s.class = slices.Grow(s.class[:0], size+inflate.Slack)[:size]
	n, err := s.decoder.Decode(s.class, s.packed)
	if n == size {
		return s.class, nil // what there may be behind it is no part of the class
	}
	return nil, cmp.Or(err, io.ErrUnexpectedEOF)
}

func (s *scanner) references() references {
	var r references
	for version, set := range s.packages {
		list := slices.Sorted(maps.Keys(set))
		if version == 0 {
			r.Packages = list
			continue
		}
		if r.Versions == nil {
			r.Versions = make(map[int][]string)
		}
		r.Versions[version] = list
	}
	slices.Sort(s.requires)
	r.Requires = slices.Compact(s.requires)
	r.Natives, r.Locales = s.natives, s.locales
	return r
}

// split takes the version off an entry of a multi-release jar (JEP 238).
func split(name string) (version int, rest string) {
	after, ok := strings.CutPrefix(name, "META-INF/versions/")
	if !ok {
		return 0, name
	}
	number, rest, ok := strings.Cut(after, "/")
	version, err := strconv.Atoi(number)
	if !ok || err != nil {
		return 0, name
	}
	return version, rest
}
