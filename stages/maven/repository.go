package maven

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/lease"
	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// Repositories are where leased repositories come from and what they hold.
type Repositories struct {
	Trees  *tree.Cache
	Leases *lease.Pool // nil: there is no place for any
	Shared bool        // other hosts read the trees
	// Warn is told of faults of the trees' store by each that meets one, to
	// be said once; nil drops them.
	Warn func(error)
}

func (r *Repositories) warn(err error) {
	if err != nil && r.Warn != nil {
		r.Warn(err)
	}
}

// snapshotLife is for how many days what may change is restored. Maven's own
// notes beside it say when it asks again, as on the host that saved it.
const snapshotLife = 1

// chooseRepository settles whose repository Maven will use. It reads only.
func (s *Step) chooseRepository(j *job) {
	wish := mvn.RepositoryWish{Setting: s.config.Repository, Dir: j.dir, Local: j.said.user.Local, CI: s.deps.CI.Provider != ""}
	if r := s.deps.Repositories; r != nil {
		wish.Shared = r.Shared
	}
	j.repo = mvn.ChooseRepository(j.host, j.args, wish)
	if r := s.deps.Repositories; j.repo.Leased && (r == nil || r.Leases == nil) {
		wish.Setting = "user"
		j.repo = mvn.ChooseRepository(j.host, j.args, wish)
		j.repo.Reason = "there is no place for one of its own"
	}
}

// trees are what is kept of a project's repository.
type trees struct {
	names     mvn.Pointers // to save to
	releases  *tree.Tree   // nil: nothing is kept
	snapshots *tree.Tree   // nil: nothing is kept of what may change
	from      string       // the pointer that releases was found under
}

// restored is a leased repository with what was found for it.
type restored struct {
	trees
	lease   *lease.Lease
	unsaved []tree.Entry // what an earlier build added and the store would not take
}

// pointers are the trees to look up, best first.
func (s *Step) pointers(j *job, in In) []mvn.Pointers {
	return mvn.PointerNames(mvn.RepositoryID{
		Project:   reactorIDs(j.tree)[0],
		Remotes:   mvn.RemotesKey(j.tree, j.said.user),
		Branch:    cmp.Or(s.deps.CI.Branch, in.Branch),
		Fallbacks: []string{s.deps.CI.BaseBranch, s.deps.CI.DefaultBranch, in.DefaultBranch, "main", "master"},
	})
}

// lookUp finds the trees of the project's repository, both of one branch. The
// error is of a store out of reach, or of the context.
func (s *Step) lookUp(ctx context.Context, j *job, in In) (trees, error) {
	names := s.pointers(j, in)
	find := func(ctx context.Context, names ...string) (*tree.Tree, string, error) {
		t, name, err := s.deps.Repositories.Trees.Find(ctx, names...)
		if errors.Is(err, cache.ErrNotFound) {
			err = nil
		}
		return t, name, err
	}
	var release []string
	for _, n := range names {
		release = append(release, n.Release)
	}
	found := trees{names: names[0]}
	group, asking := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		found.releases, found.from, err = find(asking, release...)
		return err
	})
	group.Go(func() (err error) { // most often it is the one wanted
		found.snapshots, _, err = find(asking, names[0].Snapshots)
		return err
	})
	err := group.Wait()
	if err != nil || found.releases == nil { // what changes is of no use alone
		return trees{names: names[0]}, err
	}
	if i := slices.Index(release, found.from); i > 0 {
		found.snapshots, _, err = find(ctx, names[i].Snapshots)
	}
	return found, err
}

// all are the entries to restore: what never changes, of the rest what is
// young enough, and what is named besides.
func (t trees) all(now time.Time, besides ...tree.Entry) *tree.Tree {
	all := append(slices.Collect(t.releases.All()), besides...)
	if t.snapshots != nil {
		for e := range t.snapshots.All() {
			if tree.DayOf(now)-e.Used <= snapshotLife {
				all = append(all, e)
			}
		}
	}
	return tree.Of(all)
}

// lacks are the entries whose paths releases does not have.
func (t trees) lacks(entries []tree.Entry) []tree.Entry {
	return slices.DeleteFunc(entries, func(e tree.Entry) bool { _, there := t.releases.Get(e.Path); return there })
}

// known is what this host has of the repository of the project's branch, or of
// the branch it came from.
func (s *Step) known(j *job, in In) *tree.Tree {
	for _, n := range s.pointers(j, in) {
		if t := s.deps.Repositories.Leases.Known(n.Release); t != nil {
			return t
		}
	}
	return nil
}

