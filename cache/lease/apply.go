package lease

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/tree"
)

// Count is a number of files and their bytes.
type Count struct {
	Files int
	Bytes int64
}

func (c *Count) add(size int64) {
	c.Files++
	c.Bytes += size
}

// Applied tells how the files of a repository came there.
type Applied struct {
	Kept    Count // were there
	Copied  Count // from other repositories and blobs of this machine
	Fetched Count
	Removed int          // files that were not wanted, or not trusted
	Missing []tree.Entry // that nobody had
}

// Fetch gets entries from afar, as tree.Cache.Fetch does for one tree.
type Fetch func(ctx context.Context, want []tree.Entry, sink tree.Sink) (missing []tree.Entry, err error)

// Apply makes the repository hold exactly want (nil: nothing), but for what is
// missing everywhere. A file is kept when its stat is as recorded; all else is
// removed. A missing file is copied from another repository of this machine,
// verified while it is copied, else from Options.Blobs, else fetched.
//
// After an error, a full disk's included, the repository is usable but not
// complete: the next Apply finishes it, and Discard gives its space back.
func (l *Lease) Apply(ctx context.Context, want *tree.Tree, fetch Fetch) (Applied, error) {
	return l.apply(ctx, entriesOf(want), fetch)
}

func (l *Lease) apply(ctx context.Context, want []tree.Entry, fetch Fetch) (Applied, error) {
	a := &applying{lease: l, next: &index{files: make(map[string]record, len(want))}}
	missing, err := a.clear(ctx, want)
	if err == nil {
		missing, err = a.copy(ctx, missing)
	}
	if err == nil && len(missing) > 0 {
		missing, err = fetch(ctx, missing, a.sink)
	}
	if err != nil { // what was not looked at stands as it was: its stat decides
		for name, r := range l.index.files {
			if _, ok := a.next.files[name]; !ok {
				a.next.put(name, r)
			}
		}
	}
	l.index = a.next
	err = errors.Join(err, l.writeIndex())
	if err != nil {
		return a.done, fmt.Errorf("restore the repository: %w", err)
	}
	a.done.Missing = missing
	return a.done, nil
}

// applying is one Apply under way.
type applying struct {
	lease *Lease

	mu   sync.Mutex // guards what follows
	next *index
	done Applied
}

func (a *applying) put(path string, r record, count *Count) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next.put(path, r)
	count.add(r.stamp.size)
}

// clear keeps what is wanted and trusted, removes the rest, and returns what is
// missing.
func (a *applying) clear(ctx context.Context, want []tree.Entry) (missing []tree.Entry, err error) {
	l := a.lease
	if err := os.MkdirAll(l.Dir(), 0o755); err != nil {
		return nil, err
	}
	there, err := walk(l.Dir())
	if err != nil {
		return nil, err
	}
	folders := map[string]bool{}
	for _, e := range want {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for d := path.Dir(e.Path); d != "." && !folders[d]; d = path.Dir(d) {
			folders[d] = true
		}
		p, ok := there.files[e.Path]
		if r, kept := l.trusted(e, p); ok && kept {
			a.put(e.Path, r, &a.done.Kept)
			delete(there.files, e.Path)
			continue
		}
		missing = append(missing, e)
	}
	if err := l.remove(there, folders); err != nil {
		return nil, err
	}
	a.done.Removed = len(there.files)
	return missing, nil
}

// trusted tells whether the file that is there is the wanted one.
func (l *Lease) trusted(e tree.Entry, p present) (record, bool) {
	r, ok := l.index.files[e.Path]
	if !ok || r.digest != e.Digest || r.stamp != p.stamp || p.mode != modeOf(e) {
		return record{}, false
	}
	if !r.racy {
		return r, true
	}
	again, err := sum(l.path(e.Path))
	return again, err == nil && again.digest == e.Digest
}

// modeOf is the permissions an entry's file gets.
func modeOf(e tree.Entry) fs.FileMode {
	if mode := e.Mode.Perm(); mode != 0 {
		return mode
	}
	return 0o644
}

