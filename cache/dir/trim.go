package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// entry is one thing that can be evicted.
type entry struct {
	path string
	tree bool
	size int64
	used time.Time
}

// Trim records what this Store has used and, if it has written anything,
// evicts the least recently used entries until nine tenths of MaxBytes are
// left, when there were more than MaxBytes. It evicts once in a Store's life:
// call it at the end of a run. Never evicted is what was used within the last
// hour and a tree that a process holds; a cache may stay over its cap for
// that. While another process trims, it does nothing.
func (s *Store) Trim(ctx context.Context) error {
	s.moveTimes()
	s.mu.Lock()
	idle := !s.wrote || s.trimmed
	s.trimmed = s.trimmed || s.wrote
	s.mu.Unlock()
	if idle {
		return nil
	}
	turn, err := hold(s.root, exclusive)
	if errors.Is(err, errBusy) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("trim the cache: %w", err)
	}
	defer turn.Close()
	entries, err := s.entries()
	if err != nil {
		return fmt.Errorf("trim the cache: %w", err)
	}
	if err := s.evict(ctx, entries); err != nil {
		return fmt.Errorf("trim the cache: %w", err)
	}
	return nil
}

func (s *Store) entries() ([]entry, error) {
	var all []entry
	for _, dir := range []string{s.blobDir(), s.actionDir(), s.expandedDir()} {
		found, err := readDir(dir)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			info, err := f.Info()
			if err != nil {
				continue // gone since
			}
			e := entry{path: filepath.Join(dir, f.Name()), tree: f.IsDir(), size: info.Size(), used: info.ModTime()}
			if e.tree {
				e.size = expandedSize(e.path)
			}
			all = append(all, e)
		}
	}
	return all, nil
}

func (s *Store) evict(ctx context.Context, entries []entry) error {
	var total int64
	for _, e := range entries {
		total += e.size
	}
	if total <= s.max {
		return nil
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path))
	})
	var errs []error
	for _, e := range entries {
		if total <= s.max/10*9 {
			break
		}
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		evicted, err := s.evictOne(e)
		if err != nil {
			errs = append(errs, err)
		}
		if evicted {
			total -= e.size
		}
	}
	return errors.Join(errs...)
}

// evictOne removes an entry unless it was used meanwhile or lately.
func (s *Store) evictOne(e entry) (bool, error) {
	info, err := os.Lstat(e.path)
	if err != nil {
		return true, ignoreAbsent(err)
	}
	if s.now().Sub(info.ModTime()) < protect {
		return false, nil
	}
	if !e.tree {
		err := ignoreAbsent(s.fs.Remove(e.path))
		return err == nil, err
	}
	f, err := hold(e.path, exclusive)
	if errors.Is(err, errBusy) {
		return false, nil
	}
	if err != nil {
		return true, ignoreAbsent(err)
	}
	defer f.Close()
	// Out of sight first: a kill in the middle must not leave half a tree
	// under its name.
	gone := s.tmpName()
	if err := inDir(s.fs, s.tmpDir(), func() error { return s.fs.Rename(e.path, gone) }); err != nil {
		return false, err
	}
	return true, removeTree(s.fs, gone)
}
