package tree

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

// worn saves n small files of size bytes and lets a month pass, so that the
// next save which uses a part of them drops the rest.
func worn(t *testing.T, n, size int) (m *memory, c *Cache, tr *Tree, used []string, want map[string][]byte, warned *[]error) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	m = newMemory()
	m.now = func() time.Time { return now }
	var mu sync.Mutex
	warned = &[]error{}
	c = New(Config{Own: m, Now: m.now, Warn: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		*warned = append(*warned, err)
	}})
	all := map[string][]byte{"big.jar": noise(9999, 600<<10)}
	for i := range n {
		all[fmt.Sprintf("a%04d.jar", i)] = noise(uint64(i), size)
		all[fmt.Sprintf("a%04d.pom", i)] = []byte(strings.Repeat(fmt.Sprintf("<project>%d</project>\n", i), 40))
	}
	keep(t, c, Change{Pointer: "main", Add: files(all)})
	now = now.Add((keepDays + 1) * 24 * time.Hour)
	tr, want = find(t, c, "main"), map[string][]byte{"big.jar": all["big.jar"]}
	used = []string{"big.jar"}
	for i := range n {
		if i%2 == 0 {
			for _, p := range []string{fmt.Sprintf("a%04d.jar", i), fmt.Sprintf("a%04d.pom", i)} {
				used, want[p] = append(used, p), all[p]
			}
		}
	}
	return m, c, tr, used, want, warned
}

func TestWornPacksArePackedAnew(t *testing.T) {
	m, c, tr, used, want, warned := worn(t, 60, 40<<10)
	before := maps.Clone(usages(tr.entries))
	s := keep(t, c, Change{Pointer: "main", From: tr, Used: used})
	after := find(t, c, "main")
	for d, u := range usages(after.entries) {
		if before[d] != nil || u.dead() > 0.01 {
			t.Errorf("pack %s is %.0f %% dead, there before: %v", d, 100*u.dead(), before[d] != nil)
		}
	}
	if s.Requests > 8 || len(*warned) > 0 {
		t.Errorf("%d requests, warned %v", s.Requests, *warned)
	}
	wantFiles(t, c, after, want)
	if got, err := c.GC(t.Context(), GCOptions{Now: m.now().Add(25 * time.Hour)}); err != nil || got.Blobs < len(before) {
		t.Errorf("gc took %+v of %d old packs, %v", got, len(before), err)
	}
	wantFiles(t, c, find(t, c, "main"), want)
	writes := m.writes
	if again := keep(t, c, Change{Pointer: "main", From: s.Tree, Used: used}); again.Requests != 0 || m.writes != writes {
		t.Errorf("packed anew twice: %+v", again)
	}
}

func TestPackingAnewIsBounded(t *testing.T) {
	_, c, tr, used, want, _ := worn(t, 100, 500<<10)
	s := keep(t, c, Change{Pointer: "main", From: tr, Used: used})
	if s.Bytes < 4<<20 || s.Bytes > repackBytes+1<<20 {
		t.Errorf("%d bytes were sent, want up to %d", s.Bytes, repackBytes)
	}
	wantFiles(t, c, find(t, c, "main"), want)
}

// TestABranchKeepsPacksOfOthers: what a branch never used is no reason to
// store its part again.
func TestABranchKeepsPacksOfOthers(t *testing.T) {
	_, c, tr, used, _, _ := worn(t, 60, 40<<10)
	first := keep(t, c, Change{Pointer: "branch", From: tr, Used: used}).Tree
	for i := range 10 {
		p := fmt.Sprintf("n%d", i)
		keep(t, c, Change{Pointer: "branch", Add: []File{file(p, []byte(p))}})
	}
	after := find(t, c, "branch")
	if len(after.segments) > compactAbove {
		t.Fatal("it was not compacted")
	}
	for d := range usages(first.entries) {
		if usages(after.entries)[d] == nil {
			t.Errorf("pack %s was stored again", d)
		}
	}
}

func TestAFaultLeavesWornPacks(t *testing.T) {
	m, c, tr, used, want, warned := worn(t, 60, 40<<10)
	m.fault = func(op string) error {
		if op == "open" {
			return errFault
		}
		return nil
	}
	s := keep(t, c, Change{Pointer: "main", From: tr, Used: used})
	m.fault = nil
	if len(*warned) == 0 || s.Tree.Len() != len(want) {
		t.Errorf("warned %v, %d files", *warned, s.Tree.Len())
	}
	wantFiles(t, c, find(t, c, "main"), want)
}

func TestStopAfterEveryWriteOfPackingAnew(t *testing.T) {
	for k := 0; ; k++ {
		m, c, tr, used, want, _ := worn(t, 60, 40<<10)
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
		_, err := c.Save(t.Context(), Change{Pointer: "main", From: tr, Used: used})
		m.fault = nil
		after := find(t, c, "main")
		if err == nil {
			wantFiles(t, c, after, want)
			if k < 4 {
				t.Errorf("only %d writes: nothing was packed anew", k)
			}
			return
		}
		if after.Digest() != tr.Digest() {
			t.Fatalf("stopped after %d writes: another tree", k)
		}
		if _, missing := fetchAll(t, c, after); len(missing) > 0 {
			t.Fatalf("stopped after %d writes: %d files are missing", k, len(missing))
		}
	}
}

func TestWritersBesidePackingAnew(t *testing.T) {
	m, _, _, used, want, _ := worn(t, 60, 40<<10)
	var wg sync.WaitGroup
	for i := range 8 {
		p, text := fmt.Sprintf("w%d.jar", i), noise(uint64(5000+i), 3000)
		want[p] = text
		wg.Go(func() {
			c := New(Config{Own: m, Now: m.now})
			tr := find(t, c, "main")
			if _, err := c.Save(t.Context(), Change{Pointer: "main", From: tr, Used: used, Add: []File{file(p, text)}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c := New(Config{Own: m, Now: m.now})
	wantFiles(t, c, find(t, c, "main"), want)
	if _, err := c.GC(t.Context(), GCOptions{Now: m.now().Add(25 * time.Hour)}); err != nil {
		t.Error(err)
	}
	wantFiles(t, c, find(t, c, "main"), want)
}

// TestFramesThatDisagree: two segments may claim different frames of a pack.
func TestFramesThatDisagree(t *testing.T) {
	m := newMemory()
	c := New(Config{Own: m})
	tr := keep(t, c, Change{Pointer: "main", Add: []File{file("a", []byte("a")), file("b", []byte("b"))}}).Tree
	entries := append([]Entry(nil), tr.entries...)
	o := *entries[1].at.blob
	o.frames = []frame{{0, 1, 1}, {1, o.size - 1, 9}}
	entries[1].at = location{blob: &o, frame: 1, off: 8}
	bad := newTree(entries)
	bad.own = true
	got, missing := fetchAll(t, c, bad)
	if string(got["a"]) != "a" || len(missing) != 1 || missing[0].Path != "b" {
		t.Errorf("%v, missing %v", got, missing)
	}
	if e, _ := tr.Get("a"); e.Digest != cache.Sum([]byte("a")) {
		t.Error("another file")
	}
}