// takeRepository leases a repository and restores what is kept for it. It
// returns nil where Maven uses the user's own, also when none could be leased:
// a cache never breaks a build.
func (s *Step) takeRepository(ctx context.Context, env runner.Env, j *job, in In) (*restored, error) {
	if !j.repo.Leased {
		return nil, nil
	}
	began := time.Now()
	found, err := s.lookUp(ctx, j, in)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	pool := s.deps.Repositories.Leases
	r := &restored{trees: found}
	var want *tree.Tree
	fetch := fetchNothing
	if found.releases != nil {
		r.unsaved = found.lacks(pool.Unsaved(found.names.Release))
		want, fetch = found.all(s.deps.Now(), r.unsaved...), s.fetch(env, found)
	} else { // not saved yet, or out of reach: what this host has of it is all there is
		want = s.known(j, in)
	}
	if err != nil {
		s.tellCut(env, err, want)
	}
	if r.lease, err = pool.Take(ctx, want); err != nil {
		return nil, s.ownInstead(ctx, env, err)
	}
	done, err := r.lease.Apply(ctx, want, fetch)
	switch {
	case ctx.Err() != nil:
		_ = r.lease.Close(context.WithoutCancel(ctx)) // what is there serves the next run
		return nil, context.Cause(ctx)
	case err != nil: // a full disk, say
		return nil, s.ownInstead(ctx, env, errors.Join(err, r.lease.Discard()))
	}
	if want != nil {
		env.Emit(runner.Note{Text: restoredText(branchOf(found.from), done, time.Since(began))})
	}
	j.use(r.lease.Dir())
	return r, nil
}

// ownInstead goes on with the user's own repository.
func (s *Step) ownInstead(ctx context.Context, env runner.Env, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	env.Emit(runner.Warning{Text: fmt.Sprintf("%v; Maven uses its own repository", err)})
	return nil
}

// use makes Maven use a repository.
func (j *job) use(dir string) {
	j.repo.Path = dir
	j.arguments = append(j.arguments, "-Dmaven.repo.local="+dir) // the last one wins
}

// tellCut says that the store gave no answer, and what is used instead.
func (s *Step) tellCut(env runner.Env, err error, known *tree.Tree) {
	s.deps.Repositories.warn(fmt.Errorf("look up Maven's repository in the cache: %w", err))
	env.Emit(runner.Note{Text: "Maven's repository is not restored from the shared cache: " + instead(known)})
}

func instead(known *tree.Tree) string {
	if known == nil {
		return "Maven downloads what it needs"
	}
	return "what this host kept of the last run is used"
}

func fetchNothing(_ context.Context, want []tree.Entry, _ tree.Sink) ([]tree.Entry, error) {
	return want, nil
}

// restoredText says where a repository's files came from.
func restoredText(from string, a lease.Applied, took time.Duration) string {
	files, bytes := a.Kept.Files+a.Copied.Files+a.Fetched.Files, a.Kept.Bytes+a.Copied.Bytes+a.Fetched.Bytes
	text := fmt.Sprintf("Maven's repository: %d files, %s, in %.1f s", files, megabytes(bytes), took.Seconds())
	if from != "" {
		text += ", of " + from
	}
	if here := a.Kept.Files + a.Copied.Files; here > 0 && a.Fetched.Files > 0 {
		text += fmt.Sprintf("; %d were on this host", here)
	}
	if n := len(a.Missing); n > 0 {
		text += fmt.Sprintf("; %d are missing, Maven downloads them", n)
	}
	return text
}

// repositoryPlan says which repository Maven would use and what is restored.
func (s *Step) repositoryPlan(ctx context.Context, j *job, in In) []string {
	if !j.repo.Leased {
		return []string{"in the repository " + j.repo.Path + ": " + j.repo.Reason}
	}
	line := "in a repository of its own: " + j.repo.Reason
	found, err := s.lookUp(ctx, j, in)
	switch {
	case err != nil:
		return []string{line, fmt.Sprintf("restore nothing: %v", err)}
	case found.releases == nil:
		return []string{line, "restore nothing: no build has saved one yet"}
	}
	return []string{line, fmt.Sprintf("restore %d files, %s, of %s", found.releases.Len(), megabytes(found.releases.Bytes()), branchOf(found.from))}
}

// branchOf tells from a pointer's name whose it is.
func branchOf(pointer string) string {
	if pointer == "" {
		return ""
	}
	branch := branchName(pointer)
	if branch == "@" {
		return "an unnamed branch"
	}
	return "branch " + branch
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
