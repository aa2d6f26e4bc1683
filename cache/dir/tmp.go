package dir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// tmpName is a new name under tmp.
func (s *Store) tmpName() string { return filepath.Join(s.tmpDir(), rand.Text()) }

// createTmp starts a file under tmp, read-only once it is there.
func (s *Store) createTmp() (w io.WriteCloser, path string, err error) {
	s.beginWriting()
	path, err = s.inTmp(func(path string) (err error) {
		w, err = s.fs.Create(path, 0o444)
		return err
	})
	return w, path, err
}

// tmpTries is how often an entry of tmp is made anew when another process's
// sweep took it before it was held; each sweeps once, so losing twice is rare.
const tmpTries = 10

// inTmp makes and holds a new entry of tmp.
func (s *Store) inTmp(make func(path string) error) (path string, err error) {
	for range tmpTries {
		path = s.tmpName()
		err = inDir(s.fs, s.tmpDir(), func() error { return make(path) })
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errBusy) {
			break
		}
	}
	return path, err
}

// place renames what is whole to the name under which it is trusted.
func (s *Store) place(from, to string) error {
	return inDir(s.fs, filepath.Dir(to), func() error { return s.fs.Rename(from, to) })
}

// beginWriting marks the store as one that writes; the first time it clears
// tmp of what killed processes left there.
func (s *Store) beginWriting() {
	s.mu.Lock()
	first := !s.swept
	s.wrote, s.swept = true, true
	s.mu.Unlock()
	if first {
		s.sweep()
		s.moveTimes()
	}
}

// sweep removes everything in tmp that no live process holds. It is best
// effort: what it cannot remove does no harm but to the disk's space.
func (s *Store) sweep() {
	entries, err := readDir(s.tmpDir())
	if err != nil {
		return
	}
	for _, e := range entries {
		_ = s.removeUnheld(filepath.Join(s.tmpDir(), e.Name()))
	}
}

// removeUnheld removes a file or tree unless somebody holds it.
func (s *Store) removeUnheld(path string) error {
	f, err := hold(path, exclusive)
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	defer f.Close()
	return removeTree(s.fs, path)
}
