package cache_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
)

// out is what the work of these tests gives.
type out struct {
	Jar   string `json:"jar"`
	Tests int    `json:"tests"`
}

// memory is a real cache in a directory, and what it warned of.
func memory(t *testing.T) (*cache.Cache, *dir.Store, *[]error) {
	t.Helper()
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	warnings := new([]error)
	return &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { *warnings = append(*warnings, err) }}, store, warnings
}

// build is work that keeps one blob and counts itself.
func build(c *cache.Cache, times *int) func(context.Context) (out, []cache.Descriptor, error) {
	return func(ctx context.Context) (out, []cache.Descriptor, error) {
		*times++
		b := []byte("the jar")
		d := cache.Descriptor{Name: "a.jar", Digest: cache.Sum(b), Size: int64(len(b))}
		return out{"a.jar", 3}, []cache.Descriptor{d}, c.Blobs.Put(ctx, d.Digest, d.Size, bytes.NewReader(b))
	}
}

var key = cache.NewKey("build", "1").Add("tree", "abc").Key()

func wantDo(t *testing.T, c *cache.Cache, times *int, wantHit bool) {
	t.Helper()
	before := *times
	got, blobs, hit, err := cache.Do(t.Context(), c, key, build(c, times))
	if err != nil || got != (out{"a.jar", 3}) || len(blobs) != 1 || blobs[0].Name != "a.jar" {
		t.Errorf("do: %+v, %+v, %v", got, blobs, err)
	}
	if hit != wantHit || (*times == before) != wantHit {
		t.Errorf("hit %v, worked %v; want hit %v", hit, *times > before, wantHit)
	}
}

func wantWarnings(t *testing.T, warnings *[]error, is ...error) {
	t.Helper()
	if len(*warnings) != len(is) {
		t.Fatalf("warnings %v, want %d", *warnings, len(is))
	}
	for i, w := range *warnings {
		if !errors.Is(w, is[i]) {
			t.Errorf("warning %v, want %v", w, is[i])
		}
	}
	*warnings = nil
}

func TestDoWorksOnce(t *testing.T) {
	c, _, warnings := memory(t)
	var times int
	if _, _, ok := cache.Lookup[out](t.Context(), c, key); ok {
		t.Error("an empty cache has it")
	}
	wantDo(t, c, &times, false)
	wantDo(t, c, &times, true)
	if got, blobs, ok := cache.Lookup[out](t.Context(), c, key); !ok || got.Tests != 3 || len(blobs) != 1 {
		t.Errorf("look up: %+v, %+v, %v", got, blobs, ok)
	}
	wantWarnings(t, warnings)
}

func TestDoWithoutTheBlobIsAMiss(t *testing.T) {
	c, store, warnings := memory(t)
	var times int
	wantDo(t, c, &times, false)
	if err := store.Delete(t.Context(), cache.Sum([]byte("the jar"))); err != nil {
		t.Fatal(err)
	}
	wantDo(t, c, &times, false)
	wantDo(t, c, &times, true)
	wantWarnings(t, warnings) // an evicted blob is no fault
}

func TestDoWithABlobOfTheWrongSizeWarns(t *testing.T) {
	c, store, warnings := memory(t)
	var times int
	b := []byte("the jar")
	wrong := cache.Action{Outputs: []byte(`{"jar":"b.jar"}`), Blobs: []cache.Descriptor{{Digest: cache.Sum(b), Size: 99}}}
	if err := errors.Join(store.Put(t.Context(), cache.Sum(b), int64(len(b)), bytes.NewReader(b)), store.PutAction(t.Context(), key, wrong)); err != nil {
		t.Fatal(err)
	}
	wantDo(t, c, &times, false)
	wantWarnings(t, warnings, cache.ErrCorrupt)
	wantDo(t, c, &times, true)
}

func TestDoWithOutputsOfAnotherTypeWarns(t *testing.T) {
	c, store, warnings := memory(t)
	var times int
	if err := store.PutAction(t.Context(), key, cache.Action{Outputs: []byte(`{"jar":"b.jar","tests":"many"}`)}); err != nil {
		t.Fatal(err)
	}
	if got, _, ok := cache.Lookup[out](t.Context(), c, key); ok || got != (out{}) {
		t.Errorf("look up: %+v, %v; want nothing, not a part", got, ok)
	}
	if len(*warnings) != 1 {
		t.Errorf("warnings %v", *warnings)
	}
	wantDo(t, c, &times, false)
	wantDo(t, c, &times, true)
}

