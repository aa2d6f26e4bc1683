package maven

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// needs is the first level of the look-up: what a job with a certain identity
// turned out to read beyond it.
type needs struct {
	Environment []string      `json:"environment"` // named by poms out of the repository
	Asked       []string      `json:"asked"`       // files that switch those poms' profiles
	Commit      bool          `json:"commit"`      // a plug-in or extension reads git
	All         bool          `json:"all"`         // a parent out of the repository may read any file
	Resolved    cache.Digest  `json:"resolved"`    // of the artifacts' coordinates
	Files       []resolvedJar `json:"files"`       // checked where they are on this host
}

// resolvedJar is an artifact in Maven's repository: a jar, a pom or another
// file.
type resolvedJar struct {
	Path   string       `json:"path"` // below the repository
	Size   int64        `json:"size"` // bytes
	Digest cache.Digest `json:"digest"`
}

// madeJob is the second level: what the job made.
type madeJob struct {
	Out   Out        `json:"out"` // Jar.Name is relative to the project, JavaHome and Repository empty
	Files []keptFile `json:"files"`
}

// keptFile is a jar or a test report.
type keptFile struct {
	Path   string       `json:"path"` // relative to the project's folder
	Mode   fs.FileMode  `json:"mode"`
	Size   int64        `json:"size"` // bytes
	Digest cache.Digest `json:"digest"`
	Pieces []*piece     `json:"pieces"` // in their order
}

// second is the key of what the job made.
func (n needs) second(id identity, j *job, in In) cache.Key {
	parts := cache.NewKey("maven-made", skipVersion).Add("job", string(id.key)).Add("resolved", string(n.Resolved))
	parts = append(parts.Add("asked", j.present(n.Asked)), environment(j.host, n.Environment)...)
	if n.All {
		parts = parts.Add("all files", string(digest(in.Files)))
	}
	if n.Commit {
		parts = parts.Add("commit", []any{in.Commit, in.Branch, in.Dirty})
	}
	return parts.Key()
}

// find looks up what an equal job made before. It only reads; changed names
// the artifact on this host that speaks against it.
func (s *Step) find(ctx context.Context, j *job, id identity, in In) (made madeJob, blobs []cache.Descriptor, changed string, ok bool) {
	if id.reason != "" {
		return made, nil, "", false
	}
	need, _, ok := cache.Lookup[needs](ctx, s.deps.Cache, id.key)
	if !ok {
		return made, nil, "", false
	}
	if changed := j.changedLocally(need); changed != "" {
		return made, nil, changed, false
	}
	made, blobs, ok = cache.Lookup[madeJob](ctx, s.deps.Cache, need.second(id, j, in))
	made.Out.Jar.Name = filepath.Join(j.dir, made.Out.Jar.Name)
	made.Out.JavaHome, made.Out.Repository = j.choice.JDK.Home, j.repo.Path
	return made, blobs, "", ok
}

// recall puts back what an equal job made before.
func (s *Step) recall(ctx context.Context, env runner.Env, j *job, id identity, in In) (Out, bool) {
	made, blobs, changed, ok := s.find(ctx, j, id, in)
	if changed != "" {
		env.Emit(runner.Note{Text: "Maven runs: " + changed + " in its repository is another one now"})
	}
	if !ok {
		return Out{}, false
	}
	if err := s.restore(ctx, j, made.Files, blobs); err != nil {
		if ctx.Err() == nil {
			env.Emit(runner.Warning{Text: fmt.Sprintf("put the cached build back: %v; Maven runs instead", err)})
		}
		return Out{}, false
	}
	env.Emit(made.Out.Tests)
	results{tests: made.Out.Tests}.comment(env, j, &attempt{})
	return made.Out, true
}

// skipPlan tells whether Run would skip Maven. It only reads. The jar is told
// where it lies in target already.
func (s *Step) skipPlan(ctx context.Context, j *job, in In) (lines []string, out Out, skipped bool) {
	id := s.identify(ctx, j, in)
	if s.deps.Explain && s.deps.State != "" {
		lines = append(lines, explanation(filepath.Join(s.deps.State, keyFile), id))
	}
	made, _, _, ok := s.find(ctx, j, id, in)
	if !ok {
		return lines, Out{}, false
	}
	out = made.Out
	if !j.book.Is(out.Jar.Name, out.Jar) {
		out.Jar = runner.Descriptor{}
	}
	return append(lines, fmt.Sprintf("skip Maven: nothing that it reads has changed; put back %d files", len(made.Files))), out, true
}

// keep remembers what the job made, or says why it cannot.
func (s *Step) keep(ctx context.Context, env runner.Env, j *job, id identity, in In, a *attempt, out Out) {
	if id.reason != "" {
		s.say(env, id.reason)
		return
	}
	if reason := unfit(j, a, out); reason != "" {
		s.say(env, reason)
		return
	}
	if name := changedSince(j.dir, id.files, in.Read); name != "" {
		s.say(env, name+" changed while it ran")
		return
	}
	need, reason := j.needs(a)
	if reason != "" {
		s.say(env, reason)
		return
	}
	made, blobs, err := s.store(ctx, j, a, out)
	if err != nil {
		env.Emit(runner.Warning{Text: fmt.Sprintf("keep the build in the cache: %v", err)})
		return
	}
	cache.Keep(ctx, s.deps.Cache, need.second(id, j, in), made, blobs)
	cache.Keep(ctx, s.deps.Cache, id.key, need, nil)
}

