package lease

import (
	"context"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cache/tree"
)

// remote is a directory with a pointer in memory.
type remote struct {
	*dir.Store
	pointer cache.Pointer
}

func (r *remote) GetPointer(context.Context, string) (cache.Pointer, error) {
	if r.pointer.Version == "" {
		return cache.Pointer{}, cache.ErrNotFound
	}
	return r.pointer, nil
}

func (r *remote) PutPointer(_ context.Context, name string, value []byte, old string) (string, error) {
	if old != r.pointer.Version {
		return "", cache.ErrMoved
	}
	r.pointer = cache.Pointer{Name: name, Value: value, Version: old + "+", Modified: time.Now()}
	return r.pointer.Version, nil
}

func (r *remote) ListPointers(context.Context, string) iter.Seq2[cache.Pointer, error] {
	return func(yield func(cache.Pointer, error) bool) { yield(r.pointer, nil) }
}

func (r *remote) DeletePointer(context.Context, string) error {
	r.pointer = cache.Pointer{}
	return nil
}

func (r *remote) ListActions(context.Context) iter.Seq2[cache.ActionInfo, error] {
	return func(func(cache.ActionInfo, error) bool) {}
}

// TestAHostRestoresAndSaves goes the whole way of a build: find the tree, take
// a repository, restore it, add a file, save, give it back.
func TestAHostRestoresAndSaves(t *testing.T) {
	files, err := dir.Open(filepath.Join(t.TempDir(), "remote"), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	trees := tree.New(tree.Config{Own: &remote{Store: files}, Warn: func(err error) { t.Errorf("warned: %v", err) }})
	c := repository(20)
	var add []tree.File
	for _, e := range c.entries() {
		b := c[e.Path]
		add = append(add, tree.File{Path: e.Path, Size: e.Size, Mode: e.Mode, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(b)), nil }})
	}
	if _, err := trees.Save(t.Context(), tree.Change{Pointer: "main", Add: add}); err != nil {
		t.Fatal(err)
	}
	p := pool(t, t.TempDir(), Options{})
	for round := range 3 {
		want, _, err := trees.Find(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		l, err := p.Take(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.Apply(t.Context(), want, func(ctx context.Context, entries []tree.Entry, sink tree.Sink) ([]tree.Entry, error) {
			return trees.Fetch(ctx, want, entries, sink)
		})
		if err != nil || round == 0 && a.Fetched.Files != 40 || round > 0 && (a.Kept.Files != 40+round || a.Fetched.Files != 0) {
			t.Errorf("round %d: %+v, %v", round, a, err)
		}
		wantFiles(t, l.Dir(), c)
		name := strings.Repeat("n", round+1) + ".jar"
		c[name] = name
		if _, err := write(l.path(name), strings.NewReader(name), int64(len(name)), 0o644, cache.Sum([]byte(name)), true); err != nil {
			t.Fatal(err)
		}
		changes, err := l.Changes(t.Context())
		if err != nil || len(changes.Added) != 1 {
			t.Fatalf("changes: %+v, %v", changes, err)
		}
		if _, err := trees.Save(t.Context(), tree.Change{Pointer: "main", From: want, Add: changes.Added}); err != nil {
			t.Fatal(err)
		}
		closeLease(t, l, changes.Added[0].Path)
	}
}
