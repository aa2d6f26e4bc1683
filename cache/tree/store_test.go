package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fastship/fastship/cache"
)

// memory is a cache.Store in memory. fault, when set, is asked before each
// call and may fail it; bend may change the bytes that are read.
type memory struct {
	mu       sync.Mutex
	blobs    map[cache.Digest][]byte
	at       map[cache.Digest]time.Time
	actions  map[cache.Key]cache.Action
	actionAt map[cache.Key]time.Time
	pointers map[string]cache.Pointer
	moves    int
	writes   int
	now      func() time.Time
	fault    func(op string) error
	bend     func(d cache.Digest, b []byte) []byte
}

func newMemory() *memory {
	return &memory{blobs: map[cache.Digest][]byte{}, at: map[cache.Digest]time.Time{}, actions: map[cache.Key]cache.Action{}, actionAt: map[cache.Key]time.Time{}, pointers: map[string]cache.Pointer{}, now: time.Now}
}

// enter locks the store for one call.
func (m *memory) enter(op string) error {
	if m.fault != nil {
		if err := m.fault(op); err != nil {
			return err
		}
	}
	m.mu.Lock()
	if strings.HasPrefix(op, "put") {
		m.writes++
	}
	return nil
}

func (m *memory) Open(ctx context.Context, d cache.Digest, off, n int64) (io.ReadCloser, error) {
	if err := m.enter("open"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	b, ok := m.blobs[d]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d, cache.ErrNotFound)
	}
	if m.bend != nil {
		b = m.bend(d, b)
	}
	if n < 0 {
		if cache.Sum(b) != d {
			return io.NopCloser(io.MultiReader(bytes.NewReader(b), badReader{})), nil
		}
		n = int64(len(b))
	}
	off = min(off, int64(len(b)))
	return io.NopCloser(bytes.NewReader(b[off:min(off+n, int64(len(b)))])), nil
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, cache.ErrCorrupt }

func (m *memory) Put(ctx context.Context, d cache.Digest, size int64, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	time.Sleep(time.Millisecond) // longer than the packers' end
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.enter("put blob"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if cache.Sum(b) != d || int64(len(b)) != size {
		return cache.ErrCorrupt
	}
	m.at[d] = m.now()
	if _, ok := m.blobs[d]; !ok {
		m.blobs[d] = b
	}
	return nil
}

func (m *memory) Stat(ctx context.Context, d cache.Digest) (cache.BlobInfo, error) {
	if err := m.enter("stat"); err != nil {
		return cache.BlobInfo{}, err
	}
	defer m.mu.Unlock()
	b, ok := m.blobs[d]
	if !ok {
		return cache.BlobInfo{}, cache.ErrNotFound
	}
	return cache.BlobInfo{Digest: d, Size: int64(len(b)), LastUsed: m.at[d]}, nil
}

func (m *memory) List(ctx context.Context) iter.Seq2[cache.BlobInfo, error] {
	return func(yield func(cache.BlobInfo, error) bool) {
		m.mu.Lock()
		blobs := maps.Clone(m.blobs)
		at := maps.Clone(m.at)
		m.mu.Unlock()
		for d, b := range blobs {
			if !yield(cache.BlobInfo{Digest: d, Size: int64(len(b)), LastUsed: at[d]}, nil) {
				return
			}
		}
	}
}

func (m *memory) Delete(ctx context.Context, d cache.Digest) error {
	if err := m.enter("delete"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	delete(m.blobs, d)
	return nil
}

func (m *memory) GetAction(ctx context.Context, k cache.Key) (cache.Action, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.actions[k]
	if !ok {
		return a, cache.ErrNotFound
	}
	return a, nil
}

func (m *memory) PutAction(ctx context.Context, k cache.Key, a cache.Action) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.actions[k], m.actionAt[k] = a, m.now()
	return nil
}

func (m *memory) DeleteAction(ctx context.Context, k cache.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.actions, k)
	return nil
}

func (m *memory) ListActions(ctx context.Context) iter.Seq2[cache.ActionInfo, error] {
	return func(yield func(cache.ActionInfo, error) bool) {
		m.mu.Lock()
		at := maps.Clone(m.actionAt)
		for k := range at {
			if _, ok := m.actions[k]; !ok {
				delete(at, k)
			}
		}
		m.mu.Unlock()
		for k, t := range at {
			if !yield(cache.ActionInfo{Key: k, Modified: t}, nil) {
				return
			}
		}
	}
}

func (m *memory) GetPointer(ctx context.Context, name string) (cache.Pointer, error) {
	if err := m.enter("get pointer"); err != nil {
		return cache.Pointer{}, err
	}
	defer m.mu.Unlock()
	p, ok := m.pointers[name]
	if !ok {
		return p, cache.ErrNotFound
	}
	return p, nil
}

func (m *memory) PutPointer(ctx context.Context, name string, value []byte, old string) (string, error) {
	if err := m.enter("put pointer"); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	if m.pointers[name].Version != old {
		return "", cache.ErrMoved
	}
	m.moves++
	v := strconv.Itoa(m.moves)
	m.pointers[name] = cache.Pointer{Name: name, Value: bytes.Clone(value), Version: v, Modified: m.now()}
	return v, nil
}

func (m *memory) ListPointers(ctx context.Context, prefix string) iter.Seq2[cache.Pointer, error] {
	return func(yield func(cache.Pointer, error) bool) {
		m.mu.Lock()
		ps := maps.Clone(m.pointers)
		m.mu.Unlock()
		for name, p := range ps {
			p.Value = nil
			if strings.HasPrefix(name, prefix) && !yield(p, nil) {
				return
			}
		}
	}
}

func (m *memory) DeletePointer(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pointers, name)
	return nil
}

var (
	_        cache.Store = (*memory)(nil)
	errFault             = errors.New("the store is out of reach")
)
