// Package lease keeps materialised file trees, such as Maven repositories,
// and lends each to one build at a time.
//
//	<root>/<name>/repository/   the files
//	<root>/<name>/index         what they are known to be
//	<root>/tmp/                 what is being removed
//
// A build takes the free repository that is closest to the tree it wants, and
// Apply turns it into exactly that tree: it stats every file and trusts those
// that are as the index recorded them. What is missing is copied from another
// repository of this machine, and verified on the way, or fetched.
//
// # Trust
//
// No two repositories share an inode, so a build that edits a file harms its
// own copy alone, and the edit moves the file's ctime, which nobody can set
// back (docs/decisions/0009-leases-without-links.md). The index records only
// verified content; what a killed build or Apply leaves is not in it, and the
// next Apply removes it. Where a file system does not move a file's ctime on
// writes through a mapping, as tmpfs does not, such an edit is not seen: a
// cache belongs on a disk.
//
// # Size
//
// Trim removes the repositories used least recently. Blobs and repositories
// each have a cap of their own, whoever opens both divides the disk.
package lease

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/tree"
)

// Options configure a Pool. The zero value is ready.
type Options struct {
	// MaxBytes caps what Trim leaves. 0 means 5 GiB.
	MaxBytes int64
	// Blobs is asked for a missing file before it is fetched; nil: nothing is.
	Blobs cache.BlobStore
	// Warn is told of each fault that was got round; nil drops them. It may
	// be called from several goroutines.
	Warn func(error)
}

const (
	defaultMaxBytes = 5 << 30
	repositoryName  = "repository"
	tmpName         = "tmp"
)

// Pool is a directory of repositories that several processes share.
type Pool struct {
	root string
	opt  Options
	boot string
	now  func() time.Time
}

// Open returns the pool in root. It writes nothing: a missing root is an empty
// pool, and is made, readable by its owner alone, by the first Take.
func Open(root string, opt Options) (*Pool, error) {
	if root == "" {
		return nil, errors.New("open the kept repositories: their directory has no name")
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open the kept repositories: %w", err)
	}
	info, err := os.Stat(abs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the kept repositories: %w", err)
	}
	if err == nil && !info.IsDir() {
		return nil, fmt.Errorf("open the kept repositories: %s is not a directory", abs)
	}
	if opt.MaxBytes == 0 {
		opt.MaxBytes = defaultMaxBytes
	}
	if opt.Warn == nil {
		opt.Warn = func(error) {}
	}
	return &Pool{root: abs, opt: opt, boot: bootID(), now: time.Now}, nil
}

// Lease is a repository that one build has for itself until Close or Discard.
// Its methods are called one after the other.
type Lease struct {
	pool  *Pool
	home  string
	lock  *os.File
	index *index
}

// Dir is the absolute path of the repository's folder.
func (l *Lease) Dir() string { return filepath.Join(l.home, repositoryName) }

// path is where a file of the repository lies.
func (l *Lease) path(name string) string { return filepath.Join(l.Dir(), filepath.FromSlash(name)) }

// Take returns the free repository whose recorded files share most bytes with
// want (nil: nothing is wanted), when they are at least half of want's bytes:
// turning one of another project's over would cost that project its own, and
// copying into a new one costs about the same. Else it returns a new one, or
// an empty one. Take changes no file of a repository; Apply does.
func (p *Pool) Take(ctx context.Context, want *tree.Tree) (*Lease, error) {
	return p.take(ctx, entriesOf(want))
}

func entriesOf(want *tree.Tree) []tree.Entry {
	if want == nil {
		return nil
	}
	return slices.Collect(want.All())
}

func (p *Pool) take(ctx context.Context, want []tree.Entry) (*Lease, error) {
	homes, err := p.candidates(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("take a repository: %w", err)
	}
	for _, home := range homes {
		lock, err := hold(home)
		if err == nil {
			return p.lease(home, lock), nil
		}
		if !errors.Is(err, errBusy) && !errors.Is(err, fs.ErrNotExist) {
			p.opt.Warn(fmt.Errorf("take a repository: %w", err))
		}
	}
	l, err := p.create()
	if err != nil {
		return nil, fmt.Errorf("make a repository in %s: %w", p.root, err)
	}
	return l, nil
}

func (p *Pool) lease(home string, lock *os.File) *Lease {
	return &Lease{pool: p, home: home, lock: lock, index: readIndex(home, p.boot)}
}

// candidates lists the repositories that share enough with want, best first.
func (p *Pool) candidates(ctx context.Context, want []tree.Entry) ([]string, error) {
	homes, err := p.homes()
	if err != nil {
		return nil, err
	}
	var total int64
	for _, e := range want {
		total += e.Size
	}
	type candidate struct {
		home          string
		shared, bytes int64
	}
	var enough []candidate
	for _, home := range homes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x := readIndex(home, p.boot)
		c := candidate{home: home, bytes: x.bytes}
		for _, e := range want {
			if x.files[e.Path].digest == e.Digest {
				c.shared += e.Size
			}
		}
		if len(x.files) == 0 || c.shared > 0 && c.shared >= total/2 {
			enough = append(enough, c)
		}
	}
	slices.SortFunc(enough, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.shared, a.shared), cmp.Compare(a.bytes, b.bytes), cmp.Compare(a.home, b.home))
	})
	sorted := make([]string, len(enough))
	for i, c := range enough {
		sorted[i] = c.home
	}
	return sorted, nil
}

// homes lists the repositories' directories.
func (p *Pool) homes() ([]string, error) {
	entries, err := os.ReadDir(p.root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var homes []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != tmpName {
			homes = append(homes, filepath.Join(p.root, e.Name()))
		}
	}
	return homes, nil
}

// createTries is how often a repository is made anew when another process's
// Trim took it, empty as it is, before it was held.
const createTries = 10

func (p *Pool) create() (*Lease, error) {
	if err := os.MkdirAll(p.root, 0o700); err != nil {
		return nil, err
	}
	var err error
	for range createTries {
		home := filepath.Join(p.root, rand.Text())
		if err := os.Mkdir(home, 0o700); err != nil {
			return nil, err
		}
		var lock *os.File
		if lock, err = hold(home); err == nil {
			return p.lease(home, lock), nil
		}
	}
	return nil, err
}

// writeIndex replaces the index as a whole.
func (l *Lease) writeIndex() error {
	p := filepath.Join(l.home, indexName)
	if err := os.WriteFile(p+".new", l.index.encode(l.pool.now(), l.pool.boot), 0o600); err != nil {
		return err
	}
	return os.Rename(p+".new", p)
}
