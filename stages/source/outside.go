package source

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// mavenConfig are the files in .mvn that change what Maven does, and so count
// even where .gitignore names them (https://maven.apache.org/configure.html;
// the last three are Maven 4's).
var mavenConfig = []string{
	"maven.config", "jvm.config", "extensions.xml", "wrapper/maven-wrapper.properties",
	"maven-user.properties", "maven-system.properties", "settings.xml",
}

// maxPom bounds what is read of a pom.xml; real ones have some kilobytes.
const maxPom = 16 << 20

// outside collects what a build reads outside the project's folder.
type outside struct {
	dir     string // the project's folder, absolute
	project *listing
	files   []file
	asked   map[string]bool // poms looked into and folders listed, relative to dir
}

// withOutside returns the project's files and those that Maven reads outside
// its folder: parent poms, modules, and the nearest .mvn above.
func withOutside(ctx context.Context, dir string, project *listing) ([]file, error) {
	o := &outside{dir: dir, project: project, files: project.files, asked: map[string]bool{}}
	if err := o.mavenFolder(ctx); err != nil {
		return nil, err
	}
	for i := 0; i < len(o.files); i++ { // grows on the way: parents have parents
		if isPom(o.files[i].path) {
			if err := o.pom(ctx, o.files[i].path); err != nil {
				return nil, err
			}
		}
	}
	return o.files, o.dirty(ctx, len(project.files))
}

// mavenFolder adds .mvn: the project's, or that of the nearest folder above
// it, where the mvn script finds the root of a multi-module build.
func (o *outside) mavenFolder(ctx context.Context) error {
	for base := o.dir; ; base = filepath.Dir(base) {
		folder := filepath.Join(base, ".mvn")
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			at := o.relative(folder)
			for _, name := range mavenConfig {
				o.files = append(o.files, file{path: path.Join(at, name)})
			}
			if base == o.dir {
				return nil
			}
			return o.folder(ctx, at)
		}
		if base == filepath.Dir(base) {
			return nil
		}
	}
}

// relative names a file from the project's folder, with slashes.
func (o *outside) relative(name string) string {
	rel, err := filepath.Rel(o.dir, name)
	if err != nil {
		return filepath.ToSlash(name)
	}
	return filepath.ToSlash(rel)
}

// pom follows the references of the pom at p that lead out of the project. A
// pom that cannot be read is Maven's to complain about.
func (o *outside) pom(ctx context.Context, p string) error {
	if o.asked[p] {
		return nil
	}
	o.asked[p] = true
	text, err := readPom(filepath.Join(o.dir, filepath.FromSlash(p)))
	if err != nil {
		return nil
	}
	// Most poms of a large project have their parent in the folder above,
	// inside the project: only those that climb are worth parsing.
	if depth := strings.Count(p, "/"); depth > 0 && !isOutside(p) && !bytes.Contains(text, []byte("..")) {
		return nil
	}
	parent, modules := references(text)
	if parent != "" {
		if target := o.resolve(p, parent); isOutside(target) {
			o.files = append(o.files, file{path: target})
		}
	}
	if isOutside(p) && !o.listed(p) {
		return nil // a parent's modules are not built from here
	}
	for _, m := range modules {
		target := o.resolve(p, m)
		if !isOutside(target) {
			continue
		}
		if err := o.folder(ctx, path.Dir(target)); err != nil {
			return err
		}
	}
	return nil
}

func isOutside(p string) bool { return p == ".." || strings.HasPrefix(p, "../") }

// resolve follows a reference from the pom at p: to a pom, or to a folder that
// has one.
func (o *outside) resolve(p, reference string) string {
	target := filepath.Join(o.dir, filepath.FromSlash(path.Join(path.Dir(p), strings.ReplaceAll(reference, `\`, "/"))))
	if info, err := os.Stat(target); err == nil && info.IsDir() {
		target = filepath.Join(target, "pom.xml")
	}
	return o.relative(target)
}

// listed tells whether p is in a folder that was taken in whole.
func (o *outside) listed(p string) bool {
	for d := path.Dir(p); isOutside(d); d = path.Dir(d) {
		if o.asked[d+"/"] {
			return true
		}
	}
	return false
}

// folder takes in a whole folder outside the project: its files by its own
// rules, as the project's are.
func (o *outside) folder(ctx context.Context, at string) error {
	if o.listed(at+"/x") || strings.Trim(at, "./") == "" {
		return nil // known; or a folder around the project, which would take in everything
	}
	o.asked[at+"/"] = true
	under := filepath.Join(o.dir, filepath.FromSlash(at))
	if _, err := os.Stat(under); err != nil {
		return nil // Maven will say so
	}
	found, err := list(ctx, under)
	if err != nil {
		return fmt.Errorf("list the files of %s: %w", under, err)
	}
	for _, f := range found.files {
		f.path = path.Join(at, f.path)
		if found.sha256 != o.project.sha256 {
			f.id = ""
		}
		o.files = append(o.files, f)
	}
	o.project.dirty = o.project.dirty || found.dirty
	o.project.warnings = append(o.project.warnings, found.warnings...)
	return nil
}

// dirty looks whether the single files outside, from the given one on, are as
// committed.
func (o *outside) dirty(ctx context.Context, from int) error {
	if !o.project.git || o.project.dirty {
		return nil
	}
	args := []string{"--literal-pathspecs", "status", "--porcelain", "-z", "--"}
	bare := len(args)
	for _, f := range o.files[min(from, len(o.files)):] {
		name := filepath.Join(o.dir, filepath.FromSlash(f.path))
		if rel, err := filepath.Rel(o.project.top, name); err == nil && !isOutside(filepath.ToSlash(rel)) && isOutside(f.path) && !o.listed(f.path) {
			args = append(args, f.path)
		}
	}
	if len(args) == bare {
		return nil
	}
	out, err := git(ctx, o.dir, nil, args...)
	if err != nil && ctx.Err() == nil {
		o.project.warnings = append(o.project.warnings, fmt.Sprintf("cannot tell whether the files outside the project are as committed: %v", err))
	}
	o.project.dirty = err != nil || len(out) > 0
	return context.Cause(ctx)
}

func readPom(name string) ([]byte, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	return io.ReadAll(io.LimitReader(in, maxPom))
}

// references finds in a pom the relative path of its parent, empty where it
// has none or asks for a repository, and its modules, those of profiles too.
// A parent without a relativePath means ../pom.xml (Maven's model,
// Parent.relativePath). Of a broken pom it returns what stands before the fault.
func references(text []byte) (parent string, modules []string) {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	decoder.Strict = false
	// Paths are ASCII in practice, and any charset that a pom has agrees there.
	decoder.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var at []string
	var value strings.Builder
	for {
		token, err := decoder.Token()
		if err != nil {
			return parent, modules
		}
		switch t := token.(type) {
		case xml.StartElement:
			at = append(at, t.Name.Local)
			value.Reset()
			if slices.Equal(at, []string{"project", "parent"}) {
				parent = "../pom.xml"
			}
		case xml.CharData:
			value.Write(t)
		case xml.EndElement:
			where := strings.Join(at, "/")
			text := strings.TrimSpace(value.String())
			switch where {
			case "project/parent/relativePath":
				parent = text
			case "project/modules/module", "project/subprojects/subproject",
				"project/profiles/profile/modules/module", "project/profiles/profile/subprojects/subproject":
				modules = append(modules, text)
			}
			at = at[:max(0, len(at)-1)]
			value.Reset()
		}
	}
}
