package jre

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/fastship/fastship/cache"
)

// newCache is a cache in a folder of the test: what jre uses of one.
func newCache(t testing.TB) *cache.Cache {
	t.Helper()
	return &cache.Cache{Blobs: &blobs{dir: t.TempDir()}, Actions: &actions{all: map[cache.Key][]byte{}}, Warn: func(err error) { t.Errorf("cache: %v", err) }}
}

type blobs struct {
	cache.LocalStore
	dir string
}

func (b *blobs) Path(d cache.Digest) (string, error) { return filepath.Join(b.dir, d.Hex()), nil }

func (b *blobs) Stat(_ context.Context, d cache.Digest) (cache.BlobInfo, error) {
	info, err := os.Stat(filepath.Join(b.dir, d.Hex()))
	if err != nil {
		return cache.BlobInfo{}, cache.ErrNotFound
	}
	return cache.BlobInfo{Digest: d, Size: info.Size()}, nil
}

func (b *blobs) Create(context.Context) (cache.BlobWriter, error) {
	f, err := os.CreateTemp(b.dir, "new-")
	return &blob{File: f, dir: b.dir, sum: sha256.New()}, err
}

type blob struct {
	*os.File
	dir  string
	sum  hash.Hash
	size int64
}

func (b *blob) Write(p []byte) (int, error) {
	b.sum.Write(p)
	b.size += int64(len(p))
	return b.File.Write(p)
}

func (b *blob) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{b}, r) }

func (b *blob) Commit() (cache.Descriptor, error) {
	d := cache.FromSum(b.sum.Sum(nil))
	b.Close()
	return cache.Descriptor{Digest: d, Size: b.size}, os.Rename(b.Name(), filepath.Join(b.dir, d.Hex()))
}

func (b *blob) Abort() { b.Close() }

type actions struct {
	mu  sync.Mutex
	all map[cache.Key][]byte
}

func (a *actions) GetAction(_ context.Context, k cache.Key) (cache.Action, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	raw, ok := a.all[k]
	if !ok {
		return cache.Action{}, cache.ErrNotFound
	}
	var action cache.Action
	return action, json.Unmarshal(raw, &action)
}

func (a *actions) PutAction(_ context.Context, k cache.Key, action cache.Action) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	raw, err := json.Marshal(action)
	a.all[k] = raw
	return err
}

func (a *actions) DeleteAction(_ context.Context, k cache.Key) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, k)
	return nil
}
