package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

func file(path string, content []byte) File {
	return File{Path: path, Size: int64(len(content)), Mode: 0o644, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
}

// noise is binary content that does not compress.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 1})
	r.Read(b)
	if n > 0 {
		b[0] = 0
	}
	return b
}

// sample is a small repository: poms, small jars, large jars, an empty file.
func sample(n int) map[string][]byte {
	m := map[string][]byte{"org/empty": nil}
	for i := range n {
		m[fmt.Sprintf("org/a%d/1/a.pom", i)] = []byte(strings.Repeat(fmt.Sprintf("<project>%d</project>\n", i), 40))
		m[fmt.Sprintf("org/a%d/1/a.jar", i)] = noise(uint64(i), 1000+i*700)
	}
	m["org/big/1/big.jar"] = noise(99, 3<<20)
	m["org/mid/1/mid.jar"] = noise(98, 600<<10)
	return m
}

func files(m map[string][]byte) (out []File) {
	for _, p := range slices.Sorted(maps.Keys(m)) {
		out = append(out, file(p, m[p]))
	}
	return out
}

func paths(t *Tree) (out []string) {
	for e := range t.All() {
		out = append(out, e.Path)
	}
	return out
}

func fetchAll(t *testing.T, c *Cache, tr *Tree) (map[string][]byte, []Entry) {
	t.Helper()
	var mu sync.Mutex
	got := map[string][]byte{}
	var want []Entry
	for e := range tr.All() {
		want = append(want, e)
	}
	missing, err := c.Fetch(t.Context(), tr, want, func(_ context.Context, e Entry, r io.Reader) error {
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		got[e.Path] = b
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, missing
}

func wantFiles(t *testing.T, c *Cache, tr *Tree, want map[string][]byte) {
	t.Helper()
	got, missing := fetchAll(t, c, tr)
	if len(missing) > 0 || len(got) != len(want) {
		t.Errorf("%d files, %d missing; want %d", len(got), len(missing), len(want))
	}
	for p, b := range want {
		if g, ok := got[p]; !ok || !bytes.Equal(g, b) {
			t.Errorf("%s: %d bytes, there %v; want %d", p, len(g), ok, len(b))
		}
	}
}

func keep(t *testing.T, c *Cache, ch Change) Saved {
	t.Helper()
	s, err := c.Save(t.Context(), ch)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func find(t *testing.T, c *Cache, names ...string) *Tree {
	t.Helper()
	tr, _, err := c.Find(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestSaveAndFetch(t *testing.T) {
	m := newMemory()
	c := New(Config{Own: m})
	if _, _, err := c.Find(t.Context(), "main"); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("find in an empty store: %v", err)
	}
	want := sample(60)
	first := keep(t, c, Change{Pointer: "main", Add: files(want)})
	tr := find(t, c, "other", "main")
	wantFiles(t, c, tr, want)
	if tr.Digest() != first.Tree.Digest() || tr.Len() != len(want) {
		t.Errorf("found %d entries, %s; saved %s", tr.Len(), tr.Digest(), first.Tree.Digest())
	}
	writes := m.writes
	if s := keep(t, c, Change{Pointer: "main", From: tr, Used: paths(tr), Add: files(want)}); m.writes != writes || s.Requests != 0 {
		t.Errorf("nothing new: %d writes, %d requests", m.writes-writes, s.Requests)
	}
	jar := noise(500, 700<<10)
	s := keep(t, c, Change{Pointer: "main", From: tr, Used: paths(tr), Add: []File{file("new/n.jar", jar), file("new/n.pom", []byte("<project/>"))}})
	if s.Requests > 5 || s.Bytes > int64(len(jar))*11/10+128<<10 || s.Files != 2 {
		t.Errorf("one jar: %+v", s)
	}
	want["new/n.jar"], want["new/n.pom"] = jar, []byte("<project/>")
	wantFiles(t, c, find(t, c, "main"), want)
}

// TestLargeBlobsComeInRanges fetches more large blobs at once than there are
// slots for their ranges, and one that is cut.
func TestLargeBlobsComeInRanges(t *testing.T) {
	m := newMemory()
	c := New(Config{Own: m})
	want := map[string][]byte{"small": []byte("small")}
	for i := range 5 {
		want[fmt.Sprintf("large%d", i)] = noise(uint64(i), rangesFrom+i*(rangeSize/2)+1)
	}
	tr := keep(t, c, Change{Pointer: "main", Add: files(want)}).Tree
	wantFiles(t, c, tr, want)
	cut, _ := tr.Get("large3")
	m.blobs[cut.Digest] = m.blobs[cut.Digest][:rangeSize+5]
	got, missing := fetchAll(t, c, tr)
	if len(missing) != 1 || missing[0].Path != "large3" || len(got) != len(want)-1 {
		t.Errorf("%d files, missing %v", len(got), missing)
	}
	stop := errors.New("the disk is full")
	_, err := c.Fetch(t.Context(), tr, slices.Collect(tr.All()), func(context.Context, Entry, io.Reader) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("a sink's error: %v", err)
	}
}

func TestManySegmentsAreCompacted(t *testing.T) {
	c := New(Config{Own: newMemory()})
	want := map[string][]byte{}
	for i := range 20 {
		p := fmt.Sprintf("f%d", i)
		want[p] = []byte(p)
		keep(t, c, Change{Pointer: "main", Add: []File{file(p, want[p])}})
	}
	tr := find(t, c, "main")
	if len(tr.segments) > compactAbove {
		t.Errorf("%d segments", len(tr.segments))
	}
	wantFiles(t, c, tr, want)
}

func TestDatesAgeOut(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	c := New(Config{Own: newMemory(), Now: func() time.Time { return now }})
	keep(t, c, Change{Pointer: "main", Add: []File{file("a", []byte("a")), file("b", []byte("b"))}})
	for range 31 {
		now = now.Add(24 * time.Hour)
		tr := find(t, c, "main")
		if s := keep(t, c, Change{Pointer: "main", From: tr, Used: []string{"a"}}); s.Requests == 0 {
			t.Fatal("the date was not refreshed")
		} else if again := keep(t, c, Change{Pointer: "main", From: s.Tree, Used: []string{"a"}}); again.Requests != 0 {
			t.Fatal("the date was refreshed twice in a day")
		}
	}
	if got := paths(find(t, c, "main")); len(got) != 1 || got[0] != "a" {
		t.Errorf("left: %v", got)
	}
}

func TestABranchBeginsWithWhatItUsed(t *testing.T) {
	m := newMemory()
	c := New(Config{Own: m})
	want := sample(5)
	keep(t, c, Change{Pointer: "main", Add: files(want)})
	tr := find(t, c, "main")
	keep(t, c, Change{Pointer: "all", From: tr, Used: paths(tr)})
	all := find(t, c, "all")
	if all.segments[0] != tr.segments[0] {
		t.Error("segments are not shared")
	}
	wantFiles(t, c, all, want)
	keep(t, c, Change{Pointer: "some", From: tr, Used: []string{"org/a1/1/a.pom"}, Add: []File{file("x", []byte("x"))}})
	wantFiles(t, c, find(t, c, "some"), map[string][]byte{"org/a1/1/a.pom": want["org/a1/1/a.pom"], "x": []byte("x")})
}

func TestScopes(t *testing.T) {
	base, own := newMemory(), newMemory()
	trusted, pr := New(Config{Own: base}), New(Config{Own: own, Base: base})
	want := sample(5)
	keep(t, trusted, Change{Pointer: "main", Add: files(want)})
	before := base.writes
	tr := find(t, pr, "pr", "main")
	s := keep(t, pr, Change{Pointer: "pr", From: tr, Used: paths(tr), Add: []File{file("x", []byte("x")), file("copy.jar", want["org/big/1/big.jar"])}})
	want["x"], want["copy.jar"] = []byte("x"), want["org/big/1/big.jar"]
	wantFiles(t, pr, find(t, pr, "pr"), want)
	if base.writes != before || s.Bytes > 64<<10 {
		t.Errorf("%d writes in the base, %d bytes sent", base.writes-before, s.Bytes)
	}
	if _, err := trusted.Save(t.Context(), Change{Pointer: "main", From: s.Tree, Used: paths(s.Tree)}); err == nil {
		t.Error("a trusted save took an untrusted tree")
	}
}

func TestSixteenWritersLoseNothing(t *testing.T) {
	m := newMemory()
	want := map[string][]byte{}
	var wg sync.WaitGroup
	for i := range 16 {
		mine := map[string][]byte{}
		for j := range 5 {
			p := fmt.Sprintf("w%d/%d", i, j)
			mine[p], want[p] = []byte(p), []byte(p)
		}
		wg.Go(func() {
			if _, err := New(Config{Own: m}).Save(t.Context(), Change{Pointer: "main", Add: files(mine)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c := New(Config{Own: m})
	wantFiles(t, c, find(t, c, "main"), want)
}

func TestStopAfterEveryWrite(t *testing.T) {
	old, added := sample(4), map[string][]byte{"n/big": noise(7, 900<<10), "n/small": noise(8, 900), "n/text": []byte("text")}
	for k := 0; ; k++ {
		m := newMemory()
		c := New(Config{Own: m})
		before := keep(t, c, Change{Pointer: "main", Add: files(old)}).Tree
		var mu sync.Mutex
		left := k
		m.fault = func(op string) error {
			mu.Lock()
			defer mu.Unlock()
			if strings.HasPrefix(op, "put") {
				if left--; left < 0 {
					return errFault
				}
			}
			return nil
		}
		s, err := c.Save(t.Context(), Change{Pointer: "main", From: before, Used: paths(before), Add: files(added)})
		m.fault = nil
		after := find(t, c, "main")
		if _, missing := fetchAll(t, c, after); len(missing) > 0 {
			t.Fatalf("stopped after %d writes: %d files are missing", k, len(missing))
		}
		if err == nil {
			if after.Digest() != s.Tree.Digest() || after.Len() != len(old)+len(added) {
				t.Errorf("whole save: another tree")
			}
			if k < 3 {
				t.Errorf("only %d writes: nothing was tried", k)
			}
			return
		}
		if after.Digest() != before.Digest() {
			t.Fatalf("stopped after %d writes: neither the old tree nor the new", k)
		}
	}
}

func TestABadBlobIsMissingAndMended(t *testing.T) {
	m := newMemory()
	var warned int
	c := New(Config{Own: m, Warn: func(error) { warned++ }})
	want := sample(3)
	tr := keep(t, c, Change{Pointer: "main", Add: files(want)}).Tree
	for d, b := range m.blobs {
		if d != tr.segments[0].Digest {
			m.blobs[d] = bytes.Repeat([]byte{7}, len(b))
		}
	}
	_, missing := fetchAll(t, c, tr)
	if len(missing) != tr.Len()-1 || warned != 1 { // the empty file has no bytes to lose
		t.Errorf("%d missing of %d, %d warnings", len(missing), tr.Len(), warned)
	}
	keep(t, c, Change{Pointer: "main", From: tr, Used: paths(tr), Add: files(want)})
	wantFiles(t, c, find(t, c, "main"), want)
}

// TestFaults puts random faults under finds, fetches and saves: no wrong byte
// ever reaches a sink, and without faults the tree is the one last saved.
func TestFaults(t *testing.T) {
	n := faultRounds(t, 30)
	want := sample(12)
	var faults, lost, kinds = 0, 0, [5]int{}
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		m := newMemory()
		c := New(Config{Own: m})
		tr := keep(t, c, Change{Pointer: "main", Add: files(want)}).Tree
		kind := seed % 5
		var mu sync.Mutex
		hit := func() bool {
			mu.Lock()
			defer mu.Unlock()
			if r.IntN(3) > 0 {
				return false
			}
			faults++
			kinds[kind]++
			return true
		}
		other := noise(1234, 4<<20)
		m.fault = func(op string) error {
			if kind == 0 && hit() {
				return errFault
			}
			if kind == 1 && hit() {
				time.Sleep(time.Millisecond)
			}
			return nil
		}
		m.bend = func(_ cache.Digest, b []byte) []byte {
			if kind < 2 || !hit() {
				return b
			}
			mu.Lock()
			defer mu.Unlock()
			switch kind {
			case 2:
				return b[:r.IntN(len(b))]
			case 3:
				return other[:len(b)]
			}
			b = bytes.Clone(b)
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			return b
		}
		if found, _, err := c.Find(t.Context(), "main"); err == nil {
			if found.Digest() != tr.Digest() {
				t.Fatalf("seed %d: another tree", seed)
			}
			got, missing := fetchAll(t, c, found)
			lost += len(missing)
			if len(got)+len(missing) != len(want) {
				t.Errorf("seed %d: %d files and %d missing of %d", seed, len(got), len(missing), len(want))
			}
			for p, b := range got {
				if !bytes.Equal(b, want[p]) {
					t.Fatalf("seed %d: wrong bytes in %s", seed, p)
				}
			}
			c.Save(t.Context(), Change{Pointer: "main", From: found, Used: paths(found), Add: files(want)})
		}
		m.fault, m.bend = nil, nil
		after := find(t, c, "main")
		if after.Digest() != tr.Digest() {
			t.Fatalf("seed %d: another tree after the faults", seed)
		}
		wantFiles(t, c, after, want)
	}
	if faults < n {
		t.Errorf("only %d faults in %d rounds", faults, n)
	}
	t.Logf("%d rounds, %d faults (refused %d, slow %d, cut %d, swapped %d, flipped %d), %d files missing, no wrong byte", n, faults, kinds[0], kinds[1], kinds[2], kinds[3], kinds[4], lost)
}

func FuzzSegment(f *testing.F) {
	m := newMemory()
	s, err := New(Config{Own: m}).Save(context.Background(), Change{Pointer: "p", Add: files(sample(3))})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.blobs[s.Tree.segments[0].Digest])
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := decodeSegment(b)
		if err != nil {
			if !errors.Is(err, cache.ErrCorrupt) {
				t.Error(err)
			}
			return
		}
		again, err := encodeSegment(entries)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeSegment(again); err != nil || len(back) != len(entries) {
			t.Errorf("%d entries come back as %d, %v", len(entries), len(back), err)
		}
	})
}

// FuzzFields reads a segment's fields without zstd around them.
func FuzzFields(f *testing.F) {
	f.Add([]byte(segmentMagic + "\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &decoder{b: b}
		for _, e := range d.segment() {
			if err := CheckPath(e.Path); err != nil || e.Size < 0 {
				t.Errorf("%q of %d bytes, %v", e.Path, e.Size, err)
			}
		}
	})
}

func FuzzPointer(f *testing.F) {
	v, _ := encodePointer([]segmentRef{{cache.Sum(nil), 5}})
	f.Add(v)
	f.Fuzz(func(t *testing.T, b []byte) {
		if refs, err := decodePointer("p", b); err == nil && len(refs) == 0 {
			t.Error("a pointer to nothing")
		}
	})
}

// FuzzPack fetches from packs of arbitrary bytes.
func FuzzPack(f *testing.F) {
	f.Add([]byte("x"), int64(1), int64(4), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, size, decoded int64, k uint8) {
		if size < 0 || size > maxFrame || decoded < size || decoded > maxFrame {
			return
		}
		m := newMemory()
		d := cache.Sum(b)
		m.blobs[d] = b
		o := &blob{digest: d, size: int64(len(b)), kind: kind(k % 3), frames: []frame{{0, int64(len(b)), decoded}}}
		want := cache.Sum([]byte("never these"))
		tr := newTree([]Entry{{Path: "a", Size: size, Digest: want, at: location{blob: o}}})
		tr.own = true
		if got, missing := fetchAll(t, New(Config{Own: m}), tr); len(got) != 0 || len(missing) != 1 {
			t.Errorf("%d files, %d missing", len(got), len(missing))
		}
	})
}