func TestDoReturnsTheWorksError(t *testing.T) {
	c, _, warnings := memory(t)
	broken := errors.New("it does not compile")
	_, _, hit, err := cache.Do(t.Context(), c, key, func(context.Context) (out, []cache.Descriptor, error) { return out{Tests: 1}, nil, broken })
	if err != broken || hit {
		t.Errorf("hit %v, %v", hit, err)
	}
	if _, _, ok := cache.Lookup[out](t.Context(), c, key); ok {
		t.Error("failed work is kept")
	}
	wantWarnings(t, warnings)
}

// full is an action store on a full disk; broken, one that cannot be read.
type full struct{ cache.ActionStore }

func (full) PutAction(context.Context, cache.Key, cache.Action) error { return syscall.ENOSPC }

type broken struct{ cache.ActionStore }

func (broken) GetAction(context.Context, cache.Key) (cache.Action, error) {
	return cache.Action{}, syscall.EIO
}

type brokenBlobs struct{ cache.LocalStore }

func (brokenBlobs) Stat(context.Context, cache.Digest) (cache.BlobInfo, error) {
	return cache.BlobInfo{}, syscall.EIO
}

func TestAFaultOfTheCacheNeverFailsTheWork(t *testing.T) {
	t.Run("it cannot be written", func(t *testing.T) {
		c, store, warnings := memory(t)
		c.Actions = full{store}
		var times int
		wantDo(t, c, &times, false)
		wantWarnings(t, warnings, syscall.ENOSPC)
		wantDo(t, c, &times, false)
	})
	t.Run("its actions cannot be read", func(t *testing.T) {
		c, store, warnings := memory(t)
		c.Actions = broken{store}
		var times int
		wantDo(t, c, &times, false)
		wantWarnings(t, warnings, syscall.EIO)
	})
	t.Run("its blobs cannot be read", func(t *testing.T) {
		c, store, warnings := memory(t)
		var times int
		wantDo(t, c, &times, false)
		c.Blobs = brokenBlobs{store}
		wantDo(t, c, &times, false)
		wantWarnings(t, warnings, syscall.EIO)
	})
	t.Run("nobody listens", func(t *testing.T) {
		c, store, _ := memory(t)
		c.Warn, c.Actions = nil, full{store}
		var times int
		wantDo(t, c, &times, false)
	})
	t.Run("outputs that are no JSON", func(t *testing.T) {
		c, _, warnings := memory(t)
		got, _, _, err := cache.Do(t.Context(), c, key, func(context.Context) (func(), []cache.Descriptor, error) { return func() {}, nil, nil })
		if err != nil || got == nil || len(*warnings) != 1 {
			t.Errorf("%v, warnings %v", err, *warnings)
		}
	})
}

func TestKey(t *testing.T) {
	base := cache.NewKey("jlink", "1")
	keys := []cache.Key{
		base.Key(),
		cache.NewKey("jlink", "2").Key(),
		cache.NewKey("layer", "1").Key(),
		base.Add("a", "bc").Key(),
		base.Add("ab", "c").Key(),
		base.Add("a", "b").Add("c", "").Key(),
		base.Add("c", "").Add("a", "b").Key(),
		base.Add("a", []string{"b", "c"}).Key(),
		base.Add("a", []string{"bc"}).Key(),
		base.Add("a", 1).Key(),
	}
	for i, k := range keys {
		if len(k) != 64 {
			t.Errorf("key %q", k)
		}
		if j := slices.Index(keys, k); j != i {
			t.Errorf("keys %d and %d are the same", j, i)
		}
	}
	if base.Add("a", "1").Key() != base.Add("a", json.Number("1")).Key() {
		t.Error("a number and its text differ")
	}
	// Two keys that grow from one do not share its memory.
	one, two := base.Add("x", "1"), base.Add("x", "2")
	if reflect.DeepEqual(one, two) || one.Key() == two.Key() {
		t.Error("a second Add changed the first's parts")
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add(string(cache.Sum(nil)))
	f.Add("sha256:" + strings.Repeat("A", 64))
	f.Add("sha256:../../etc/passwd")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := cache.ParseDigest(s)
		if err != nil {
			if d != "" {
				t.Errorf("%q gives %q and an error", s, d)
			}
			return
		}
		if len(d.Hex()) != 64 || strings.Trim(d.Hex(), "0123456789abcdef") != "" || string(d) != s || "sha256:"+d.Hex() != s {
			t.Errorf("%q passes as a digest", s)
		}
	})
}
