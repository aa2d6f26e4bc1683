// Package tiered looks things up on this machine first and then in a remote
// store, and sends what this run made to the remote one in the background.
//
//   - What is here costs no remote request.
//   - A remote blob is fetched whole into the local store, verified, before
//     it is read: every reader sees a local file.
//   - Actions put here are kept locally at once and sent later, blobs before
//     the action, so that no action points at nothing. A blob alone is never
//     sent: it travels with the action that refers to it.
//   - A remote store that is slow, away or read-only never fails a run: it is
//     left alone for the rest of the run, and that is said once.
//
// # Reading
//
// GetAction and Stat write nothing, so that plans may ask: what the remote
// store answered is remembered in memory. Flush, which runs that only look do
// not call, keeps it.
package tiered

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/turns"
)

// Remote is what Store needs of a remote store; every cache.Store has it.
type Remote interface {
	cache.BlobStore
	cache.ActionStore
}

// Config says what to join. The zero value of all but Local is ready.
type Config struct {
	Local *dir.Store
	// Own is the remote store of this run's scope, read and written; Base is
	// the trusted one that an untrusted run also reads. Either may be nil.
	Own, Base Remote
	// Warn is told of each kind of remote fault once; nil drops them. It may
	// be called from several goroutines.
	Warn func(error)
	// Timeout bounds a remote request, and the silence within a transfer. A
	// transfer of n bytes may take Timeout and what n bytes take at 256 KiB/s.
	// 0 means 10 seconds.
	Timeout time.Duration
	// Failures is how many requests may fail before the remote store is left
	// alone; a time-out is enough by itself. 0 means 3.
	Failures int
	// Workers is how many actions are sent at once. 0 means 4.
	Workers int
	Now     func() time.Time // nil means time.Now
}

// Store is a cache.LocalStore and a cache.ActionStore over a local store and
// remote ones.
type Store struct {
	local   *dir.Store
	remotes []Remote // Own, then Base; without the nil ones
	own     Remote   // nil: nothing is sent
	guard   *guard
	now     func() time.Time
	workers chan struct{}

	mu       sync.Mutex
	actions  map[cache.Key]answer[cache.Action]
	blobs    map[cache.Digest]answer[cache.BlobInfo]
	fetching turns.Turns[cache.Digest]
	sending  map[cache.Key]*upload
	idle     *sync.Cond // of mu: an upload has ended
}

// answer is what a remote store said.
type answer[T any] struct {
	value T
	from  Remote // nil: nobody has it
}

var (
	_ cache.LocalStore  = (*Store)(nil)
	_ cache.ActionStore = (*Store)(nil)
)

