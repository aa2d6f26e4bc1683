package maven

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// beyond are files that the job reads though the source does not list them:
// what .gitignore hides in source and resource folders, which Maven packs all
// the same, or next to a pom that names it.
func (j *job) beyond(listed []File, poms string) ([]File, error) {
	b := unlisted{job: j, known: make(map[string]bool, len(listed))}
	for _, f := range listed {
		b.known[f.Path] = true
	}
	folders := []string{"src"}
	for _, m := range resourceFolder.FindAllStringSubmatch(poms, -1) {
		folders = append(folders, ownPath(m[1]))
	}
	for _, m := range j.tree.Modules {
		for _, folder := range folders {
			if err := b.walk(filepath.Join(m.Dir, folder)); err != nil {
				return nil, err
			}
		}
		if err := b.beside(m.Dir, poms); err != nil {
			return nil, err
		}
	}
	return b.files, nil
}

type unlisted struct {
	job   *job
	known map[string]bool // paths that are listed, and folders that were walked
	files []File
}

// walk takes every file of a folder. node_modules are made by the build.
func (b *unlisted) walk(folder string) error {
	at := filepath.ToSlash(filepath.Clean(folder))
	if at == "." || strings.Contains(at, "${") || b.known[at+"/"] {
		return nil // the whole project is no folder of sources; or unknown, or seen
	}
	b.known[at+"/"] = true
	return filepath.WalkDir(filepath.Join(b.job.dir, folder), func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "target"):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		return b.take(name, d)
	})
}

// beside takes the files next to a module's pom that a pom names.
func (b *unlisted) beside(dir, poms string) error {
	entries, err := os.ReadDir(filepath.Join(b.job.dir, dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || !strings.Contains(poms, e.Name()) {
			continue
		}
		if err := b.take(filepath.Join(b.job.dir, dir, e.Name()), e); err != nil {
			return err
		}
	}
	return nil
}

func (b *unlisted) take(name string, d fs.DirEntry) error {
	rel, inside := strings.CutPrefix(name, b.job.dir+string(filepath.Separator)) // as filepath.Rel, for tens of thousands
	if !inside {
		var err error
		if rel, err = filepath.Rel(b.job.dir, name); err != nil {
			return err
		}
	}
	rel = filepath.ToSlash(rel)
	if b.known[rel] || !d.Type().IsRegular() {
		return nil
	}
	b.known[rel] = true
	sum, err := b.job.book.Digest(name)
	b.files = append(b.files, File{Path: rel, Mode: "100644", ID: string(sum.Digest)})
	return err
}

// ownPath is a folder of a pom, relative to the module's.
func ownPath(text string) string {
	for _, prefix := range []string{"${project.basedir}", "${basedir}", "${pom.basedir}"} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			return strings.TrimPrefix(rest, "/")
		}
	}
	return text
}

// linked are the contents behind the source's symbolic links that lead to what
// it does not list. A link to such a folder is the error.
func (j *job) linked(files, listed []File) ([]File, error) {
	if !slices.ContainsFunc(files, func(f File) bool { return f.Mode == "120000" }) {
		return nil, nil
	}
	known := map[string]bool{}
	for _, f := range listed {
		known[f.Path] = true
		for dir := path.Dir(f.Path); dir != "." && !known[dir]; dir = path.Dir(dir) {
			known[dir] = true
			if dir == ".." || dir == "/" {
				break
			}
		}
	}
	top, err := filepath.EvalSymlinks(j.dir)
	if err != nil {
		return nil, err
	}
	var more []File
	for _, f := range files {
		if f.Mode != "120000" {
			continue
		}
		target, err := filepath.EvalSymlinks(filepath.Join(j.dir, filepath.FromSlash(f.Path)))
		if err != nil {
			continue // it leads nowhere, for Maven too
		}
		if rel, err := filepath.Rel(top, target); err == nil && known[filepath.ToSlash(rel)] {
			continue
		}
		info, err := os.Stat(target)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return nil, fmt.Errorf("%s is a link to a folder outside the source", f.Path)
		}
		sum, err := j.book.Digest(target)
		if err != nil {
			return nil, err
		}
		more = append(more, File{Path: f.Path, Mode: "100644", ID: string(sum.Digest)})
	}
	return more, nil
}

// outside names what a pom of the project refers to outside the project's
// folder, where the source does not list it.
func (j *job) outside(listed []File) string {
	covered := func(p string) bool {
		return slices.ContainsFunc(listed, func(f File) bool { return f.Path == p || strings.HasPrefix(f.Path, p+"/") })
	}
	for _, m := range j.tree.Modules {
		if m.Pom.Packaging == "pom" && len(j.tree.Modules) > 1 {
			continue // what it says is for its modules
		}
		for _, p := range m.Chain {
			text, err := os.ReadFile(p.Path)
			if err != nil {
				continue // it was read before: gone just now
			}
			for _, ref := range leaving(text) {
				target := filepath.ToSlash(filepath.Join(m.Dir, ref))
				if filepath.IsAbs(ref) || !filepath.IsLocal(target) && !covered(target) {
					return fmt.Sprintf("%s names %s, which is outside the project's folder", mvn.Relative(j.dir, p.Path), ref)
				}
			}
		}
	}
	return ""
}

// leaving are the paths in a pom that may lead out of the module: those with a
// ".." in them, and absolute folders of resources. Parents, modules and sites
// apart.
func leaving(pom []byte) []string {
	var refs []string
	for _, m := range resourceFolder.FindAllSubmatch(pom, -1) {
		if filepath.IsAbs(string(m[1])) {
			refs = append(refs, string(m[1]))
		}
	}
	if !bytes.Contains(pom, []byte("..")) {
		return refs // nearly all
	}
	element := ""
	in := xml.NewDecoder(bytes.NewReader(pom))
	in.Strict = false
	for {
		token, err := in.Token()
		if err != nil {
			return refs // its end, or what Maven has to complain about
		}
		switch t := token.(type) {
		case xml.StartElement:
			element = t.Name.Local
		case xml.EndElement:
			element = ""
		case xml.CharData:
			if slices.Contains([]string{"relativePath", "module", "subproject", "url", "connection", "developerConnection"}, element) {
				continue
			}
			for word := range strings.FieldsFuncSeq(string(t), func(r rune) bool { return strings.ContainsRune(" \t\r\n,;=:\"'", r) }) {
				ref := ownPath(word)
				if !strings.HasPrefix(ref, "${") && slices.Contains(strings.Split(ref, "/"), "..") {
					refs = append(refs, ref)
				}
			}
		}
	}
}

// inherited are the parent poms that Maven took from its repository, nearest
// first.
func (j *job) inherited(resolved []mvn.Resolved) []string {
	var files []string
	for _, m := range j.tree.Modules {
		for parent := m.Remote; parent != nil; {
			i := slices.IndexFunc(resolved, func(r mvn.Resolved) bool {
				return r.ID == parent.Group+":"+parent.Artifact+":pom:"+parent.Version
			})
			if i < 0 || slices.Contains(files, resolved[i].File) {
				break
			}
			files = append(files, resolved[i].File)
			pom, err := mvn.ReadPom(resolved[i].File)
			if err != nil {
				break
			}
			parent = pom.Parent
		}
	}
	return files
}
