package appjar

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/zipfs"
)

// quarkusRunner is the package of the main class of quarkus-run.jar.
const quarkusRunner = "io.quarkus.bootstrap.runner."

// quarkusData tells Quarkus' class loader which jars there are and what is in
// them, by paths relative to the folder three above quarkus-bootstrap-runner's
// jar (QuarkusEntryPoint, SerializedApplication). So the folder is copied as
// it is, and its first jar may have any name.
const quarkusData = "quarkus/quarkus-application.dat"

// readQuarkus lays out a fast-jar: lib/ is the libraries, app/ the
// application, quarkus/ what was generated of both.
func (a *App) readQuarkus(ctx context.Context, m manifest, path string) error {
	a.Kind, a.Main, a.Beside = Quarkus, m.get("Main-Class"), true
	dir := filepath.Dir(path)
	if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(quarkusData))); err != nil || !info.Mode().IsRegular() {
		return fault.New(fault.ImageFailed, "keep the whole quarkus-app folder together: quarkus-run.jar, lib/, app/ and quarkus/",
			"the first jar of a Quarkus application, and %s is not beside it", quarkusData)
	}
	var err error
	if a.ownJar, err = readOwnJar(a.archive); err != nil {
		return err
	}
	for _, folder := range []string{"lib", "app", "quarkus"} {
		err := filepath.WalkDir(filepath.Join(dir, folder), func(file string, d fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if errors.Is(err, fs.ErrNotExist) && file == filepath.Join(dir, folder) {
				return nil
			}
			if err != nil || d.IsDir() {
				return err
			}
			return a.addQuarkus(dir, folder, file)
		})
		if err != nil {
			return err
		}
	}
	a.findTimes()
	return nil
}

func (a *App) addQuarkus(dir, folder, file string) error {
	name, err := filepath.Rel(dir, file)
	if err != nil {
		return err
	}
	name = filepath.ToSlash(name)
	isJar := strings.HasSuffix(name, ".jar")
	if folder == "lib" && isJar {
		l, err := a.onDisk(file)
		l.Name = strings.TrimPrefix(name, "lib/")
		a.Libraries = append(a.Libraries, l)
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	f := File{Path: name, Layer: Generated, Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(file) }}
	switch {
	case folder == "lib":
		f.Layer = Dependencies
	case folder == "app":
		f.Layer = Application
	}
	if isJar && folder != "lib" {
		if err := a.takeOwn(&f, file); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	a.Files = append(a.Files, f)
	return nil
}

// takeOwn makes f a jar that this build made: its bytes hang on its content
// alone. The Java release is that of the application's own classes.
func (a *App) takeOwn(f *File, file string) error {
	archive, err := zipfs.Open(file)
	if err != nil {
		return err
	}
	a.beside = append(a.beside, archive)
	j, err := readOwnJar(archive)
	if err != nil {
		return err
	}
	j.stored = a.options.Stored && f.Layer == Generated
	for _, e := range j.entries {
		if e.file != nil && j.stored && isBomb(e.file) {
			return grows(e.file)
		}
	}
	if f.Digest, f.Size, err = j.sum(); err != nil {
		return err
	}
	f.Open = func() (io.ReadCloser, error) { return j.open(io.NopCloser(nil)), nil }
	f.Archive = func() (*zip.Reader, io.Closer, error) { return archive.Reader(), io.NopCloser(nil), nil }
	if f.Layer == Application {
		release, err := j.release(func(string) bool { return true })
		a.Release = max(a.Release, release)
		return err
	}
	return nil
}