func (s *Step) say(env runner.Env, reason string) {
	if s.deps.Explain {
		env.Emit(runner.Note{Text: "Maven will run again next time: " + reason})
	}
}

// effects are plug-ins whose work goes beyond files under target.
func effects(plugin, goal string) bool {
	return slices.Contains([]string{
		"maven-install-plugin", "maven-deploy-plugin", "exec-maven-plugin", "maven-antrun-plugin", "gmavenplus-plugin",
		"docker-maven-plugin", "dockerfile-maven-plugin", "jib-maven-plugin", "liquibase-maven-plugin", "flyway-maven-plugin",
		"sql-maven-plugin", "wagon-maven-plugin", "nexus-staging-maven-plugin", "central-publishing-maven-plugin", "maven-release-plugin",
	}, plugin) || goal == "build-image" || goal == "deploy" || goal == "push"
}

// unfit says why a finished job may not stand for the next one.
func unfit(j *job, a *attempt, out Out) string {
	if !a.report.Ended || len(a.report.Faults) > 0 {
		return "Maven's report is not whole"
	}
	if out.Tests.Failed > 0 {
		return "tests failed"
	}
	if a.report.JavaHome != "" && a.report.JavaMajor != j.choice.JDK.Major {
		return "Maven ran on another JDK than the chosen one"
	}
	for _, m := range a.report.Mojos {
		if effects(m.Plugin, m.Goal) {
			return m.Plugin + ":" + m.Goal + " may have effects outside target"
		}
	}
	for _, p := range a.report.Projects {
		if p.Toolchain {
			return p.ID() + " is compiled by a toolchain's JDK"
		}
	}
	return ""
}

// readsGit tells plug-ins that put the commit into what they make.
func readsGit(a *attempt, texts jobTexts) bool {
	for _, m := range a.report.Mojos {
		if strings.Contains(m.Plugin, "git") || m.Plugin == "buildnumber-maven-plugin" {
			return true
		}
	}
	return strings.Contains(texts.dotMvn, "git") || strings.Contains(texts.poms, "${git.") || strings.Contains(texts.poms, "${scm")
}

// needs learns from the spy what was resolved, and refuses what may be another
// thing tomorrow under the same name.
func (j *job) needs(a *attempt) (needs, string) {
	texts, err := j.texts()
	if err != nil {
		return needs{}, err.Error()
	}
	n := needs{Commit: readsGit(a, texts)}
	for _, parent := range j.inherited(a.report.Resolved) {
		text, err := os.ReadFile(parent)
		if err != nil {
			return n, err.Error()
		}
		if refs := leaving(text); len(refs) > 0 && len(j.tree.Modules) == 1 {
			return n, filepath.Base(parent) + " names " + refs[0] + ", which is outside the project's folder"
		}
		n.All = n.All || readsAnything(string(text))
	}
	var ids, files []string
	for _, r := range a.report.Resolved {
		base := filepath.Base(r.File)
		if strings.HasPrefix(base, "maven-metadata") {
			return n, r.ID + " was looked up: a snapshot, a range, or a plug-in without a version"
		}
		if inReactor(a.report.Projects, r.File) {
			continue
		}
		if strings.Contains(filepath.Base(filepath.Dir(r.File)), "-SNAPSHOT") {
			return n, r.ID + " is a snapshot"
		}
		if !mvn.Downloaded(r.File) {
			return n, r.ID + " was installed on this host, not downloaded"
		}
		rel, ok := repositoryPath(r)
		if !ok {
			return n, r.ID + " has no place in Maven's repository"
		}
		ids, files = append(ids, r.ID), append(files, r.File)
		n.Files = append(n.Files, resolvedJar{Path: rel})
	}
	slices.Sort(ids)
	n.Resolved = cache.Sum([]byte(strings.Join(ids, "\n")))
	if err := n.read(files, j.book); err != nil {
		return n, err.Error()
	}
	return n, ""
}

// read fills in what the files hold: their digests, and what poms depend on.
func (n *needs) read(files []string, book *stamp.Book) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, file := range files {
		group.Go(func() error {
			d, err := book.Digest(file)
			n.Files[i].Size, n.Files[i].Digest = d.Size, d.Digest
			return err
		})
	}
	for _, file := range files {
		if !strings.HasSuffix(file, ".pom") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		n.Environment = append(n.Environment, environmentIn(string(text))...)
		n.Asked = append(n.Asked, askedIn(string(text))...)
	}
	slices.Sort(n.Environment)
	n.Environment = slices.Compact(n.Environment)
	return group.Wait()
}

func inReactor(projects []*mvn.Project, file string) bool {
	for _, p := range projects {
		if file == p.File || below(p.Build, file) || filepath.Dir(file) == p.Basedir {
			return true
		}
	}
	return false
}

func below(dir, file string) bool {
	rel, err := filepath.Rel(dir, file)
	return dir != "" && err == nil && filepath.IsLocal(rel)
}
