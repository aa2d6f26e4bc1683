package maven

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// Transferred tells what Restore or Save did.
type Transferred struct {
	Repository string `json:"repository"` // the folder
	Branch     string `json:"branch"`     // whose tree; empty when nothing is kept yet
	Files      int    `json:"files"`      // written, or sent
	Bytes      int64  `json:"bytes"`
	Present    int    `json:"present"` // files that were there already
	Missing    int    `json:"missing"` // files that the store could not give
}

// Restore fills a Maven repository, by default the one that a plain mvn would
// use, with what is kept for the project: for builds that run Maven by
// themselves. Files that are there stay as they are.
func (s *Step) Restore(ctx context.Context, env runner.Env, in In, to string) (Transferred, error) {
	j, to, err := s.plainRepository(ctx, in, to)
	if err != nil {
		return Transferred{}, err
	}
	found, err := s.lookUp(ctx, j, in)
	if err != nil {
		return Transferred{}, fmt.Errorf("look up Maven's repository in the cache: %w", err)
	}
	done := Transferred{Repository: to}
	if found.releases == nil {
		return done, nil
	}
	done.Branch = branchName(found.from)
	var want []tree.Entry
	for e := range found.all(s.deps.Now()).All() {
		if isThere(filepath.Join(to, filepath.FromSlash(e.Path)), e) {
			done.Present++
			continue
		}
		want = append(want, e)
	}
	var mu sync.Mutex
	missing, err := s.fetch(env, found)(ctx, want, func(_ context.Context, e tree.Entry, r io.Reader) error {
		if err := placeFile(filepath.Join(to, filepath.FromSlash(e.Path)), e, r); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		done.Files, done.Bytes = done.Files+1, done.Bytes+e.Size
		return nil
	})
	done.Missing = len(missing)
	if err != nil {
		return done, fmt.Errorf("restore Maven's repository into %s: %w", to, err)
	}
	return done, nil
}

// Save keeps what a Maven repository holds of remote ones, by default the one
// that a plain mvn uses, for the project and its branch. Nothing is sent that
// is kept already.
func (s *Step) Save(ctx context.Context, env runner.Env, in In, from string) (Transferred, error) {
	j, from, err := s.plainRepository(ctx, in, from)
	if err != nil {
		return Transferred{}, err
	}
	files, err := filesOf(ctx, from)
	if err != nil {
		return Transferred{}, err
	}
	selection, err := mvn.SelectFiles(ctx, os.DirFS(from), slices.Collect(maps.Keys(files)), nil)
	if err != nil {
		return Transferred{}, err
	}
	found, err := s.lookUp(ctx, j, in)
	if err != nil {
		return Transferred{}, fmt.Errorf("look up Maven's repository in the cache: %w", err)
	}
	done := Transferred{Repository: from, Branch: branchName(found.names.Release)}
	for _, c := range []tree.Change{
		{Pointer: found.names.Release, From: found.releases, Add: newIn(files, selection.Release, found.releases, &done), Used: selection.Release},
		{Pointer: found.names.Snapshots, From: found.snapshots, Add: newIn(files, selection.Mutable, found.snapshots, &done), Used: selection.Mutable},
	} {
		if len(c.Add) == 0 && c.From == nil {
			continue
		}
		saved, err := s.deps.Repositories.Trees.Save(ctx, c)
		if err != nil {
			return done, fmt.Errorf("save Maven's repository %s: %w", from, err)
		}
		done.Files, done.Bytes = done.Files+saved.Files, done.Bytes+saved.Bytes
	}
	return done, nil
}

// isThere tells whether a file need not be restored: it is there, and, where
// it is a tracking file, as it was kept.
func isThere(file string, e tree.Entry) bool {
	if !mvn.IsTracking(e.Path) {
		_, err := os.Lstat(file)
		return err == nil
	}
	text, err := os.ReadFile(file)
	return err == nil && cache.Sum(text) == e.Digest
}

// plainRepository is the repository of a mvn that fastship has no part in.
func (s *Step) plainRepository(ctx context.Context, in In, folder string) (*job, string, error) {
	plain := *s
	plain.config.Repository = cmp.Or(folder, "user")
	j, err := plain.prepare(ctx, in.Dir)
	if err != nil {
		return nil, "", err
	}
	return j, j.repo.Path, nil
}

// placeFile writes a restored file under another name and renames it, so that
// none is ever there by half. A tracking file that is there is completed.
func placeFile(to string, e tree.Entry, r io.Reader) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".fastship-*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if mvn.IsTracking(e.Path) {
		r = &completed{r: r, there: to}
	}
	_, err = io.Copy(f, r)
	err = errors.Join(err, f.Chmod(cmp.Or(e.Mode.Perm(), 0o644)), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), to)
}

// completed reads a tracking file with the lines of the one that is there.
type completed struct {
	r     io.Reader
	there string
	text  []byte
	read  bool
}

// Read implements io.Reader.
func (c *completed) Read(b []byte) (int, error) {
	if !c.read {
		text, err := io.ReadAll(c.r) // its end verifies it
		if err != nil {
			return 0, err
		}
		there, err := os.ReadFile(c.there)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		c.text, c.read = mvn.MergeTracking(there, text), true
	}
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.text)
	c.text = c.text[n:]
	return n, nil
}

// filesOf lists the plain files of a repository.
func filesOf(ctx context.Context, root string) (map[string]tree.File, error) {
	files := map[string]tree.File{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		rel, relErr := filepath.Rel(root, name)
		if err = errors.Join(err, relErr); err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		files[rel] = tree.File{Path: rel, Size: info.Size(), Mode: info.Mode().Perm(), Open: func() (io.ReadCloser, error) { return os.Open(name) }}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.BadInput, "run Maven first, or name its repository", "there is no Maven repository in %s", root)
	}
	if err != nil {
		return nil, fmt.Errorf("list Maven's repository %s: %w", root, err)
	}
	return files, nil
}

// newIn are the selected files that a tree does not hold: released artifacts
// by their name and size, since they never change, the rest always.
func newIn(files map[string]tree.File, selected []string, kept *tree.Tree, done *Transferred) []tree.File {
	var all []tree.File
	for _, p := range selected {
		f := files[p]
		if kept != nil && !mvn.MayChange(p) {
			if e, ok := kept.Get(p); ok && e.Size == f.Size {
				done.Present++
				continue
			}
		}
		all = append(all, f)
	}
	return all
}

// branchName is the branch of a pointer's name.
func branchName(pointer string) string {
	segment := path.Base(path.Dir(pointer))
	if name, err := url.PathUnescape(segment); err == nil {
		return name
	}
	return segment
}
