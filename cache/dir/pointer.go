package dir

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fastship/fastship/cache"
)

// lockPoll is how long a writer waits before it asks for the lock again.
const lockPoll = 2 * time.Millisecond

// pointerFile is a pointer's content. Its version is drawn anew for each
// write, so a pointer that moved away and back is seen to have moved.
type pointerFile struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Value   []byte `json:"value"`
}

const pointerFormat = "fastship-pointer-1 "

func (s *Store) pointerDir() string { return filepath.Join(s.root, "pointers") }

// pointerPath names the file by the name's digest: "a" and "a/b" may both be
// pointers, and a name may be longer than a file's.
func (s *Store) pointerPath(name string) (string, error) {
	if err := cache.CheckPointerName(name); err != nil {
		return "", err
	}
	return filepath.Join(s.pointerDir(), cache.Sum([]byte(name)).Hex()), nil
}

// GetPointer implements cache.PointerStore. A damaged pointer is an absent
// one, so that the next PutPointer replaces it.
func (s *Store) GetPointer(ctx context.Context, name string) (cache.Pointer, error) {
	if err := ctx.Err(); err != nil {
		return cache.Pointer{}, err
	}
	path, err := s.pointerPath(name)
	if err != nil {
		return cache.Pointer{}, err
	}
	p, err := readPointer(path)
	if err == nil && p.Name != name {
		err = fmt.Errorf("its file holds pointer %q: %w", p.Name, cache.ErrNotFound)
	}
	if err != nil {
		return cache.Pointer{}, fmt.Errorf("read pointer %s: %w", name, err)
	}
	return p, nil
}

func readPointer(path string) (cache.Pointer, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cache.Pointer{}, cache.ErrNotFound
	}
	if err != nil {
		return cache.Pointer{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return cache.Pointer{}, err
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		return cache.Pointer{}, err
	}
	p, err := decodePointer(b.Bytes())
	if err != nil {
		return cache.Pointer{}, fmt.Errorf("%w: %w", err, cache.ErrNotFound)
	}
	return cache.Pointer{Name: p.Name, Value: p.Value, Version: p.Version, Modified: info.ModTime()}, nil
}

// PutPointer implements cache.PointerStore.
func (s *Store) PutPointer(ctx context.Context, name string, value []byte, old string) (string, error) {
	path, err := s.pointerPath(name)
	if err != nil {
		return "", err
	}
	if len(value) > cache.MaxPointer {
		return "", fmt.Errorf("move pointer %s: its value has %d bytes, more than %d", name, len(value), cache.MaxPointer)
	}
	next := pointerFile{Name: name, Version: rand.Text(), Value: value}
	b, err := encodePointer(next)
	if err != nil {
		return "", fmt.Errorf("move pointer %s: %w", name, err)
	}
	turn, err := s.holdPointers(ctx)
	if err != nil {
		return "", fmt.Errorf("move pointer %s: %w", name, err)
	}
	defer turn.Close()
	now, err := readPointer(path)
	if err != nil && !errors.Is(err, cache.ErrNotFound) {
		return "", fmt.Errorf("move pointer %s: %w", name, err)
	}
	if now.Version != old {
		return "", fmt.Errorf("move pointer %s: %w", name, cache.ErrMoved)
	}
	if err := s.writeFile(path, b); err != nil {
		return "", fmt.Errorf("move pointer %s: %w", name, err)
	}
	return next.Version, nil
}

// holdPointers waits for the turn to change pointers: the lock on their
// directory, which ends with its process.
func (s *Store) holdPointers(ctx context.Context) (*os.File, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var turn *os.File
		err := inDir(s.fs, s.pointerDir(), func() (err error) {
			turn, err = hold(s.pointerDir(), exclusive)
			return err
		})
		if !errors.Is(err, errBusy) {
			return turn, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(lockPoll):
		}
	}
}

// ListPointers implements cache.PointerStore. It passes over damaged ones.
func (s *Store) ListPointers(ctx context.Context, prefix string) iter.Seq2[cache.Pointer, error] {
	return func(yield func(cache.Pointer, error) bool) {
		entries, err := readDir(s.pointerDir())
		if err != nil {
			yield(cache.Pointer{}, fmt.Errorf("list pointers: %w", err))
			return
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				yield(cache.Pointer{}, err)
				return
			}
			p, err := readPointer(filepath.Join(s.pointerDir(), e.Name()))
			switch {
			case errors.Is(err, cache.ErrNotFound):
				continue // gone since, or damaged
			case err != nil:
				err = fmt.Errorf("list pointers: %w", err)
			case !strings.HasPrefix(p.Name, prefix):
				continue
			}
			p.Value = nil
			if !yield(p, err) {
				return
			}
		}
	}
}

// DeletePointer implements cache.PointerStore.
func (s *Store) DeletePointer(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := s.pointerPath(name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	// Not between another writer's comparison and its rename.
	turn, err := s.holdPointers(ctx)
	if err != nil {
		return fmt.Errorf("delete pointer %s: %w", name, err)
	}
	defer turn.Close()
	if err := ignoreAbsent(s.fs.Remove(path)); err != nil {
		return fmt.Errorf("delete pointer %s: %w", name, err)
	}
	return nil
}

// A pointer's file is framed as an action's: one line with the format's name
// and the sum of the rest, then JSON.
func encodePointer(p pointerFile) ([]byte, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return append([]byte(pointerFormat+string(cache.Sum(body))+"\n"), body...), nil
}

func decodePointer(b []byte) (pointerFile, error) {
	head, body, _ := bytes.Cut(b, []byte("\n"))
	if string(head) != pointerFormat+string(cache.Sum(body)) {
		return pointerFile{}, errors.New("its sum does not match")
	}
	var p pointerFile
	if err := json.Unmarshal(body, &p); err != nil {
		return pointerFile{}, err
	}
	if p.Version == "" {
		return pointerFile{}, errors.New("it has no version")
	}
	return p, nil
}
