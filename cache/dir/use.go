package dir

import (
	"io/fs"
	"time"
)

const (
	// touchAfter is how old a time of last use may get before it is moved.
	touchAfter = time.Hour
	// protect is how long after its recorded last use an entry is safe from
	// eviction: what was used within the last hour is, since the record is
	// at most touchAfter behind.
	protect = touchAfter + time.Hour
)

// use records that an entry was used. A store that has not written anything
// yet may be in a dry run: it only remembers, and catches up at its first
// write or at Trim.
func (s *Store) use(path string, info fs.FileInfo) {
	if s.now().Sub(info.ModTime()) < touchAfter {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrote {
		_ = s.fs.Chtimes(path, s.now()) // a lost time costs at most an early eviction
		return
	}
	s.used[path] = struct{}{}
}

// moveTimes records the uses that were only remembered.
func (s *Store) moveTimes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path := range s.used {
		_ = s.fs.Chtimes(path, s.now())
	}
	clear(s.used)
}

func (s *Store) lastUsed(path string, info fs.FileInfo) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.used[path]; ok {
		return s.now()
	}
	return info.ModTime()
}
