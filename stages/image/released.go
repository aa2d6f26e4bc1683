package image

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/stages/image/appjar"
)

// released knows the sha256 of released libraries by name, size and CRC-32 as
// the application's jar tells them: reading them all to learn that they are
// what they were takes most of the time of a one-line change. A release's
// bytes do not change under its name; snapshots and modules of the same build
// are read each time.
type released struct {
	file  string // empty keeps none
	known map[appjar.Entry]cache.Digest
}

const (
	releasedFile   = "libraries"
	releasedFormat = "fastship-libraries-1"
)

// openReleased reads what a project's state folder knows. It writes nothing;
// an absent or broken file knows nothing.
func openReleased(state string) *released {
	e := &released{known: map[appjar.Entry]cache.Digest{}}
	if state == "" {
		return e
	}
	e.file = filepath.Join(state, releasedFile)
	text, err := os.ReadFile(e.file)
	if err != nil {
		return e
	}
	head, lines, _ := strings.Cut(string(text), "\n")
	if head != releasedFormat {
		return e
	}
	for line := range strings.Lines(lines) {
		var hex, name string
		var entry appjar.Entry
		if n, _ := fmt.Sscanf(line, "%64s %d %d %q\n", &hex, &entry.Size, &entry.CRC, &name); n != 4 {
			continue
		}
		if d, err := cache.ParseDigest("sha256:" + hex); err == nil {
			entry.Name = name
			e.known[entry] = d
		}
	}
	return e
}

func (e *released) digest(entry appjar.Entry) cache.Digest { return e.known[entry] }

// named is the library that had a name and a size, bytes.
func (e *released) named(name string, size int64) (entry appjar.Entry, digest cache.Digest, ok bool) {
	for entry, digest := range e.known {
		if entry.Name == name && entry.Size == size {
			return entry, digest, true
		}
	}
	return appjar.Entry{}, "", false
}

// learn keeps what an application's libraries are, and forgets the others.
// Without it, they are read again.
func (e *released) learn(app *appjar.App) {
	if e.file == "" {
		return
	}
	text, changed, n := []byte(releasedFormat+"\n"), false, 0
	for _, l := range app.Libraries {
		if l.Entry == (appjar.Entry{}) {
			continue
		}
		n++
		changed = changed || e.known[l.Entry] != l.Digest
		text = fmt.Appendf(text, "%s %d %d %q\n", l.Digest.Hex(), l.Entry.Size, l.Entry.CRC, l.Entry.Name)
	}
	if !changed && n == len(e.known) {
		return
	}
	_ = atomicfile.Write(e.file, text, 0o600) // without it they are read again
}
