package appjar

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// readRunnable lays out a jar that `java -jar` starts: its entries stay as
// they are, and the jars of its Class-Path go to lib/.
func (a *App) readRunnable(m manifest, path string) error {
	a.Main = m.get("Main-Class")
	if a.Main == "" {
		return fault.New(fault.ImageFailed, mainClassHint, "%s has no Main-Class in its manifest, so it cannot be started", filepath.Base(path))
	}
	files := map[string]*zip.File{}
	poms := 0
	for _, f := range a.archive.Files() {
		files[f.Name] = f
		if strings.HasPrefix(f.Name, "META-INF/maven/") && strings.HasSuffix(f.Name, "/pom.properties") {
			poms++
		}
	}
	a.setEntries(files)
	if err := a.readClassPath(m, filepath.Dir(path)); err != nil {
		return err
	}
	switch {
	case len(a.Libraries) > 0:
		a.Kind = Thin
		var err error
		if a.manifest, err = m.with("Class-Path", a.classPath()).bytes(); err != nil {
			return fmt.Errorf("%s: %w", manifestName, err)
		}
	case poms > 1:
		a.Kind = Shaded
	default:
		a.Kind = Plain
	}
	if len(a.Libraries) == 0 && files[classFile(a.Main)] == nil {
		return fault.New(fault.ImageFailed, "correct mainClass in the pom; it is a class's full name", "%s says Main-Class: %s, which is not in it", filepath.Base(path), a.Main)
	}
	a.findTimes()
	return a.findRelease("")
}

func classFile(class string) string { return strings.ReplaceAll(class, ".", "/") + ".class" }

// readClassPath finds the jars of the manifest's Class-Path: URLs relative to
// the jar. Java skips those that are not there, so a missing one is a warning.
func (a *App) readClassPath(m manifest, dir string) error {
	var missing, skipped []string
	names := map[string]string{}
	for ref := range strings.FieldsSeq(m.get("Class-Path")) {
		a.Beside = true
		u, err := url.Parse(ref)
		if err != nil || u.Scheme != "" || u.Host != "" || u.Path == "" || strings.HasSuffix(u.Path, "/") {
			skipped = append(skipped, ref)
			continue
		}
		file := filepath.Join(dir, filepath.FromSlash(u.Path))
		if filepath.IsAbs(u.Path) {
			file = filepath.FromSlash(u.Path)
		}
		info, err := os.Stat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, ref)
			continue
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			skipped = append(skipped, ref)
			continue
		}
		name := filepath.Base(file)
		if other, taken := names[name]; taken {
			if other == file {
				continue
			}
			return fmt.Errorf("its Class-Path has two files named %s: %s and %s", name, other, file)
		}
		names[name] = file
		a.Libraries = append(a.Libraries, Library{
			Name: name, Size: info.Size(),
			Open: func() (io.ReadCloser, error) { return os.Open(file) },
			Archive: func() (*zip.Reader, io.Closer, error) {
				z, err := zip.OpenReader(file)
				if err != nil {
					return nil, nil, err
				}
				return &z.Reader, z, nil
			},
			Content: func() (io.ReaderAt, io.Closer, error) {
				f, err := os.Open(file)
				return f, f, err
			},
		})
	}
	if len(missing) > 0 {
		a.Warnings = append(a.Warnings, fmt.Sprintf("the Class-Path names %d files that do not exist, the first is %s: the image goes without them, as java -jar does", len(missing), missing[0]))
	}
	if len(skipped) > 0 {
		a.Warnings = append(a.Warnings, fmt.Sprintf("the Class-Path names what is no jar beside the application: %s; the image goes without", strings.Join(skipped, ", ")))
	}
	return nil
}
