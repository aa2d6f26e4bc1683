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
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache/tree"
)

// Changes is what a build did to its repository.
type Changes struct {
	Added   []tree.File // new files, not hashed, each with Open
	Edited  []tree.File // restored files whose content is another now
	Removed []string    // restored files that are gone
}

// Changes compares the repository with what Apply left. It hashes only the
// restored files whose stat differs. Paths are sorted.
func (l *Lease) Changes(ctx context.Context) (Changes, error) {
	there, err := walk(l.Dir())
	if err != nil {
		return Changes{}, fmt.Errorf("look for changes in the repository: %w", err)
	}
	var c Changes
	for _, name := range sortedKeys(there.files) {
		if err := ctx.Err(); err != nil {
			return Changes{}, err
		}
		p := there.files[name]
		r, ok := l.index.files[name]
		switch {
		case !ok:
			c.Added = append(c.Added, l.file(name, p))
		case r.stamp != p.stamp:
			now, err := sum(l.path(name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil || now.digest != r.digest { // one that changes under our eyes is edited, too
				c.Edited = append(c.Edited, l.file(name, p))
			}
		}
	}
	for _, name := range sortedKeys(l.index.files) {
		if _, ok := there.files[name]; !ok {
			c.Removed = append(c.Removed, name)
		}
	}
	return c, nil
}

// Files are the files that the repository is recorded to hold, by path: what
// Apply left in it.
func (l *Lease) Files() []tree.File {
	all := make([]tree.File, 0, len(l.index.files))
	for _, name := range sortedKeys(l.index.files) {
		r := l.index.files[name]
		f := l.file(name, present{stamp: r.stamp, mode: r.mode})
		f.Digest = r.digest
		all = append(all, f)
	}
	return all
}

func (l *Lease) file(name string, p present) tree.File {
	return tree.File{
		Path: name, Size: p.stamp.size, Mode: p.mode,
		Open: func() (io.ReadCloser, error) { return openFile(l.path(name)) },
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Close gives the repository back with the restored files that are as they
// were and those among keep, new or edited, which it hashes and records. All
// other files are removed. The lease ends whatever the error; after one, the
// next Apply sorts out what is there.
func (l *Lease) Close(ctx context.Context, keep ...string) error {
	defer l.lock.Close()
	if err := l.settle(ctx, keep); err != nil {
		return fmt.Errorf("give the repository back: %w", err)
	}
	return nil
}

func (l *Lease) settle(ctx context.Context, keep []string) error {
	there, err := walk(l.Dir())
	if errors.Is(err, fs.ErrNotExist) {
		there, err = &found{}, nil // nothing was restored, or a build removed it all
	}
	if err != nil {
		return err
	}
	kept := make(map[string]bool, len(keep))
	for _, name := range keep {
		kept[name] = true
	}
	next, err := l.record(ctx, there, kept)
	if err != nil {
		return err
	}
	folders := map[string]bool{}
	for name := range next.files {
		delete(there.files, name)
		for d := path.Dir(name); d != "." && !folders[d]; d = path.Dir(d) {
			folders[d] = true
		}
	}
	l.index = next
	if err := l.remove(there, folders); err != nil {
		return err
	}
	return l.writeIndex()
}

// hashers is how many files are written out and hashed at once: most of it is
// waiting for the disk.
const hashers = 8

// record makes the index of what stays.
func (l *Lease) record(ctx context.Context, there *found, kept map[string]bool) (*index, error) {
	next := &index{files: make(map[string]record, len(there.files))}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(hashers)
	for name, p := range there.files {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			r, ok := l.known(name, p, kept[name])
			if !ok {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			next.put(name, r)
			return nil
		})
	}
	return next, group.Wait()
}

// known returns what is to be recorded of a file that is there.
func (l *Lease) known(name string, p present, keep bool) (record, bool) {
	r, restored := l.index.files[name]
	if restored && r.stamp == p.stamp {
		return r, true
	}
	if !restored && !keep {
		return record{}, false
	}
	now, err := sum(l.path(name))
	return now, err == nil && (keep || now.digest == r.digest)
}

// Discard gives the repository back by removing it: after a full disk, or when
// nothing of it is worth to be kept.
func (l *Lease) Discard() error {
	defer l.lock.Close()
	if err := l.pool.removeHome(l.home); err != nil {
		return fmt.Errorf("remove the repository: %w", err)
	}
	return nil
}

// removeHome removes a repository that the caller holds: out of sight first,
// so that a kill in the middle leaves none that is half there.
func (p *Pool) removeHome(home string) error {
	gone := filepath.Join(p.root, tmpName, filepath.Base(home))
	if err := os.MkdirAll(filepath.Dir(gone), 0o700); err != nil {
		return err
	}
	if err := os.Rename(home, gone); err != nil {
		return err
	}
	return removeTree(gone)
}
