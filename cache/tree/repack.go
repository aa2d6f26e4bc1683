package tree

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/fastship/fastship/cache"
)

const (
	maxDead     = 0.3      // share of a pack's bytes that may be dead
	repackBytes = 16 << 20 // live bytes that one save packs anew
)

// place is where bytes of a pack lie; equal files share one.
type place struct {
	pack  cache.Digest
	frame int
	off   int64
}

// usage is what entries use of a pack.
type usage struct {
	total, live int64 // bytes, decoded
	files       int   // entries
}

func (u *usage) dead() float64 { return 1 - float64(u.live)/float64(max(u.total, 1)) }

// usages sums up what entries use of each pack.
func usages(entries []Entry) map[cache.Digest]*usage {
	packs, seen := map[cache.Digest]*usage{}, map[place]bool{}
	for _, e := range entries {
		o := e.at.blob
		if o == nil || o.kind == whole {
			continue
		}
		u := packs[o.digest]
		if u == nil {
			u = &usage{}
			packs[o.digest] = u
			if o.kind == raw {
				u.total = o.size
			}
			for _, f := range o.frames {
				u.total += f.raw
			}
		}
		u.files++
		if p := (place{o.digest, e.at.frame, e.at.off}); !seen[p] {
			seen[p] = true
			u.live += e.Size
		}
	}
	return packs
}

// repack moves what is alive out of packs that lost files by this save and are
// more than 30 % dead, the most dead first. Packs that lost nothing stay, dead
// or not: a branch that uses a part of another's packs must not store them
// again. A fault leaves the entries where they are.
func (s *save) repack(ctx context.Context, before, after []Entry) []Entry {
	if s.c.cfg.Base != nil { // such scopes do not live long, and most of their packs are the base's
		return after
	}
	worn := map[cache.Digest]bool{}
	left := int64(repackBytes)
	was, is := usages(before), usages(after)
	packs := make([]cache.Digest, 0, len(is))
	for d := range is {
		packs = append(packs, d)
	}
	slices.SortFunc(packs, func(a, b cache.Digest) int {
		return cmp.Or(cmp.Compare(is[b].dead(), is[a].dead()), cmp.Compare(a, b))
	})
	for _, d := range packs {
		u, old := is[d], was[d]
		if old == nil || u.files >= old.files || u.dead() <= maxDead || u.live > left {
			continue
		}
		worn[d] = true
		left -= u.live
	}
	if len(worn) == 0 {
		return after
	}
	if err := s.move(ctx, after, worn); err != nil {
		s.c.cfg.Warn(fmt.Errorf("pack files anew: %w", err))
	}
	for i, e := range after {
		if at, ok := s.moved[e.Digest]; ok && e.at.blob != nil && worn[e.at.blob.digest] {
			after[i].at = at
		}
	}
	return after
}

// move reads the files of packs and packs them anew, once in all attempts of a
// save. What cannot be read stays.
func (s *save) move(ctx context.Context, entries []Entry, worn map[cache.Digest]bool) error {
	var want []Entry
	asked := map[cache.Digest]bool{}
	for _, e := range entries {
		if _, done := s.moved[e.Digest]; done || e.at.blob == nil || !worn[e.at.blob.digest] || asked[e.Digest] {
			continue
		}
		asked[e.Digest] = true
		want = append(want, e)
	}
	if len(want) == 0 {
		return nil
	}
	spans, _ := cut(want)
	s.m.requests.Add(int64(len(spans)))
	from := newTree(entries)
	from.own = true
	var mu sync.Mutex
	var files []File
	_, err := s.c.Fetch(ctx, from, want, func(_ context.Context, e Entry, r io.Reader) error {
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		files = append(files, File{Path: e.Path, Size: e.Size, Mode: e.Mode, Digest: e.Digest, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }})
		return nil
	})
	if err != nil {
		return err
	}
	// In the order of their paths: neighbours are read together.
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	u := &upload{c: s.c, m: s.m, lost: func(cache.Digest) bool { return false }, known: map[cache.Digest]location{}}
	packed, err := u.run(ctx, files, s.today)
	if err != nil {
		return err
	}
	if s.moved == nil {
		s.moved = map[cache.Digest]location{}
	}
	for _, e := range packed {
		s.moved[e.Digest] = e.at
	}
	return nil
}
