package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fastship/fastship/cache"
)

// Day counts days from 1970-01-01, UTC.
type Day int32

// DayOf returns the day of a time.
func DayOf(t time.Time) Day { return Day(t.Unix() / 86400) }

// Entry is one regular file of a tree.
type Entry struct {
	Path   string // slash-separated, below the tree's root: fs.ValidPath
	Size   int64  // bytes
	Mode   fs.FileMode
	Digest cache.Digest
	Used   Day // when a build last used it
	Note   string

	at location
}

// same tells whether two entries are the same file at the same place.
func (e Entry) same(o Entry) bool {
	return e.Size == o.Size && e.Mode == o.Mode && e.Digest == o.Digest && e.Note == o.Note && e.at.equal(o.at)
}

// Tree is a set of files, sorted by path. It is read-only for its users and
// safe for several goroutines.
type Tree struct {
	entries  []Entry
	bytes    int64
	segments []segmentRef
	owner    *Cache
	pointer  string // the name it was found under
	own      bool   // in Own, not in Base
	version  string // the pointer's, for the first compare-and-swap

	digest func() cache.Digest

	mu    sync.Mutex
	lost  map[cache.Digest]bool   // contents that Fetch found absent or bad
	fresh map[cache.Digest][]byte // segments that Local does not hold yet
}

func newTree(entries []Entry) *Tree {
	t := &Tree{entries: entries, lost: map[cache.Digest]bool{}}
	for _, e := range entries {
		t.bytes += e.Size
	}
	t.digest = sync.OnceValue(t.sum)
	return t
}

// Of makes a tree of entries, which other trees may be the source of: to be
// restored, not to be saved from. Of several with one path the last one holds,
// and a file that is a folder of another is left out.
func Of(entries []Entry) *Tree { return newTree(union(entries)) }

// All yields the entries, sorted by path.
func (t *Tree) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range t.entries {
			if !yield(e) {
				return
			}
		}
	}
}

// Get returns the entry at a path.
func (t *Tree) Get(path string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(t.entries, path, func(e Entry, p string) int { return strings.Compare(e.Path, p) })
	if !ok {
		return Entry{}, false
	}
	return t.entries[i], true
}

// Len counts the entries.
func (t *Tree) Len() int { return len(t.entries) }

// Bytes sums the sizes of the files.
func (t *Tree) Bytes() int64 { return t.bytes }

// Digest names the tree by its paths, modes and contents alone: dates, notes
// and the place of the bytes do not count.
func (t *Tree) Digest() cache.Digest { return t.digest() }

func (t *Tree) sum() cache.Digest {
	h := sha256.New()
	var line []byte
	for _, e := range t.entries {
		line = append(append(line[:0], e.Path...), 0)
		line = strconv.AppendUint(line, uint64(e.Mode.Perm()), 8)
		line = append(append(append(line, 0), e.Digest.Hex()...), '\n')
		h.Write(line)
	}
	return cache.FromSum(h.Sum(nil))
}

func (t *Tree) lose(d cache.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost[d] = true
}

func (t *Tree) isLost(d cache.Digest) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost[d]
}

// union lays lists of entries over each other: later ones win, and of the
// same content the later date counts.
func union(lists ...[]Entry) []Entry { return tidy(slices.Concat(lists...)) }

// tidy sorts entries in their own place, the later ones over the earlier.
func tidy(all []Entry) []Entry {
	slices.SortStableFunc(all, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	out := all[:0]
	for _, e := range all {
		if n := len(out); n > 0 && out[n-1].Path == e.Path {
			if out[n-1].Digest == e.Digest {
				e.Used = max(e.Used, out[n-1].Used)
			}
			out[n-1] = e
			continue
		}
		out = append(out, e)
	}
	bad := map[string]bool{}
	eachClash(out, func(file string) { bad[file] = true })
	if len(bad) > 0 {
		out = slices.DeleteFunc(out, func(e Entry) bool { return bad[e.Path] })
	}
	return out
}

// eachClash calls f with each file that another entry has as a directory.
// Entries are sorted; the stack holds the paths that are prefixes of the
// present one, so that one pass suffices.
func eachClash(entries []Entry, f func(file string)) {
	var stack []string
	for _, e := range entries {
		for len(stack) > 0 && !strings.HasPrefix(e.Path, stack[len(stack)-1]) {
			stack = stack[:len(stack)-1]
		}
		if n := len(stack); n > 0 && e.Path[len(stack[n-1])] == '/' {
			f(stack[n-1])
		}
		stack = append(stack, e.Path)
	}
}

// CheckPath tells what is wrong with an entry's path: it must stay below the
// root on every system and be printable on one line.
func CheckPath(p string) error {
	bad := strings.IndexFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' })
	if !fs.ValidPath(p) || p == "." || len(p) > maxPath || bad >= 0 {
		return fmt.Errorf("path %.80q does not name a file below the root", p)
	}
	return nil
}

func digestOf(sum [32]byte) cache.Digest { return cache.FromSum(sum[:]) }

func sumOf(d cache.Digest) ([]byte, error) { return hex.DecodeString(d.Hex()) }
