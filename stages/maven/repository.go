package maven

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/lease"
	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// Repositories are where leased repositories come from and what they hold.
type Repositories struct {
	Trees  *tree.Cache
	Leases *lease.Pool
	Shared bool // other hosts read the trees
}

// findLimit bounds the look-up of a repository's tree: a store that takes
// longer would not be worth the wait.
const findLimit = 10 * time.Second

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
	if s.deps.Repositories == nil {
		j.repo.Leased = false
	}
}

// restored is a leased repository that a tree was found for, or not.
type restored struct {
	lease               *lease.Lease
	releases, snapshots *tree.Tree // as found; nil when absent
	names               mvn.Pointers
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

// lookUp finds the trees of the project's repository. Faults are told by the
// tree cache; a store out of reach is an error.
func (s *Step) lookUp(ctx context.Context, names []mvn.Pointers) (releases, snapshots *tree.Tree, from string, err error) {
	ctx, cancel := context.WithTimeout(ctx, findLimit)
	defer cancel()
	var release []string
	snapshot := map[string]string{}
	for _, n := range names {
		release = append(release, n.Release)
		snapshot[n.Release] = n.Snapshots
	}
	trees := s.deps.Repositories.Trees
	if releases, from, err = trees.Find(ctx, release...); err != nil && !errors.Is(err, cache.ErrNotFound) {
		return nil, nil, "", err
	}
	if releases == nil {
		return nil, nil, "", nil // what changes is of no use alone
	}
	snapshots, _, err = trees.Find(ctx, snapshot[from]) // of the same branch
	if err != nil && !errors.Is(err, cache.ErrNotFound) {
		return nil, nil, "", err
	}
	return releases, snapshots, from, nil
}

// fresh are the entries of snapshots that may still be restored.
func fresh(snapshots *tree.Tree, now time.Time) []tree.Entry {
	if snapshots == nil {
		return nil
	}
	var all []tree.Entry
	for e := range snapshots.All() {
		if tree.DayOf(now)-e.Used <= snapshotLife {
			all = append(all, e)
		}
	}
	return all
}

// takeRepository leases a repository and restores what is kept for it. It
// returns nil where Maven uses the user's own, also when none could be leased:
// a cache never breaks a build.
func (s *Step) takeRepository(ctx context.Context, env runner.Env, j *job, in In) (*restored, error) {
	if !j.repo.Leased {
		return nil, nil
	}
	names := s.pointers(j, in)
	r := &restored{names: names[0]}
	var from string
	var err error
	r.releases, r.snapshots, from, err = s.lookUp(ctx, names)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	pool := s.deps.Repositories.Leases
	want, fetch := pool.Known(r.names.Release), fetchNothing
	switch {
	case err != nil:
		env.Emit(runner.Warning{Text: fmt.Sprintf("look up Maven's repository in the cache: %v; %s", err, instead(want))})
	case r.releases != nil:
		var all []tree.Entry
		for e := range r.releases.All() {
			all = append(all, e)
		}
		want, fetch = tree.Of(append(all, fresh(r.snapshots, time.Now())...)), s.fetch(env, r)
	default: // not saved yet: what this host has of it is all there is
	}
	if r.lease, err = pool.Take(ctx, want); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		env.Emit(runner.Warning{Text: fmt.Sprintf("%v; Maven uses its own repository", err)})
		return nil, nil
	}
	began := time.Now()
	done, err := r.lease.Apply(ctx, want, fetch)
	if err != nil {
		return s.unrestored(ctx, env, j, r, err)
	}
	if want != nil {
		env.Emit(runner.Note{Text: restoredText(branchOf(from), done, time.Since(began))})
	}
	j.use(r.lease.Dir())
	return r, nil
}

// unrestored goes on after a restore that did not end well: Maven downloads
// what is missing, or, on a full disk, uses its own repository.
func (s *Step) unrestored(ctx context.Context, env runner.Env, j *job, r *restored, err error) (*restored, error) {
	if ctx.Err() != nil {
		_ = r.lease.Close(context.WithoutCancel(ctx)) // what is there serves the next run
		return nil, ctx.Err()
	}
	if errors.Is(err, errSlow) {
		env.Emit(runner.Warning{Text: fmt.Sprintf("stop restoring Maven's repository: %v; Maven downloads what is missing", errSlow)})
		j.use(r.lease.Dir())
		return r, nil
	}
	env.Emit(runner.Warning{Text: fmt.Sprintf("%v; Maven uses its own repository", err)})
	if err := r.lease.Discard(); err != nil {
		env.Emit(runner.Warning{Text: err.Error()})
	}
	return nil, nil
}

// use makes Maven use a repository.
func (j *job) use(dir string) {
	j.repo.Path = dir
	j.arguments = append(j.arguments, "-Dmaven.repo.local="+dir) // the last one wins
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
	releases, _, from, err := s.lookUp(ctx, s.pointers(j, in))
	switch {
	case err != nil:
		return []string{line, fmt.Sprintf("restore nothing: %v", err)}
	case releases == nil:
		return []string{line, "restore nothing: no build has saved one yet"}
	}
	return []string{line, fmt.Sprintf("restore %d files, %s, of %s", releases.Len(), megabytes(releases.Bytes()), branchOf(from))}
}

// branchOf tells from a pointer's name whose it is.
func branchOf(pointer string) string {
	if pointer == "" {
		return ""
	}
	branch := path.Base(path.Dir(pointer))
	if branch == "@" {
		return "an unnamed branch"
	}
	return "branch " + branch
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
