package maven

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// Foreseen is a library that the packaged application will most likely have.
type Foreseen struct {
	Name string // slash path below lib/, as the packager will name it: h2-2.4.240.jar
	File string // the jar in Maven's repository, absolute
}

// foresee follows Maven until stop, which waits for its end, and tells the
// application's libraries as soon as Maven has resolved them. Whatever it cannot
// tell is nobody's loss: the image's step reads what Maven really made.
func (s *Step) foresee(j *job, watch *mvn.Watch) (stop func()) {
	if s.deps.Foreseen == nil || j.foretold {
		return func() {}
	}
	return watch.Follow(func(projects []*mvn.Project) bool {
		p, known := j.likely(projects)
		if p == nil {
			return known
		}
		j.foretold = true
		if all := packager(p)(p); len(all) > 0 {
			s.deps.Foreseen(all)
		}
		return true
	})
}

// likely is the module that will most likely be the application, nil before its
// dependencies are known. With known, no more is to be learned: it is here, or
// which module it is does not show beforehand.
func (j *job) likely(projects []*mvn.Project) (likely *mvn.Project, known bool) {
	for _, p := range j.wanted(projects) {
		if packager(p) == nil {
			continue
		}
		if likely != nil {
			return nil, true
		}
		likely = p
	}
	if likely == nil {
		return nil, true
	}
	if likely.Resolution == nil {
		return nil, false
	}
	return likely, true
}

// packager names the libraries of what p's plug-ins make of it; nil where they
// make no application whose form is known.
func packager(p *mvn.Project) func(*mvn.Project) []Foreseen {
	boot := p.Repackage != nil && p.Repackage.Skip != "true"
	switch {
	case p.Packaging == "pom" || boot && p.Quarkus != "":
		return nil
	case boot:
		return repackaged
	case p.Quarkus != "":
		return fastJar
	case p.Thin:
		return thinJar
	}
	return nil
}

// thinJar are the libraries of an application whose own jar names them.
func thinJar(p *mvn.Project) []Foreseen {
	var all []Foreseen
	for _, d := range released(p.Resolution) {
		if d.Scope == "compile" || d.Scope == "runtime" {
			all = append(all, Foreseen{Name: filepath.Base(d.File), File: d.File})
		}
	}
	return all
}

// released are the jars of Maven's repository that nobody builds anew. Those of
// other modules of this build, and of scope system, lie elsewhere.
func released(r *mvn.Resolution) []mvn.Dependency {
	return slices.DeleteFunc(slices.Clone(r.Dependencies), func(d mvn.Dependency) bool {
		return d.Extension != "jar" || strings.HasSuffix(d.Version, "SNAPSHOT") || !strings.HasPrefix(d.File, r.Repository+string(filepath.Separator))
	})
}
