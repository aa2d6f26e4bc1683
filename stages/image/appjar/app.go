// Package appjar reads the jar of an application, whatever tool packed it,
// and gives it the thin layout: app.jar with the application's own entries
// and lib/*.jar beside it, the class path in app.jar's manifest. No JVM is
// needed.
package appjar

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/zipfs"
)

// Kinds of applications that can be made an image of.
const (
	SpringBoot = "spring-boot" // executable Spring Boot jar or war, 2.3 and later
	Quarkus    = "quarkus"     // quarkus-run.jar beside lib/, app/ and quarkus/
	Shaded     = "shaded"      // one jar that holds its dependencies' classes
	Thin       = "thin"        // a Class-Path of jars beside it
	Plain      = "plain"       // a Main-Class and no dependencies
)

// Layers that an application may have, bottom first, unless its own
// layers.idx says otherwise.
const (
	Dependencies = "dependencies"
	Snapshots    = "snapshot-dependencies"
	Modules      = "modules" // of the same build
	Generated    = "quarkus" // what Quarkus made of all jars together
	Webapp       = "webapp"  // a war's pages and static files
	Application  = "application"
)

// Options say what the jar alone does not.
type Options struct {
	// Snapshots and Modules are the file names of libraries that are
	// snapshots, and of those that this build made of its own modules. They
	// go to layers of their own.
	Snapshots, Modules []string
	// Stored inflates the entries of what Quarkus generates anew with every
	// build.
	Stored bool
	// Main is another class to start than the jar names; empty for that one.
	Main string
	// Digest gives a file's size and sha256, for files that lie beside the
	// jar; nil reads them.
	Digest func(path string) (cache.Descriptor, error)
	// Known gives the digest of a released library within the jar where it is
	// known, else an empty one; nil reads every library.
	Known func(Entry) cache.Digest
}

// Entry is what a jar's directory says of a library in it.
type Entry struct {
	Name string // slash path below lib/
	Size int64  // bytes
	CRC  uint32 // CRC-32 of the bytes
}

// App is an application's jar. It holds the file open until Close.
type App struct {
	Kind      string
	Main      string    // the class whose main method starts the application
	Libraries []Library // in the order of the class path
	Files     []File    // further files, by path
	Layers    []string  // names of the layers that libraries, files and app.jar are in, bottom first
	Layer     string    // the layer of app.jar
	Warnings  []string  // what the user should know of this jar
	Beside    bool      // it names files beside the jar, there or not
	Release   int       // the Java release that the application's own classes need; 0 when unknown

	ownJar   // app.jar
	options  Options
	index    []layer // layers.idx
	archive  *zipfs.Archive
	beside   []io.Closer
	modified time.Time // when the jar was written
}

// Library is one jar on the class path beside app.jar.
type Library struct {
	Name   string       // slash path below lib/
	Layer  string       // one of App.Layers
	Size   int64        // bytes
	Digest cache.Digest // of the jar's bytes
	Entry  Entry        // of a released one within the application's jar; else zero
	// Own says that this build made it. Its bytes are its content in one
	// order and with one time, like app.jar's.
	Own bool
	// Open starts its bytes.
	Open func() (io.ReadCloser, error)
	// Archive opens it to look inside.
	Archive func() (*zip.Reader, io.Closer, error)
	// Content opens its bytes to read anywhere in; nil for one of which this
	// takes too much memory, and for Own ones.
	Content func() (io.ReaderAt, io.Closer, error)
}

// File is a file beside app.jar that is no library: a page of a war, a jar of
// Quarkus' own class loader, a folder's file on the class path.
type File struct {
	Path   string // slash path beside app.jar
	Layer  string // one of App.Layers
	Size   int64  // bytes
	Digest cache.Digest
	Open   func() (io.ReadCloser, error)
	// Archive opens a jar to look inside; nil for what is no jar.
	Archive func() (*zip.Reader, io.Closer, error)
}

// Open reads the jar at path, tells its kind and hashes its libraries and
// files. Errors are of class fault.ImageFailed and name the jar.
func Open(ctx context.Context, path string, options Options) (*App, error) {
	archive, err := zipfs.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	a := &App{archive: archive, modified: archive.Modified(), options: options}
	if err = a.read(ctx, path); err == nil {
		err = a.hash(ctx)
	}
	if err == nil {
		a.assign()
		err = a.bounds()
	}
	if err == nil {
		return a, nil
	}
	a.Close()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	err = fmt.Errorf("read %s: %w", path, err)
	if fault.ClassOf(err) != fault.Internal {
		return nil, err
	}
	return nil, fault.New(fault.ImageFailed, remedy(err), "%w", err)
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.ImageFailed, "build it first: leave out --from, or check maven.goals", "read the application: no file %s", path)
	case errors.Is(err, fs.ErrPermission):
		return unreadable(err)
	}
	return fault.New(fault.ImageFailed, remedy(err), "%w", err)
}

func unreadable(err error) error {
	return fault.New(fault.ImageFailed, "let this user read it: a build as root leaves such files", "%w", err)
}

// remedy says what to do about an archive that is refused.
func remedy(err error) string {
	switch {
	case errors.Is(err, zipfs.ErrTwice):
		return "let the build pack it once: exclude one of the two (filters of maven-shade-plugin, duplicatesStrategy of Gradle)"
	case errors.Is(err, zipfs.ErrPack):
		return "pack it with the build's own plug-in, or the JDK's jar"
	case errors.Is(err, zipfs.ErrCode):
		return "build it with a tool that writes UTF-8 names, such as Maven, Gradle or the JDK's jar, or rename the file"
	case errors.Is(err, zipfs.ErrName), errors.Is(err, zipfs.ErrBomb):
		return "no build tool writes such an archive: find out where it comes from before you build it again"
	case errors.Is(err, zipfs.ErrFormat), errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrFormat):
		return "build it again; a jar cut short by a full disk looks like this"
	}
	return ""
}

// Close closes the jar's file, and those beside it that are open.
func (a *App) Close() error {
	err := a.archive.Close()
	for _, c := range a.beside {
		err = errors.Join(err, c.Close())
	}
	return err
}

// Archive is the jar as it was packed, to look inside; it lives until Close.
func (a *App) Archive() *zip.Reader { return a.archive.Reader() }
