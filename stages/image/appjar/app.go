// Package appjar reads the jar of an application, whatever tool packed it,
// and gives it the thin layout: app.jar with the application's own entries
// and lib/*.jar beside it, the class path in app.jar's manifest. No JVM is
// needed.
package appjar

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/zipfs"
)

// Kinds of jars that can be made an image of.
const (
	SpringBoot = "spring-boot" // executable Spring Boot jar, 2.3 and later
	Shaded     = "shaded"      // one jar that holds its dependencies' classes
	Thin       = "thin"        // a Class-Path of jars beside it
	Plain      = "plain"       // a Main-Class and no dependencies
)

// Layers that every application may have, bottom first, unless its own
// layers.idx says otherwise.
const (
	Dependencies = "dependencies"
	Snapshots    = "snapshot-dependencies"
	Application  = "application"
)

// App is an application's jar. It holds the file open until Close.
type App struct {
	Kind      string
	Main      string    // the class whose main method starts the application
	Libraries []Library // in the order of the class path
	Layers    []string  // names of the layers that libraries and app.jar are in, bottom first
	Layer     string    // the layer of app.jar
	Warnings  []string  // what the user should know of this jar
	Beside    bool      // it names files beside the jar, there or not
	Release   int       // the Java release that the application's own classes need; 0 when unknown

	index    []layer // layers.idx
	archive  *zipfs.Archive
	entries  []entry   // app.jar's, sorted, directories included, without the manifest
	manifest []byte    // app.jar's
	modified time.Time // when the jar was written
}

// entry is one of app.jar's.
type entry struct {
	name string
	file *zip.File // nil for directories
}

// Library is one jar on the class path beside app.jar.
type Library struct {
	Name   string       // slash path below lib/
	Layer  string       // one of App.Layers
	Size   int64        // bytes
	Digest cache.Digest // of the jar's bytes
	// Open starts its bytes.
	Open func() (io.ReadCloser, error)
	// Archive opens it to look inside.
	Archive func() (*zip.Reader, io.Closer, error)
	// Content opens its bytes to read anywhere in; nil for one that would
	// have to be inflated into too much memory.
	Content func() (io.ReaderAt, io.Closer, error)
}

// Open reads the jar at path, tells its kind and hashes its libraries.
// snapshots are the file names of libraries that are snapshots; they go to a
// layer of their own. Errors are of class fault.ImageFailed and name the jar.
func Open(ctx context.Context, path string, snapshots []string) (*App, error) {
	return OpenAs(ctx, path, snapshots, "")
}

// OpenAs is Open with another class to start than the jar names, unless main
// is empty.
func OpenAs(ctx context.Context, path string, snapshots []string, main string) (*App, error) {
	archive, err := zipfs.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	a, err := read(archive, path, main)
	if err == nil {
		err = a.hash(ctx)
	}
	if err == nil {
		a.assign(snapshots)
		return a, nil
	}
	archive.Close()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if fault.ClassOf(err) != fault.Internal {
		return nil, err
	}
	return nil, fault.As(fault.ImageFailed, fmt.Errorf("read %s: %w", path, err))
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.ImageFailed, "build it first: leave out --from, or check maven.goals", "read the application: no file %s", path)
	case errors.Is(err, zipfs.ErrFormat):
		return fault.New(fault.ImageFailed, "build it again; a jar cut short by a full disk looks like this", "%w", err)
	}
	return fault.As(fault.ImageFailed, err)
}

// Close closes the jar's file.
func (a *App) Close() error { return a.archive.Close() }

// Archive is the jar as it was packed, to look inside; it lives until Close.
func (a *App) Archive() *zip.Reader { return a.archive.Reader() }

// hash fills the libraries' digests, as many at once as there are processors.
func (a *App) hash(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range a.Libraries {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			l := &a.Libraries[i]
			d, size, err := sum(l.Open)
			if err != nil {
				return fmt.Errorf("library %s: %w", l.Name, err)
			}
			if size != l.Size {
				return fmt.Errorf("library %s: %w: %d bytes instead of %d", l.Name, zipfs.ErrFormat, size, l.Size)
			}
			l.Digest = d
			return nil
		})
	}
	return group.Wait()
}

func sum(open func() (io.ReadCloser, error)) (cache.Digest, int64, error) {
	r, err := open()
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return cache.FromSum(h.Sum(nil)), n, err
}

// assign gives every library its layer and keeps the layers that are used.
func (a *App) assign(snapshots []string) {
	indexed := a.Layers != nil
	if !indexed {
		a.Layers, a.Layer = []string{Dependencies, Snapshots, Application}, Application
	}
	used := map[string]bool{a.Layer: true}
	for i := range a.Libraries {
		l := &a.Libraries[i]
		if l.Layer == "" {
			l.Layer = Dependencies
			if indexed {
				l.Layer = a.Layer
			} else if strings.Contains(l.Name, "SNAPSHOT") {
				l.Layer = Snapshots
			}
		}
		if l.Layer == Dependencies && slices.Contains(snapshots, l.Name) {
			l.Layer = Snapshots
			if !slices.Contains(a.Layers, Snapshots) {
				a.Layers = slices.Insert(a.Layers, slices.Index(a.Layers, Dependencies)+1, Snapshots)
			}
		}
		used[l.Layer] = true
	}
	a.Layers = slices.DeleteFunc(a.Layers, func(name string) bool { return !used[name] })
}

// setEntries takes the files of app.jar, adds every directory above them
// (class path scanners look directories up by name) and sorts the lot.
func (a *App) setEntries(files map[string]*zip.File) {
	dirs := map[string]bool{"META-INF/": true}
	for name := range files {
		for i := strings.LastIndexByte(strings.TrimSuffix(name, "/"), '/'); i >= 0; i = strings.LastIndexByte(name[:i], '/') {
			dirs[name[:i+1]] = true
		}
		if strings.HasSuffix(name, "/") {
			dirs[name] = true
		} else if name != manifestName {
			a.entries = append(a.entries, entry{name, files[name]})
		}
	}
	for d := range dirs {
		a.entries = append(a.entries, entry{name: d})
	}
	slices.SortFunc(a.entries, func(x, y entry) int { return strings.Compare(x.name, y.name) })
}

// WriteTo writes app.jar: the manifest first, then the entries by name, all
// with one constant time, so that the bytes depend on the content alone.
// Entries are copied as they are compressed.
func (a *App) WriteTo(w io.Writer) (int64, error) {
	count := &counter{w: w}
	z := zipfs.NewWriter(count)
	if err := z.Dir("META-INF/"); err != nil {
		return count.n, err
	}
	if err := z.Add(manifestName, a.manifest); err != nil {
		return count.n, err
	}
	for _, e := range a.entries {
		var err error
		switch {
		case e.name == "META-INF/":
		case e.file == nil:
			err = z.Dir(e.name)
		default:
			err = z.Copy(e.file, e.name)
		}
		if err != nil {
			return count.n, err
		}
	}
	err := z.Close()
	return count.n, err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
