package lease

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

// Trim removes free repositories, those used least recently first, until the
// recorded sizes are within Options.MaxBytes, and those that record nothing.
// One that is lent out is never removed; the pool may stay over its cap for
// that. Call it at the end of a run.
func (p *Pool) Trim(ctx context.Context) error {
	p.sweep()
	homes, err := p.homes()
	if err != nil {
		return fmt.Errorf("trim the kept repositories: %w", err)
	}
	type candidate struct {
		home string
		size int64
		used time.Time
	}
	var all []candidate
	var total int64
	for _, home := range homes {
		size, used, err := readSize(home)
		if err != nil {
			size = 0 // no index: nothing in it is trusted; the oldest of all
		}
		all = append(all, candidate{home, size, used})
		total += size
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.home, b.home))
	})
	var errs []error
	for _, c := range all {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if total <= p.opt.MaxBytes && !c.used.IsZero() {
			break
		}
		removed, err := p.evict(c.home, c.used)
		if err != nil {
			errs = append(errs, fmt.Errorf("trim the kept repositories: %w", err))
		}
		if removed {
			total -= c.size
		}
	}
	return errors.Join(errs...)
}

// evict removes a repository unless somebody has it or has used it since.
func (p *Pool) evict(home string, used time.Time) (bool, error) {
	lock, err := hold(home)
	if errors.Is(err, errBusy) {
		return false, nil
	}
	if err != nil {
		return errors.Is(err, fs.ErrNotExist), ignoreAbsent(err)
	}
	defer lock.Close()
	if _, now, err := readSize(home); err == nil && !now.Equal(used) {
		return false, nil
	}
	return true, p.removeHome(home)
}

// sweep finishes the removals of killed processes. It is best effort: what it
// cannot remove does no harm but to the disk's space.
func (p *Pool) sweep() {
	tmp := filepath.Join(p.root, tmpName)
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return
	}
	for _, e := range entries {
		gone := filepath.Join(tmp, e.Name())
		lock, err := hold(gone)
		if err != nil {
			continue // being removed
		}
		_ = removeTree(gone)
		_ = lock.Close()
	}
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
