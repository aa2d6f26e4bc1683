package appjar

import (
	"archive/zip"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// readRunnable lays out a jar that `java -jar` starts: its entries stay as
// they are, and the jars of its Class-Path go to lib/.
func (a *App) readRunnable(ctx context.Context, m manifest, path string) error {
	a.Main = m.get("Main-Class")
	if a.Main == "" {
		return fault.New(fault.ImageFailed, mainClassHint, "no Main-Class in its manifest, so it cannot be started")
	}
	files := map[string]*zip.File{}
	poms := 0
	for _, f := range a.archive.Files() {
		files[f.Name] = f
		if strings.HasPrefix(f.Name, "META-INF/maven/") && strings.HasSuffix(f.Name, "/pom.properties") {
			poms++
		}
	}
	a.ownJar = newOwnJar(files, a.manifest)
	refs, err := a.readClassPath(ctx, m, filepath.Dir(path))
	if err != nil {
		return err
	}
	switch {
	case len(a.Libraries)+len(a.Files) > 0:
		a.Kind = Thin
		classPath := strings.Join(refs, " ")
		if classPath == strings.Join(strings.Fields(m.get("Class-Path")), " ") {
			break // the manifest, and with it a signature, may stay
		}
		if a.manifest, err = m.with("Class-Path", classPath).bytes(); err != nil {
			return fmt.Errorf("%s: %w", manifestName, err)
		}
	case poms > 1:
		a.Kind = Shaded
	default:
		a.Kind = Plain
	}
	if files[classFile(a.Main)] == nil && len(a.Files) == 0 && !a.inLibrary(a.Main) {
		return a.noMain("Main-Class", "correct mainClass in the pom; it is a class's full name")
	}
	a.findTimes()
	return a.findRelease("")
}

// noMain is the error of a main class that is nowhere; attribute is the
// manifest's that names it, hint how to correct that one.
func (a *App) noMain(attribute, hint string) error {
	if a.options.Main != "" {
		return fault.New(fault.ImageFailed, "correct image.main; it is a class's full name", "image.main: %s is neither in it nor in a library", a.Main)
	}
	return fault.New(fault.ImageFailed, hint, "its manifest says %s: %s, which is neither in it nor in a library", attribute, a.Main)
}

// inLibrary tells whether a library has a class; one that cannot be read may.
func (a *App) inLibrary(class string) bool {
	return slices.ContainsFunc(a.Libraries, func(l Library) bool {
		archive, closer, err := l.Archive()
		if err != nil {
			return true
		}
		defer closer.Close()
		return slices.ContainsFunc(archive.File, func(f *zip.File) bool { return f.Name == classFile(class) })
	})
}

func classFile(class string) string { return strings.ReplaceAll(class, ".", "/") + ".class" }