// remove removes the files and whatever else was found, and the folders that
// are not among those to keep.
func (l *Lease) remove(there *found, folders map[string]bool) error {
	for name := range there.files {
		if err := l.removeFile(name); err != nil {
			return err
		}
	}
	for _, name := range there.other {
		if err := l.removeFile(name); err != nil {
			return err
		}
	}
	slices.SortFunc(there.dirs, func(a, b string) int { return strings.Compare(b, a) }) // those below first
	for _, name := range there.dirs {
		if folders[name] {
			continue
		}
		if err := removeTree(l.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// removeFile removes a file, from a folder without write permission too.
func (l *Lease) removeFile(name string) error {
	p := l.path(name)
	err := os.Remove(p)
	if errors.Is(err, fs.ErrPermission) && os.Chmod(filepath.Dir(p), 0o755) == nil {
		err = os.Remove(p)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// copy takes what it can from this machine and returns what is left.
func (a *applying) copy(ctx context.Context, want []tree.Entry) (left []tree.Entry, err error) {
	if len(want) == 0 {
		return nil, nil
	}
	sources := a.sources(want)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, e := range want {
		group.Go(func() error {
			copied, err := a.copyOne(ctx, e, sources[e.Digest])
			if err == nil && !copied {
				a.mu.Lock()
				left = append(left, e)
				a.mu.Unlock()
			}
			return err
		})
	}
	err = group.Wait()
	slices.SortFunc(left, func(a, b tree.Entry) int { return strings.Compare(a.Path, b.Path) })
	return left, err
}

// sources finds files with the wanted contents: in this repository, and in all
// others, also those in use, since what is copied is verified.
func (a *applying) sources(want []tree.Entry) map[cache.Digest][]string {
	found := make(map[cache.Digest][]string, len(want))
	for _, e := range want {
		found[e.Digest] = nil
	}
	collect := func(home string, x *index) {
		for name, r := range x.files {
			if paths, wanted := found[r.digest]; wanted {
				found[r.digest] = append(paths, filepath.Join(home, repositoryName, filepath.FromSlash(name)))
			}
		}
	}
	collect(a.lease.home, a.next)
	homes, err := a.lease.pool.homes()
	if err != nil {
		a.lease.pool.opt.Warn(fmt.Errorf("look for files in other repositories: %w", err))
	}
	for _, home := range homes {
		if home != a.lease.home {
			collect(home, readIndex(home, a.lease.pool.boot))
		}
	}
	return found
}

// copyOne copies a file from the first source that still has it. The error is
// the context's or the destination's.
func (a *applying) copyOne(ctx context.Context, e tree.Entry, sources []string) (bool, error) {
	for _, source := range sources {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		f, err := openFile(source)
		if err != nil {
			continue // removed meanwhile
		}
		copied, err := a.copyFrom(e, f, true)
		if copied || err != nil {
			return copied, err
		}
	}
	blobs := a.lease.pool.opt.Blobs
	if blobs == nil {
		return false, ctx.Err()
	}
	r, err := blobs.Open(ctx, e.Digest, 0, -1)
	if err != nil {
		return false, ctx.Err()
	}
	return a.copyFrom(e, r, false)
}

// copyFrom copies from a reader, which it closes. A source that fails or has
// other bytes is no error.
func (a *applying) copyFrom(e tree.Entry, from io.ReadCloser, check bool) (bool, error) {
	defer from.Close()
	source := &reader{Reader: from}
	r, err := write(a.lease.path(e.Path), source, e.Size, modeOf(e), e.Digest, check)
	if err == nil {
		a.put(e.Path, r, &a.done.Copied)
		return true, nil
	}
	if source.err != nil || errors.Is(err, cache.ErrCorrupt) {
		return false, nil
	}
	return false, err
}

// reader remembers a failed read, to tell it from a failed write.
type reader struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// sink is a tree.Sink: what it is given verifies itself at its end.
func (a *applying) sink(ctx context.Context, e tree.Entry, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	rec, err := write(a.lease.path(e.Path), r, e.Size, modeOf(e), e.Digest, false)
	if err != nil {
		return err
	}
	a.put(e.Path, rec, &a.done.Fetched)
	return nil
}
