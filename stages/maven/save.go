package maven

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/fastship/fastship/cache/lease"
	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// afterwards keeps in the background what the job made, saves what it added to
// its repository, and gives the repository back, which keep reads. It saves
// after failing tests, too; after a build that was cut off nothing new is kept.
func (s *Step) afterwards(env runner.Env, j *job, r *restored, a attempt, keep func(context.Context)) {
	if keep == nil && r == nil {
		return
	}
	env.Background("keep what Maven made", func(ctx context.Context) error {
		if keep != nil {
			keep(ctx)
		}
		if r == nil {
			return nil
		}
		files, unsaved, err := s.save(ctx, env, j, r, a)
		return errors.Join(err, r.lease.Label(r.names.Release, unsaved...), r.lease.Close(context.WithoutCancel(ctx), files...))
	})
}

// save returns the new and edited files that are worth to be kept, also when
// the store does not take them, and which of the released ones it has not
// taken: the next build of this host has these all the same.
func (s *Step) save(ctx context.Context, env runner.Env, j *job, r *restored, a attempt) (keep, unsaved []string, err error) {
	for _, e := range r.unsaved {
		unsaved = append(unsaved, e.Path)
	}
	if !a.report.Ended {
		return nil, unsaved, nil
	}
	changes, err := r.lease.Changes(ctx)
	if err != nil {
		return nil, unsaved, err
	}
	selection, err := mvn.SelectFiles(ctx, os.DirFS(r.lease.Dir()), r.present(changes), a.report.Projects)
	if err != nil {
		return nil, unsaved, err
	}
	note, err := mvn.ExtensionsNote(mvn.MultiModuleRoot(j.dir))
	if err != nil {
		return nil, unsaved, err
	}
	changed := r.news(changes)
	resolved := mvn.ResolvedPaths(a.report, r.lease.Dir())
	notes := mvn.NoteNew(slices.Collect(maps.Keys(changed)), resolved, note)
	take := func(selected []string) []tree.File {
		var all []tree.File
		for _, p := range selected {
			if f, ok := changed[p]; ok {
				f.Note = notes[p]
				all = append(all, f)
				keep = append(keep, p)
			}
		}
		return all
	}
	release := tree.Change{Pointer: r.names.Release, From: r.releases, Add: take(selection.Release), Used: used(r.releases, resolved, note)}
	unsaved = slices.Clone(keep)
	mutable := tree.Change{Pointer: r.names.Snapshots, From: r.snapshots, Add: take(selection.Mutable), Used: used(r.snapshots, resolved, note)}
	if bad := damaged(changes.Edited); len(bad) > 0 {
		env.Emit(runner.Warning{Text: fmt.Sprintf("the build changed %s in Maven's repository (%d files): they are not kept, the next build gets the originals", bad[0], len(bad))})
	}
	if err = s.send(ctx, env, release); err == nil { // else the other would meet it, too
		unsaved = nil
		err = s.send(ctx, env, mutable)
	}
	if err != nil {
		s.deps.Repositories.warn(fmt.Errorf("save Maven's repository: %w", err))
	}
	return keep, unsaved, nil
}

// send saves one tree.
func (s *Step) send(ctx context.Context, env runner.Env, c tree.Change) error {
	if len(c.Add) == 0 && len(c.Used) == 0 {
		return nil
	}
	saved, err := s.deps.Repositories.Trees.Save(ctx, c)
	if err != nil {
		return err
	}
	if saved.Files > 0 {
		env.Emit(runner.Note{Text: fmt.Sprintf("saved %d files of Maven's repository, %s, for %s", saved.Files, megabytes(saved.Bytes), branchOf(c.Pointer))})
	}
	return nil
}

// news are the files that the tree does not have yet: those that the build
// added or rightly edited, those that the store would not take before, and,
// where no tree was found, all there are.
func (r *restored) news(c lease.Changes) map[string]tree.File {
	files, untaken := map[string]tree.File{}, map[string]bool{}
	for _, e := range r.unsaved {
		untaken[e.Path] = true
	}
	for _, f := range r.lease.Files() {
		if r.releases == nil || untaken[f.Path] {
			files[f.Path] = f
		}
	}
	for _, f := range c.Edited {
		delete(files, f.Path)
		if mvn.MayChange(f.Path) {
			files[f.Path] = f
		}
	}
	for _, f := range c.Added {
		files[f.Path] = f
	}
	return files
}

// present lists the repository's files after the build, but for those that it
// damaged.
func (r *restored) present(c lease.Changes) []string {
	all := map[string]bool{}
	for _, f := range slices.Concat(r.lease.Files(), c.Added) {
		all[f.Path] = true
	}
	for _, f := range c.Edited {
		all[f.Path] = mvn.MayChange(f.Path)
	}
	maps.DeleteFunc(all, func(_ string, there bool) bool { return !there })
	return slices.Collect(maps.Keys(all)) // one that was removed is passed over
}

// damaged are the files that a build may not edit and did.
func damaged(edited []tree.File) []string {
	var all []string
	for _, f := range edited {
		if !mvn.MayChange(f.Path) {
			all = append(all, f.Path)
		}
	}
	return all
}

// used are a tree's files that the build used.
func used(t *tree.Tree, resolved []string, note string) []string {
	if t == nil {
		return nil
	}
	kept := map[string]string{}
	for e := range t.All() {
		kept[e.Path] = e.Note
	}
	return mvn.UsedFiles(kept, resolved, note)
}
