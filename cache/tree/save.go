package tree

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fastship/fastship/cache"
)

const (
	maxMoves     = 40 // compare-and-swaps before a save gives up
	compactAbove = 8  // segments of a pointer
	keepDays     = 30 // an entry that no build used for so long is dropped
	firstPause   = 5 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// save is one Save under way.
type save struct {
	c     *Cache
	ch    Change
	m     *meter
	today Day
	used  map[string]bool
	sent  map[cache.Digest]bool     // segments
	moved map[cache.Digest]location // files packed anew
}

// Save stores what a build added and moves the pointer: blobs and packs, then
// a segment, then the pointer, so that a save cut off anywhere leaves the old
// tree whole. When nothing is new and no date is to be refreshed it writes
// nothing. Others that move the pointer meanwhile lose nothing: their entries
// and these are united. A file that cannot be read is left out with a warning.
func (c *Cache) Save(ctx context.Context, ch Change) (Saved, error) {
	if err := cache.CheckPointerName(ch.Pointer); err != nil {
		return Saved{}, fmt.Errorf("save a tree: %w", err)
	}
	if ch.From != nil && ch.From.owner != c {
		return Saved{}, fmt.Errorf("save pointer %s: its tree was found by another cache, whose blobs this scope may not refer to", ch.Pointer)
	}
	s := &save{c: c, ch: ch, m: &meter{}, today: DayOf(c.cfg.Now()), used: map[string]bool{}, sent: map[cache.Digest]bool{}}
	for _, p := range ch.Used {
		s.used[p] = true
	}
	t, err := s.run(ctx)
	if err != nil {
		err = fmt.Errorf("save pointer %s: %w", ch.Pointer, err)
	}
	return Saved{int(s.m.requests.Load()), s.m.bytes.Load(), int(s.m.files.Load()), t}, err
}

func (s *save) run(ctx context.Context) (*Tree, error) {
	cur, version := s.ch.From, ""
	if cur != nil && cur.own && cur.pointer == s.ch.Pointer {
		version = cur.version
	} else {
		var err error
		if cur, version, err = s.current(ctx); err != nil {
			return nil, err
		}
	}
	added, err := s.upload(ctx, cur)
	if err != nil {
		return nil, err
	}
	pause := firstPause
	for range maxMoves {
		next, err := s.plan(ctx, cur, added)
		if err != nil || next == nil {
			return cur, err
		}
		value, err := encodePointer(next.segments)
		if err != nil {
			return nil, err
		}
		s.m.requests.Add(1)
		version, err = s.c.cfg.Own.PutPointer(ctx, s.ch.Pointer, value, version)
		if err == nil {
			s.m.bytes.Add(int64(len(value)))
			next.version = version
			return next, nil
		}
		if !errors.Is(err, cache.ErrMoved) {
			return nil, err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		pause = min(2*pause, longestPause)
		if cur, version, err = s.current(ctx); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%d attempts, others were faster each time: %w", maxMoves, cache.ErrMoved)
}

// current reads the pointer. One that is broken is begun anew, with a warning.
func (s *save) current(ctx context.Context) (*Tree, string, error) {
	s.m.requests.Add(1)
	t, version, err := s.c.read(ctx, s.c.cfg.Own, s.ch.Pointer, true)
	switch {
	case err == nil:
		s.m.requests.Add(int64(len(t.segments)))
		return t, version, nil
	case errors.Is(err, errAbsent):
		return nil, "", nil
	case version != "" && (errors.Is(err, cache.ErrNotFound) || errors.Is(err, cache.ErrCorrupt)):
		s.c.cfg.Warn(err)
		return nil, version, nil
	}
	return nil, "", err
}

func (s *save) upload(ctx context.Context, cur *Tree) ([]Entry, error) {
	if len(s.ch.Add) == 0 {
		return nil, nil
	}
	lost := func(d cache.Digest) bool { return s.ch.From != nil && s.ch.From.isLost(d) }
	u := &upload{c: s.c, m: s.m, lost: lost, known: map[cache.Digest]location{}}
	for _, t := range []*Tree{s.ch.From, cur} {
		if t == nil {
			continue
		}
		for _, e := range t.entries {
			if e.at.blob != nil && !lost(e.Digest) {
				u.known[e.Digest] = e.at
			}
		}
	}
	return u.run(ctx, s.ch.Add, s.today)
}

// plan works out the tree that cur and this change make, and stores the
// segment that it takes. nil: cur is that tree.
func (s *save) plan(ctx context.Context, cur *Tree, added []Entry) (*Tree, error) {
	var have []Entry
	var segments []segmentRef
	if cur != nil {
		have, segments = cur.entries, cur.segments
	} else if s.shares() {
		have, segments = s.ch.From.entries, s.ch.From.segments
	}
	delta := s.delta(newTree(have), added)
	refresh := s.stale(have)
	if len(delta) == 0 && !refresh && cur != nil || len(delta) == 0 && len(have) == 0 {
		return nil, nil
	}
	all, write := delta, delta
	if len(have) > 0 {
		all = union(have, delta)
	}
	if refresh || len(segments) >= compactAbove {
		all = s.repack(ctx, have, s.compact(all))
		write, segments = all, nil
	}
	if len(write) > 0 {
		ref, err := s.segment(ctx, write)
		if err != nil {
			return nil, err
		}
		segments = append(segments[:len(segments):len(segments)], ref)
	}
	if len(segments) == 0 {
		return nil, nil
	}
	t := newTree(all)
	t.segments, t.owner, t.own, t.pointer = segments, s.c, true, s.ch.Pointer
	return t, nil
}

// shares tells whether a new pointer can begin with From's own segments: all
// of From is in use.
func (s *save) shares() bool {
	if s.ch.From == nil || s.ch.From.Len() == 0 {
		return false
	}
	for _, e := range s.ch.From.entries {
		if !s.used[e.Path] {
			return false
		}
	}
	return true
}

// delta is what a tree lacks: new files, and those of From in use that
// another pointer has or that aged out meanwhile.
func (s *save) delta(have *Tree, added []Entry) []Entry {
	if s.ch.From == nil && have.Len() == 0 {
		return added // of a big first save there is memory for one list
	}
	out := make([]Entry, 0, len(added))
	if s.ch.From != nil {
		for _, e := range s.ch.From.entries {
			if _, ok := have.Get(e.Path); !ok && s.used[e.Path] && !s.ch.From.isLost(e.Digest) {
				e.Used = s.today
				out = append(out, e)
			}
		}
	}
	for _, e := range added {
		if old, ok := have.Get(e.Path); !ok || !old.same(e) {
			out = append(out, e)
		}
		s.used[e.Path] = true
	}
	return tidy(out)
}

// stale tells whether an entry in use has an older date than today.
func (s *save) stale(have []Entry) bool {
	for _, e := range have {
		if e.Used < s.today && s.used[e.Path] {
			return true
		}
	}
	return false
}

// compact dates what is in use and drops what was not for long.
func (s *save) compact(all []Entry) []Entry {
	out := all[:0]
	for _, e := range all {
		if s.used[e.Path] {
			e.Used = max(e.Used, s.today)
		}
		if s.today-e.Used <= keepDays {
			out = append(out, e)
		}
	}
	return out
}

func (s *save) segment(ctx context.Context, entries []Entry) (segmentRef, error) {
	b, err := encodeSegment(entries)
	if err != nil {
		return segmentRef{}, err
	}
	content := cache.NewContent(b)
	ref := segmentRef{content.Digest(), content.Size()}
	if s.sent[ref.Digest] {
		return ref, nil
	}
	if err := s.replaceBad(ctx, ref.Digest); err != nil {
		return ref, fmt.Errorf("save a segment: %w", err)
	}
	if err := s.m.putContent(ctx, s.c.cfg.Own, content); err != nil {
		return ref, fmt.Errorf("save a segment: %w", err)
	}
	s.sent[ref.Digest] = true
	return ref, nil
}

// replaceBad removes a segment that was found bad, which Put would leave alone.
func (s *save) replaceBad(ctx context.Context, d cache.Digest) error {
	s.c.mu.Lock()
	bad := s.c.bad[d]
	delete(s.c.bad, d)
	s.c.mu.Unlock()
	if !bad {
		return nil
	}
	s.m.requests.Add(1)
	return s.c.cfg.Own.Delete(ctx, d)
}