// New joins the stores. It asks none of them anything.
func New(c Config) *Store {
	s := &Store{
		local: c.Local, own: c.Own, now: c.Now,
		guard: &guard{warn: c.Warn, timeout: c.Timeout, allowed: c.Failures, said: map[string]bool{}},

		actions: map[cache.Key]answer[cache.Action]{}, blobs: map[cache.Digest]answer[cache.BlobInfo]{},
		sending: map[cache.Key]*upload{},
	}
	s.idle = sync.NewCond(&s.mu)
	for _, r := range []Remote{c.Own, c.Base} {
		if r != nil {
			s.remotes = append(s.remotes, r)
		}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.guard.timeout == 0 {
		s.guard.timeout = 10 * time.Second
	}
	if s.guard.allowed == 0 {
		s.guard.allowed = 3
	}
	if c.Workers == 0 {
		c.Workers = 4
	}
	s.workers = make(chan struct{}, c.Workers)
	return s
}

// Stat implements cache.BlobStore. It fetches nothing.
func (s *Store) Stat(ctx context.Context, d cache.Digest) (cache.BlobInfo, error) {
	info, err := s.local.Stat(ctx, d)
	if !errors.Is(err, cache.ErrNotFound) {
		return info, err
	}
	found, err := s.findBlob(ctx, d)
	if err != nil {
		return cache.BlobInfo{}, err
	}
	return found.value, nil
}

// findBlob asks the remote stores for a blob, once in a run.
func (s *Store) findBlob(ctx context.Context, d cache.Digest) (answer[cache.BlobInfo], error) {
	a, err := find(ctx, s, s.blobs, d, func(ctx context.Context, r Remote) (cache.BlobInfo, error) { return r.Stat(ctx, d) })
	if err == nil && a.from == nil {
		err = fmt.Errorf("blob %s: %w", d, cache.ErrNotFound)
	}
	return a, err
}

// find asks one remote store after the other and remembers the answer. A
// fault counts as absence; the only error is the context's.
func find[K comparable, V any](ctx context.Context, s *Store, known map[K]answer[V], k K, ask func(context.Context, Remote) (V, error)) (answer[V], error) {
	s.mu.Lock()
	a, ok := known[k]
	s.mu.Unlock()
	if ok {
		return a, nil
	}
	for _, r := range s.remotes {
		var value V
		err := s.guard.do(ctx, 0, func(ctx context.Context, _ func()) (err error) {
			value, err = ask(ctx, r)
			return err
		})
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
		if err == nil {
			a = answer[V]{value, r}
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known[k] = a
	return a, nil
}

// Open implements cache.BlobStore.
func (s *Store) Open(ctx context.Context, d cache.Digest, off, n int64) (io.ReadCloser, error) {
	r, err := s.local.Open(ctx, d, off, n)
	if !errors.Is(err, cache.ErrNotFound) {
		return r, err
	}
	if err := s.fetch(ctx, d); err != nil {
		return nil, err
	}
	return s.local.Open(ctx, d, off, n)
}

// Path implements cache.LocalStore. It fetches a blob that is not here.
func (s *Store) Path(d cache.Digest) (string, error) {
	path, err := s.local.Path(d)
	if !errors.Is(err, cache.ErrNotFound) {
		return path, err
	}
	// The contract hands no context in; the limits of guard hold all the same.
	if err := s.fetch(context.Background(), d); err != nil {
		return "", err
	}
	return s.local.Path(d)
}

// Expanded implements cache.LocalStore. Where a tree has to be filled, the
// blob of that digest, if there is one, is fetched first.
func (s *Store) Expanded(ctx context.Context, d cache.Digest, fill func(dir string) error) (string, func(), error) {
	return s.local.Expanded(ctx, d, func(dir string) error {
		if _, err := s.local.Stat(ctx, d); errors.Is(err, cache.ErrNotFound) {
			if err := s.fetch(ctx, d); err != nil && !errors.Is(err, cache.ErrNotFound) {
				return err
			}
		}
		return fill(dir)
	})
}

// Put implements cache.BlobStore. It keeps the blob locally; PutAction sends
// it.
func (s *Store) Put(ctx context.Context, d cache.Digest, size int64, r io.Reader) error {
	return s.local.Put(ctx, d, size, r)
}

// Create implements cache.LocalStore, as Put does.
func (s *Store) Create(ctx context.Context) (cache.BlobWriter, error) { return s.local.Create(ctx) }

// List implements cache.BlobStore. It yields the blobs that are on this
// machine.
func (s *Store) List(ctx context.Context) iter.Seq2[cache.BlobInfo, error] { return s.local.List(ctx) }

// Delete implements cache.BlobStore. It removes the blob from this machine and
// from the remote store of this run's scope, and this run does not find it in
// another one either.
func (s *Store) Delete(ctx context.Context, d cache.Digest) error {
	if err := s.local.Delete(ctx, d); err != nil {
		return err
	}
	s.mu.Lock()
	s.blobs[d] = answer[cache.BlobInfo]{}
	s.mu.Unlock()
	return s.remove(ctx, func(ctx context.Context) error { return s.own.Delete(ctx, d) })
}

// remove runs a removal in the own remote store. A fault there is told, and
// only the context's error is returned.
func (s *Store) remove(ctx context.Context, op func(context.Context) error) error {
	if s.own == nil {
		return nil
	}
	_ = s.guard.do(ctx, 0, func(ctx context.Context, _ func()) error { return op(ctx) })
	return ctx.Err()
}
