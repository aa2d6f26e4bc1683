package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/fastship/fastship/cache"
)

// The parts of expanded/<hex>.
const (
	treeName = "tree"
	sizeName = "size" // decimal bytes; spares Trim the walk
)

// Expanded implements cache.LocalStore. The tree is held by a shared lock
// until release. Two processes that fill the same tree at once both do the
// work, and the first to end gives its tree to both.
func (s *Store) Expanded(ctx context.Context, d cache.Digest, fill func(dir string) error) (string, func(), error) {
	if _, err := s.blobPath(d); err != nil {
		return "", nil, err
	}
	leave, err := s.filling.Take(ctx, d)
	if err != nil {
		return "", nil, err
	}
	defer leave()
	home := filepath.Join(s.expandedDir(), d.Hex())
	// More than once only when Trim of another process takes the tree away
	// between its fill and its lock; a fresh one is protected from that.
	for range 3 {
		f, err := hold(home, shared)
		if err == nil {
			if info, err := f.Stat(); err == nil {
				s.use(home, info)
			}
			return filepath.Join(home, treeName), sync.OnceFunc(func() { _ = f.Close() }), nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errBusy) { // busy: being evicted
			return "", nil, fmt.Errorf("expand %s: %w", d, err)
		}
		if err := s.fill(home, fill); err != nil {
			return "", nil, fmt.Errorf("expand %s: %w", d, err)
		}
	}
	return "", nil, fmt.Errorf("expand %s: %w", d, errBusy)
}

// fill makes the tree under tmp, held against sweepers, and renames it to
// home unless another process was first.
func (s *Store) fill(home string, fill func(dir string) error) error {
	s.beginWriting()
	var f *os.File
	tmp, err := s.inTmp(func(path string) (err error) {
		if err := s.fs.Mkdir(path, 0o700); err != nil {
			return err
		}
		f, err = hold(path, shared)
		return err
	})
	if err != nil {
		return err
	}
	defer f.Close()
	placed := false
	defer func() { // also when fill panics
		if !placed {
			_ = removeTree(s.fs, tmp) // else the next process sweeps it
		}
	}()
	tree := filepath.Join(tmp, treeName)
	if err := s.fs.Mkdir(tree, 0o755); err != nil {
		return err
	}
	if err := fill(tree); err != nil {
		return err
	}
	if err := s.writeSize(tmp, tree); err != nil {
		return err
	}
	if err := syncFS(f); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	err = s.place(tmp, home)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil // theirs will do
	}
	placed = err == nil
	return err
}

func (s *Store) writeSize(tmp, tree string) error {
	size, err := treeSize(tree)
	if err != nil {
		return err
	}
	w, err := s.fs.Create(filepath.Join(tmp, sizeName), 0o444)
	if err != nil {
		return err
	}
	_, err = w.Write([]byte(strconv.FormatInt(size, 10)))
	return errors.Join(err, w.Close())
}

// treeSize adds up the regular files of a tree.
func treeSize(root string) (int64, error) {
	var size int64
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		return nil
	})
	return size, err
}

// expandedSize is the recorded size of a tree, or what a walk finds.
func expandedSize(home string) int64 {
	if b, err := os.ReadFile(filepath.Join(home, sizeName)); err == nil {
		if size, err := strconv.ParseInt(string(b), 10, 64); err == nil {
			return size
		}
	}
	size, _ := treeSize(filepath.Join(home, treeName)) // a part is better than nothing
	return size
}
