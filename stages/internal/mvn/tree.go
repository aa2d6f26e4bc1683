package mvn

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
)

// Tree is the poms of a project as they lie on disk: the root, the parents
// above it, and its modules with those of all profiles.
type Tree struct {
	Root    *Module
	Modules []*Module // all, the root first, in the order they are written
	Digest  cache.Digest
}

// Module is one pom of a Tree.
type Module struct {
	Dir    string  // relative to the root, "." for the root
	Pom    *Pom    //
	Chain  []*Pom  // the pom and its local parents, nearest first
	Remote *Parent // the parent that is not on disk, or nil
}

// maxModules bounds a tree: the largest known builds have some two thousand.
const maxModules = 10_000

// ReadTree reads the poms below and above dir. Errors are of class
// fault.BadInput and name the file.
func ReadTree(dir string) (*Tree, error) {
	r := treeReader{root: dir, poms: map[string]*Pom{}, texts: map[string]cache.Digest{}}
	if err := r.module(filepath.Join(dir, "pom.xml"), ""); err != nil {
		return nil, err
	}
	t := &Tree{Root: r.modules[0], Modules: r.modules}
	paths := make([]string, 0, len(r.texts))
	for p := range r.texts {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	key := cache.NewKey("poms", "1")
	for _, p := range paths {
		rel, _ := filepath.Rel(dir, p) // both are absolute
		key = key.Add(rel, string(r.texts[p]))
	}
	t.Digest = cache.Digest("sha256:" + string(key.Key()))
	return t, nil
}

type treeReader struct {
	root    string
	modules []*Module
	poms    map[string]*Pom // by path
	texts   map[string]cache.Digest
}

func (r *treeReader) pom(path string) (*Pom, error) {
	if p, ok := r.poms[path]; ok {
		return p, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := ParsePom(path, text)
	if err != nil {
		return nil, err
	}
	r.poms[path], r.texts[path] = p, cache.Sum(text)
	return p, nil
}

func (r *treeReader) module(path, from string) error {
	if slices.ContainsFunc(r.modules, func(m *Module) bool { return m.Pom.Path == path }) {
		return nil
	}
	if len(r.modules) == maxModules {
		return fault.New(fault.BadInput, "", "read %s: more than %d modules", from, maxModules)
	}
	p, err := r.pom(path)
	if os.IsNotExist(err) && from != "" {
		return fault.New(fault.BadInput, "correct the <module> or add its pom.xml", "%s names a module whose pom is not there: %s", from, path)
	}
	if err != nil {
		return fault.As(fault.BadInput, err)
	}
	dir, _ := filepath.Rel(r.root, filepath.Dir(path)) // both are absolute
	m := &Module{Dir: dir, Pom: p, Chain: []*Pom{p}}
	r.parents(m)
	r.modules = append(r.modules, m)
	for _, name := range slices.Concat(p.Modules, p.Subprojects) {
		if strings.Contains(name, "${") {
			continue // only Maven knows
		}
		if err := r.module(modulePath(path, name), path); err != nil {
			return err
		}
	}
	for _, profile := range p.Profiles {
		for _, name := range slices.Concat(profile.Modules, profile.Subprojects) {
			// A profile that is off may name what is not there.
			if path := modulePath(path, name); exists(path) {
				if err := r.module(path, p.Path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// modulePath is the pom that a module element names: a folder or a file.
func modulePath(pom, name string) string {
	path := filepath.Join(filepath.Dir(pom), strings.TrimSpace(name))
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return path
	}
	return filepath.Join(path, "pom.xml")
}

// parents follows relativePath as Maven does: to a pom on disk only if it has
// the coordinates that the parent element names.
func (r *treeReader) parents(m *Module) {
	for p := m.Pom; p.Parent != nil; {
		m.Remote = p.Parent
		relative := "../pom.xml"
		if p.Parent.RelativePath != nil {
			relative = strings.TrimSpace(*p.Parent.RelativePath)
		} else if p.ModelVersion == "" {
			relative = ".." // model 4.1.0 may leave out nearly everything
		}
		if relative == "" {
			return
		}
		path := filepath.Join(filepath.Dir(p.Path), relative)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, "pom.xml")
		}
		parent, err := r.pom(path)
		if err != nil || (p.Parent.Artifact != "" && parent.Artifact != p.Parent.Artifact) || slices.Contains(m.Chain, parent) {
			return
		}
		m.Chain, m.Remote, p = append(m.Chain, parent), nil, parent
	}
}

// FindModule looks a module up by its folder, its artifact ID, or its
// group:artifact. The error is of class fault.BadInput and lists the modules.
func (t *Tree) FindModule(name string) (*Module, error) {
	clean := filepath.Clean(strings.TrimSuffix(name, "/pom.xml"))
	for _, m := range t.Modules {
		if m.Dir == clean {
			return m, nil
		}
	}
	artifact := name[strings.LastIndex(name, ":")+1:]
	for _, m := range t.Modules {
		if m.Pom.Artifact == artifact {
			return m, nil
		}
	}
	var known []string
	for _, m := range t.Modules {
		if m.packaging() != "pom" {
			known = append(known, fmt.Sprintf("%s (%s)", m.Dir, m.Pom.Artifact))
		}
	}
	if len(known) == 0 {
		known = []string{"none"}
	}
	return nil, fault.New(fault.BadInput, "set maven.module to a module's folder or artifactId",
		"maven.module %q: no such module; %s has %s", name, t.Root.Pom.Path, strings.Join(known, ", "))
}

func (m *Module) packaging() string {
	if m.Pom.Packaging == "" {
		return "jar"
	}
	return m.Pom.Packaging
}
