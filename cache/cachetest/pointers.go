package cachetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fastship/fastship/cache"
)

func testPointers(t *testing.T, target Target, fresh freshFunc) {
	t.Run("put, get, move, delete", func(t *testing.T) {
		address, s := fresh(t)
		wantNoPointer(t, s.Pointers, "a")
		one := move(t, s.Pointers, "a", "1", "")
		wantPointer(t, s.Pointers, "a", "1", one)
		two := move(t, s.Pointers, "a", "2", one)
		wantPointer(t, target.Open(t, address).Pointers, "a", "2", two)
		for range 2 {
			if err := s.Pointers.DeletePointer(t.Context(), "a"); err != nil {
				t.Errorf("delete: %v", err)
			}
			wantNoPointer(t, s.Pointers, "a")
		}
		wantMoved(t, s.Pointers, "a", two)
		wantPointer(t, s.Pointers, "a", "3", move(t, s.Pointers, "a", "3", ""))
	})
	t.Run("a pointer that moved is not overwritten", func(t *testing.T) {
		_, s := fresh(t)
		one := move(t, s.Pointers, "a", "1", "")
		wantMoved(t, s.Pointers, "a", "")
		two := move(t, s.Pointers, "a", "2", one)
		wantMoved(t, s.Pointers, "a", one)
		wantPointer(t, s.Pointers, "a", "2", two)
	})
	t.Run("sizes", func(t *testing.T) {
		_, s := fresh(t)
		whole := string(content(1, cache.MaxPointer))
		wantPointer(t, s.Pointers, "whole", whole, move(t, s.Pointers, "whole", whole, ""))
		if _, err := s.Pointers.PutPointer(t.Context(), "more", []byte(whole+"x"), ""); err == nil {
			t.Error("a value over MaxPointer is kept")
		}
		wantNoPointer(t, s.Pointers, "more")
	})
	t.Run("names and listing", func(t *testing.T) { testPointerNames(t, fresh) })
	t.Run("one winner", func(t *testing.T) {
		_, s := fresh(t)
		old := ""
		for range 3 {
			old = wantOneWinner(t, s.Pointers, old)
		}
	})
	t.Run("16 writers lose no entry", func(t *testing.T) { testMerge(t, target, fresh) })
	t.Run("a cancelled context", func(t *testing.T) {
		_, s := fresh(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Pointers.PutPointer(ctx, "a", []byte("1"), ""); !errors.Is(err, context.Canceled) {
			t.Errorf("put: %v", err)
		}
		wantNoPointer(t, s.Pointers, "a")
	})
}

func testPointerNames(t *testing.T, fresh freshFunc) {
	_, s := fresh(t)
	names := []string{"a/b", "a/b/c", "a/bc", "x._-=+@%/1", strings.Repeat("n", 200)}
	for _, name := range names {
		wantPointer(t, s.Pointers, name, "of "+name, move(t, s.Pointers, name, "of "+name, ""))
	}
	for _, name := range []string{"", ".", "a/..", "/a", "a//b", "a b", "é", strings.Repeat("n", 513)} {
		if _, err := s.Pointers.PutPointer(t.Context(), name, nil, ""); err == nil {
			t.Errorf("pointer %q is kept", name)
		}
	}
	for prefix, want := range map[string][]string{"": names, "a/b": names[:3], "a/b/": names[1:2], "none": nil} {
		var got []string
		for p, err := range s.Pointers.ListPointers(t.Context(), prefix) {
			if err != nil || p.Value != nil || p.Version == "" || p.Modified.IsZero() {
				t.Errorf("list %q: %+v, %v", prefix, p, err)
			}
			got = append(got, p.Name)
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
			t.Errorf("list %q: %q, want %q", prefix, got, want)
		}
	}
}

// wantOneWinner moves one version by eight writers at once.
func wantOneWinner(t *testing.T, s cache.PointerStore, old string) string {
	t.Helper()
	var won atomic.Int32
	var version atomic.Value
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			v, err := s.PutPointer(t.Context(), "one", fmt.Append(nil, old, i), old)
			switch {
			case err == nil:
				won.Add(1)
				version.Store(v)
			case !errors.Is(err, cache.ErrMoved):
				t.Errorf("put: %v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d writers won", won.Load())
	}
	return version.Load().(string)
}

func testMerge(t *testing.T, target Target, fresh freshFunc) {
	address, first := fresh(t)
	var wg sync.WaitGroup
	for i := range 16 {
		s := target.Open(t, address) // a store of its own: locks hold between them
		wg.Go(func() {
			if err := merge(t.Context(), s.Pointers, i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	p, err := first.Pointers.GetPointer(t.Context(), "list")
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	if err := json.Unmarshal(p.Value, &list); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	for i := range 16 {
		if len(list) != 16 || list[i] != i {
			t.Fatalf("the pointer holds %v", list)
		}
	}
}

// merge appends i to the list in a pointer, again and again until it is in.
func merge(ctx context.Context, s cache.PointerStore, i int) error {
	for {
		p, err := s.GetPointer(ctx, "list")
		if err != nil && !errors.Is(err, cache.ErrNotFound) {
			return err
		}
		var list []int
		if p.Value != nil {
			if err := json.Unmarshal(p.Value, &list); err != nil {
				return err
			}
		}
		b, err := json.Marshal(append(list, i))
		if err != nil {
			return err
		}
		if _, err = s.PutPointer(ctx, "list", b, p.Version); !errors.Is(err, cache.ErrMoved) {
			return err
		}
	}
}

func testListActions(t *testing.T, fresh freshFunc) {
	_, s := fresh(t)
	var want []string
	for i := range 3 {
		k := roundKey(i)
		want = append(want, string(k))
		if err := s.Listing.PutAction(t.Context(), k, cache.Action{Outputs: json.RawMessage("1")}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for a, err := range s.Listing.ListActions(t.Context()) {
		if err != nil || a.Modified.IsZero() {
			t.Errorf("list: %+v, %v", a, err)
		}
		got = append(got, string(a.Key))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("list: %q, want %q", got, want)
	}
}

func move(t *testing.T, s cache.PointerStore, name, value, old string) string {
	t.Helper()
	version, err := s.PutPointer(t.Context(), name, []byte(value), old)
	if err != nil || version == "" || version == old {
		t.Fatalf("put pointer %.40s: version %q after %q, %v", name, version, old, err)
	}
	return version
}

func wantPointer(t *testing.T, s cache.PointerStore, name, value, version string) {
	t.Helper()
	p, err := s.GetPointer(t.Context(), name)
	if err != nil || p.Name != name || string(p.Value) != value || p.Version != version || p.Modified.IsZero() {
		t.Errorf("get pointer %.40s: %d bytes, version %q, %v; want %d bytes, version %q", name, len(p.Value), p.Version, err, len(value), version)
	}
}

func wantNoPointer(t *testing.T, s cache.PointerStore, name string) {
	t.Helper()
	if _, err := s.GetPointer(t.Context(), name); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("get an absent pointer: %v, want ErrNotFound", err)
	}
}

func wantMoved(t *testing.T, s cache.PointerStore, name, old string) {
	t.Helper()
	if _, err := s.PutPointer(t.Context(), name, []byte("late"), old); !errors.Is(err, cache.ErrMoved) {
		t.Errorf("put pointer %s over version %q: %v, want ErrMoved", name, old, err)
	}
}
