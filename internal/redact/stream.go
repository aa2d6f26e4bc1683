package redact

import (
	"cmp"
	"slices"
)

// stream masks text that comes in pieces. held is the end of the text that
// may still become part of a match; every byte before it is decided.
type stream struct {
	matcher *matcher
	state   int32
	held    []byte
	covered []span // of held, ascending and apart: what matches cover
	masking bool   // the last thing in out is a mask
	out     []byte
}

type span struct{ from, to int }

// change goes on with another matcher, which has read nothing of held yet. It
// knows all the patterns of the one before, and held begins one of them: so
// reading it again releases nothing, and finds every match again but those
// whose beginning has left already.
func (s *stream) change(m *matcher) {
	held, all := s.held, s.covered
	s.matcher, s.state, s.held, s.covered = m, 0, nil, nil
	s.feed(held)
	all = append(all, s.covered...)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.to, b.to) })
	s.covered = nil
	for _, c := range all {
		s.cover(c)
	}
}

// feed reads p and moves to out what is decided.
func (s *stream) feed(p []byte) {
	m := s.matcher
	for i := 0; i < len(p); i++ {
		if s.state == 0 && len(s.held) == 0 {
			if n := skip(m, p[i:]); n > 0 {
				s.plain(p[i : i+n])
				i += n
			}
			if i == len(p) {
				return
			}
		}
		s.held = append(s.held, p[i])
		s.state = m.step(s.state, p[i])
		n := m.nodes[s.state]
		if n.match > 0 {
			s.cover(span{len(s.held) - int(n.match), len(s.held)})
		}
		s.release(len(s.held) - int(n.depth))
	}
}

// cover adds a span that ends no earlier than those before it.
func (s *stream) cover(c span) {
	for n := len(s.covered); n > 0 && s.covered[n-1].to >= c.from; n-- {
		c.from = min(c.from, s.covered[n-1].from)
		c.to = max(c.to, s.covered[n-1].to)
		s.covered = s.covered[:n-1]
	}
	s.covered = append(s.covered, c)
}

// release moves the first n held bytes to out.
func (s *stream) release(n int) {
	if n == 0 {
		return
	}
	at := 0
	for at < n {
		switch {
		case len(s.covered) == 0 || s.covered[0].from >= n:
			s.plain(s.held[at:n])
			at = n
		case s.covered[0].from > at:
			s.plain(s.held[at:s.covered[0].from])
			at = s.covered[0].from
		default:
			if !s.masking {
				s.out = append(s.out, Mask...)
				s.masking = true
			}
			at = min(n, s.covered[0].to)
			if at == s.covered[0].to {
				s.covered = s.covered[1:]
			} else {
				s.covered[0].from = at
			}
		}
	}
	s.held = append(s.held[:0], s.held[n:]...)
	for i := range s.covered {
		s.covered[i].from -= n
		s.covered[i].to -= n
	}
}

func (s *stream) plain(p []byte) {
	s.out = append(s.out, p...)
	s.masking = false
}

// end decides what is held: no more is to come.
func (s *stream) end() {
	s.release(len(s.held))
	s.state, s.masking = 0, false
}
