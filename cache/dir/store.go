// Package dir keeps blobs, actions, pointers and unpacked trees in a directory
// that several processes share.
//
//	blobs/sha256/<hex>     blobs, as in an OCI image layout
//	actions/<key>          actions, each with a sum over itself
//	pointers/<hex>         pointers by their name's sha256, each with a sum
//	expanded/<hex>/tree/   unpacked trees, their size in bytes beside them
//	tmp/                   what is being written, or being removed
//
// # Crashes
//
// Everything is written under tmp and renamed into place when it is whole, so
// a killed process leaves nothing half-written under a name that is read. It
// leaves files in tmp; each writer holds a lock on its own, and the next
// process that writes removes those whose lock is free.
//
// Blobs, actions and pointers are not synced to disk, because what a power cut
// damages is found when it is read: blobs by their digest and size, the others
// by their sum. Nobody verifies an unpacked tree, so the file system is synced before
// one gets its name.
//
// # Size
//
// Trim evicts the least recently used entries. The time of last use is the
// modification time, moved when it is more than an hour old. A Store that has
// only read, as in a dry run, moves no times until Trim; so nothing is
// written by reading.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/turns"
)

// Options configure a Store. The zero value is ready.
type Options struct {
	// MaxBytes caps what Trim leaves. 0 means 10 GiB.
	MaxBytes int64
}

const defaultMaxBytes = 10 << 30

// Store is a cache.LocalStore and a cache.Store in a directory.
type Store struct {
	root string
	max  int64
	fs   fileSystem
	now  func() time.Time

	mu      sync.Mutex
	wrote   bool                         // something was written by this Store
	swept   bool                         // tmp was cleared of the dead
	trimmed bool                         // Trim has run
	used    map[string]struct{}          // paths whose times wait to be moved
	corrupt map[cache.Digest]fs.FileInfo // files found not to match their name
	filling turns.Turns[cache.Digest]    // trees being filled by this process
}

var (
	_ cache.LocalStore = (*Store)(nil)
	_ cache.Store      = (*Store)(nil)
)

// Open returns the store in root. It writes nothing: a missing root is an
// empty store, and is made, readable by its owner alone, by the first write.
func Open(root string, opt Options) (*Store, error) {
	if root == "" {
		return nil, errors.New("open the cache: its directory has no name")
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open the cache: %w", err)
	}
	info, err := os.Stat(abs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the cache: %w", err)
	}
	if err == nil && !info.IsDir() {
		return nil, fmt.Errorf("open the cache: %w", &fs.PathError{Op: "open", Path: abs, Err: syscall.ENOTDIR})
	}
	if opt.MaxBytes == 0 {
		opt.MaxBytes = defaultMaxBytes
	}
	return &Store{
		root: abs, max: opt.MaxBytes, fs: osFS{}, now: time.Now,
		used: map[string]struct{}{}, corrupt: map[cache.Digest]fs.FileInfo{},
	}, nil
}

// Root is the absolute path of the store's directory.
func (s *Store) Root() string { return s.root }

// MaxBytes is the cap that Trim keeps, in bytes.
func (s *Store) MaxBytes() int64 { return s.max }

func (s *Store) blobDir() string     { return filepath.Join(s.root, "blobs", "sha256") }
func (s *Store) actionDir() string   { return filepath.Join(s.root, "actions") }
func (s *Store) expandedDir() string { return filepath.Join(s.root, "expanded") }
func (s *Store) tmpDir() string      { return filepath.Join(s.root, "tmp") }

// blobPath checks the digest, which may come from outside, before it becomes
// a path.
func (s *Store) blobPath(d cache.Digest) (string, error) {
	if _, err := cache.ParseDigest(string(d)); err != nil {
		return "", err
	}
	return filepath.Join(s.blobDir(), d.Hex()), nil
}

// find returns the file of a blob that is there and not known to be corrupt.
func (s *Store) find(d cache.Digest) (string, fs.FileInfo, error) {
	path, err := s.blobPath(d)
	if err != nil {
		return "", nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && (!info.Mode().IsRegular() || s.knownCorrupt(d, info)):
		return "", nil, fmt.Errorf("blob %s: %w", d, cache.ErrNotFound)
	case err != nil:
		return "", nil, fmt.Errorf("find blob %s: %w", d, err)
	}
	return path, info, nil
}

// knownCorrupt tells whether this very file has failed its verification. It
// stays in place, since readers do not write, until a Put replaces it.
func (s *Store) knownCorrupt(d cache.Digest, info fs.FileInfo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	bad, ok := s.corrupt[d]
	return ok && os.SameFile(bad, info)
}

func (s *Store) markCorrupt(d cache.Digest, info fs.FileInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corrupt[d] = info
}

// Stat implements cache.BlobStore.
func (s *Store) Stat(ctx context.Context, d cache.Digest) (cache.BlobInfo, error) {
	if err := ctx.Err(); err != nil {
		return cache.BlobInfo{}, err
	}
	path, info, err := s.find(d)
	if err != nil {
		return cache.BlobInfo{}, err
	}
	s.use(path, info)
	return cache.BlobInfo{Digest: d, Size: info.Size(), LastUsed: s.lastUsed(path, info)}, nil
}

// Path implements cache.LocalStore.
func (s *Store) Path(d cache.Digest) (string, error) {
	path, info, err := s.find(d)
	if err != nil {
		return "", err
	}
	s.use(path, info)
	return path, nil
}

// List implements cache.BlobStore.
func (s *Store) List(ctx context.Context) iter.Seq2[cache.BlobInfo, error] {
	return func(yield func(cache.BlobInfo, error) bool) {
		entries, err := readDir(s.blobDir())
		if err != nil {
			yield(cache.BlobInfo{}, fmt.Errorf("list blobs: %w", err))
			return
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				yield(cache.BlobInfo{}, err)
				return
			}
			d, err := cache.ParseDigest("sha256:" + e.Name())
			if err != nil {
				continue // not ours
			}
			path, info, err := s.find(d)
			if errors.Is(err, cache.ErrNotFound) {
				continue // gone since
			}
			blob := cache.BlobInfo{Digest: d}
			if err == nil {
				blob.Size, blob.LastUsed = info.Size(), s.lastUsed(path, info)
			}
			if !yield(blob, err) {
				return
			}
		}
	}
}

// Delete implements cache.BlobStore.
func (s *Store) Delete(ctx context.Context, d cache.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := s.blobPath(d)
	if err != nil {
		return err
	}
	if err := s.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob %s: %w", d, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.corrupt, d) // the next file may get this one's inode
	return nil
}

// readDir lists a directory; a missing one is empty.
func readDir(path string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}
