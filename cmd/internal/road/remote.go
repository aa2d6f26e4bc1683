package road

import (
	"context"
	"io"
	"iter"
	"sync"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/s3"
	"github.com/fastship/fastship/internal/ci"
	"github.com/fastship/fastship/internal/fault"
)

// remotes are the stores of a run beyond this machine.
type remotes struct {
	own  cache.Store               // of the run's scope; nil with cache.store dir
	base cache.Store               // the trusted one, which an untrusted run reads; else nil
	open func() (*s3.Store, error) // own's; nil with cache.store dir
}

// check tells what is wrong with the remote store, if there is one.
func (r remotes) check(ctx context.Context) error {
	if r.open == nil {
		return nil
	}
	store, err := r.open()
	if err != nil {
		return err
	}
	return store.Check(ctx)
}

// openRemotes reads cache.store. It sends nothing; the stores obtain
// credentials when they are first asked, which most runs never do. Errors are
// fault.BadInput.
func openRemotes(opt Options) (remotes, error) {
	address := opt.Spec.Cache.Store
	if address == "" || address == "dir" {
		return remotes{}, nil
	}
	config, err := s3.ParseURL(address)
	if err != nil {
		return remotes{}, fault.As(fault.BadInput, err)
	}
	config.Scope = opt.scope()
	own := sync.OnceValues(func() (*s3.Store, error) {
		return s3.Open(context.Background(), config) // one request's end is not the store's
	})
	r := remotes{open: own, own: &lazyStore{func() (cache.Store, error) { return own() }}}
	if config.Scope != ci.Trusted {
		r.base = &lazyStore{sync.OnceValues(func() (cache.Store, error) {
			store, err := own()
			if err != nil {
				return nil, err
			}
			return store.In(ci.Trusted)
		})}
	}
	return r, nil
}

// lazyStore is a store that is opened by its first use.
type lazyStore struct{ open func() (cache.Store, error) }

var _ cache.Store = (*lazyStore)(nil)

// Stat implements cache.BlobStore.
func (l *lazyStore) Stat(ctx context.Context, d cache.Digest) (cache.BlobInfo, error) {
	s, err := l.open()
	if err != nil {
		return cache.BlobInfo{}, remoteFault(err)
	}
	info, err := s.Stat(ctx, d)
	return info, remoteFault(err)
}

// Open implements cache.BlobStore.
func (l *lazyStore) Open(ctx context.Context, d cache.Digest, off, n int64) (io.ReadCloser, error) {
	s, err := l.open()
	if err != nil {
		return nil, remoteFault(err)
	}
	r, err := s.Open(ctx, d, off, n)
	if err != nil {
		return nil, remoteFault(err)
	}
	return remoteBody{r}, nil
}

// Put implements cache.BlobStore.
func (l *lazyStore) Put(ctx context.Context, d cache.Digest, size int64, r io.Reader) error {
	s, err := l.open()
	if err != nil {
		return remoteFault(err)
	}
	return remoteFault(s.Put(ctx, d, size, r))
}

// List implements cache.BlobStore.
func (l *lazyStore) List(ctx context.Context) iter.Seq2[cache.BlobInfo, error] {
	return listing(l, func(s cache.Store) iter.Seq2[cache.BlobInfo, error] { return s.List(ctx) })
}

// Delete implements cache.BlobStore.
func (l *lazyStore) Delete(ctx context.Context, d cache.Digest) error {
	s, err := l.open()
	if err != nil {
		return remoteFault(err)
	}
	return remoteFault(s.Delete(ctx, d))
}

// GetAction implements cache.ActionStore.
func (l *lazyStore) GetAction(ctx context.Context, k cache.Key) (cache.Action, error) {
	s, err := l.open()
	if err != nil {
		return cache.Action{}, remoteFault(err)
	}
	a, err := s.GetAction(ctx, k)
	return a, remoteFault(err)
}

// PutAction implements cache.ActionStore.
func (l *lazyStore) PutAction(ctx context.Context, k cache.Key, a cache.Action) error {
	s, err := l.open()
	if err != nil {
		return remoteFault(err)
	}
	return remoteFault(s.PutAction(ctx, k, a))
}

// DeleteAction implements cache.ActionStore.
func (l *lazyStore) DeleteAction(ctx context.Context, k cache.Key) error {
	s, err := l.open()
	if err != nil {
		return remoteFault(err)
	}
	return remoteFault(s.DeleteAction(ctx, k))
}

// ListActions implements cache.Store.
func (l *lazyStore) ListActions(ctx context.Context) iter.Seq2[cache.ActionInfo, error] {
	return listing(l, func(s cache.Store) iter.Seq2[cache.ActionInfo, error] { return s.ListActions(ctx) })
}

// GetPointer implements cache.PointerStore.
func (l *lazyStore) GetPointer(ctx context.Context, name string) (cache.Pointer, error) {
	s, err := l.open()
	if err != nil {
		return cache.Pointer{}, remoteFault(err)
	}
	p, err := s.GetPointer(ctx, name)
	return p, remoteFault(err)
}

// PutPointer implements cache.PointerStore.
func (l *lazyStore) PutPointer(ctx context.Context, name string, value []byte, old string) (string, error) {
	s, err := l.open()
	if err != nil {
		return "", remoteFault(err)
	}
	version, err := s.PutPointer(ctx, name, value, old)
	return version, remoteFault(err)
}

// ListPointers implements cache.PointerStore.
func (l *lazyStore) ListPointers(ctx context.Context, prefix string) iter.Seq2[cache.Pointer, error] {
	return listing(l, func(s cache.Store) iter.Seq2[cache.Pointer, error] { return s.ListPointers(ctx, prefix) })
}

// DeletePointer implements cache.PointerStore.
func (l *lazyStore) DeletePointer(ctx context.Context, name string) error {
	s, err := l.open()
	if err != nil {
		return remoteFault(err)
	}
	return remoteFault(s.DeletePointer(ctx, name))
}

// listing opens the store when the listing begins.
func listing[T any](l *lazyStore, list func(cache.Store) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		s, err := l.open()
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		list(s)(yield)
	}
}
