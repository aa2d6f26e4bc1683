package appjar

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/zipfs"
)

// classPath follows a manifest's Class-Path as java.net.URLClassLoader does:
// URLs relative to the jar or with file:, a folder ends in a slash, what is
// not there is left out, and a library's own Class-Path comes right after it.
type classPath struct {
	app              *App
	refs             []string        // app.jar's new Class-Path
	taken            map[string]bool // names below lib/, and of folders beside it
	seen             map[string]bool // files and folders that are on it already
	missing, skipped []string
}

// readClassPath finds the jars and folders of the manifest's Class-Path, and
// returns the one that app.jar needs. Java skips those that are not there, so
// a missing one is a warning.
func (a *App) readClassPath(ctx context.Context, m manifest, dir string) ([]string, error) {
	c := classPath{app: a, taken: map[string]bool{"app.jar/": true, "lib/": true}, seen: map[string]bool{}}
	if err := c.follow(ctx, m, dir, true); err != nil {
		return nil, err
	}
	if len(c.missing) > 0 {
		a.Warnings = append(a.Warnings, fmt.Sprintf("the Class-Path names %d files that do not exist, the first is %s: the image goes without them, as java -jar does", len(c.missing), c.missing[0]))
	}
	if len(c.skipped) > 0 {
		a.Warnings = append(a.Warnings, fmt.Sprintf("the Class-Path names what cannot go into the image: %s", strings.Join(c.skipped, ", ")))
	}
	return c.refs, nil
}

// follow adds what a manifest names, from the folder that its jar is in. What
// lacks is told of the application's own manifest alone: libraries often name
// neighbours that they no longer need.
func (c *classPath) follow(ctx context.Context, m manifest, dir string, tell bool) error {
	for ref := range strings.FieldsSeq(m.get("Class-Path")) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.app.Beside = true
		file, absolute, ok := localPath(ref)
		if !ok {
			c.skip(tell, ref)
			continue
		}
		if !absolute {
			file = filepath.Join(dir, file)
		}
		if c.seen[file] {
			continue
		}
		c.seen[file] = true
		var err error
		if strings.HasSuffix(ref, "/") || path.Base(ref) == "." || path.Base(ref) == ".." {
			err = c.folder(ref, file, dir, absolute, tell)
		} else {
			err = c.jar(ctx, ref, file, tell)
		}
		if err != nil {
			return fmt.Errorf("%s of the Class-Path: %w", ref, err)
		}
	}
	return nil
}

func (c *classPath) skip(tell bool, ref string) {
	if tell {
		c.skipped = append(c.skipped, ref)
	}
}

// localPath is the file that a URL of a Class-Path names.
func localPath(ref string) (file string, absolute, ok bool) {
	u, err := url.Parse(ref)
	if err != nil || u.Host != "" || u.User != nil || u.Scheme != "" && !strings.EqualFold(u.Scheme, "file") {
		return "", false, false
	}
	name := u.Path
	if u.Opaque != "" { // file:lib/x.jar is relative, too
		if name, err = url.PathUnescape(u.Opaque); err != nil {
			return "", false, false
		}
	}
	if name == "" || strings.ContainsRune(name, 0) {
		return "", false, false
	}
	return filepath.FromSlash(name), strings.HasPrefix(name, "/"), true
}

func (c *classPath) jar(ctx context.Context, ref, file string, tell bool) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		delete(c.seen, file) // who names it next may have to tell
		if tell {
			c.missing = append(c.missing, ref)
		}
		return nil
	case errors.Is(err, fs.ErrPermission):
		return unreadable(err)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		c.skip(tell, ref)
		return nil
	}
	m, isJar, err := manifestOf(file)
	if err != nil {
		return err
	}
	name := c.free("", filepath.Base(file))
	c.refs = append(c.refs, (&url.URL{Path: "lib/" + name}).EscapedPath())
	if !isJar { // Java skips it; the application may read it by its path
		c.app.Files = append(c.app.Files, File{Path: "lib/" + name, Layer: Dependencies, Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(file) }})
		return nil
	}
	l, err := c.app.onDisk(file)
	if err != nil {
		return err
	}
	l.Name = name
	c.app.Libraries = append(c.app.Libraries, l)
	return c.follow(ctx, m, filepath.Dir(file), false)
}

// free is a name below lib/ that no other file has, or a folder's beside it.
func (c *classPath) free(suffix, base string) string {
	name := base
	for n := 2; c.taken[name+suffix]; n++ {
		name = strconv.Itoa(n) + "/" + base
	}
	c.taken[name+suffix] = true
	return name
}

// folder adds a folder of classes or settings. One that is not there may be
// mounted where the image runs; an absolute one is this machine's, and so is
// the folder that the jar is in.
func (c *classPath) folder(ref, file, dir string, absolute, tell bool) error {
	rel, err := filepath.Rel(dir, file)
	if absolute || err != nil {
		c.refs = append(c.refs, ref)
		if info, err := os.Stat(file); err == nil && info.IsDir() && tell {
			c.app.Warnings = append(c.app.Warnings, fmt.Sprintf("the Class-Path names the folder %s of this machine: it is not in the image, mount one there", ref))
		}
		return nil
	}
	if rel == "." {
		c.refs = append(c.refs, "./")
		return nil
	}
	name := filepath.ToSlash(rel)
	if !filepath.IsLocal(rel) || c.taken[name+"/"] || strings.HasPrefix(name, "lib/") {
		name = c.free("/", filepath.Base(file))
	} else {
		c.taken[name+"/"] = true
	}
	c.refs = append(c.refs, (&url.URL{Path: name + "/"}).EscapedPath())
	return filepath.WalkDir(file, func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && at == file {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		below, err := filepath.Rel(file, at)
		if err != nil {
			return err
		}
		info, err := os.Stat(at)
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		c.app.Files = append(c.app.Files, File{
			Path: name + "/" + filepath.ToSlash(below), Layer: Application, Size: info.Size(),
			Open: func() (io.ReadCloser, error) { return os.Open(at) },
		})
		return nil
	})
}

// manifestOf reads the manifest of the jar in a file; an empty one when it has
// none that can be read. What is not called a jar need not be one.
func manifestOf(file string) (m manifest, isJar bool, err error) {
	archive, err := zip.OpenReader(file)
	switch {
	case errors.Is(err, zip.ErrFormat) && strings.HasSuffix(file, ".jar"):
		return m, false, fault.New(fault.ImageFailed, "build it again, or delete it from the Maven repository when it came from there: a jar cut short by a full disk looks like this", "%s: %w", file, err)
	case errors.Is(err, zip.ErrFormat):
		return m, false, nil
	case errors.Is(err, fs.ErrPermission):
		return m, false, unreadable(err)
	case err != nil:
		return m, false, err
	}
	defer archive.Close()
	for _, f := range archive.File {
		if f.Name != manifestName {
			continue
		}
		if raw, err := zipfs.Read(f, maxText); err == nil {
			m, _ = parseManifest(raw) // a library's is Java's to judge
		}
		break
	}
	return m, true, nil
}
