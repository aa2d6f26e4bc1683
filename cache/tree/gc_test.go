package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

func TestGC(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	m := newMemory()
	m.now = func() time.Time { return now }
	c := New(Config{Own: m, Now: m.now})
	want := sample(4)
	keep(t, c, Change{Pointer: "gone", Add: []File{file("old", noise(77, 600<<10))}})
	now = now.Add(55 * 24 * time.Hour)
	keep(t, c, Change{Pointer: "main", Add: files(want)})
	act := noise(55, 100)
	m.Put(t.Context(), cache.Sum(act), 100, bytes.NewReader(act))
	m.PutAction(t.Context(), "k", cache.Action{Blobs: []cache.Descriptor{{Digest: cache.Sum(act), Size: 100}}})
	orphan := noise(56, 100)
	m.Put(t.Context(), cache.Sum(orphan), 100, bytes.NewReader(orphan))
	if got, err := c.GC(t.Context(), GCOptions{}); err != nil || got.Blobs+got.Pointers+got.Actions != 0 {
		t.Errorf("young: %+v, %v", got, err)
	}
	now = now.Add(10 * 24 * time.Hour)
	n := len(m.blobs)
	dry, err := c.GC(t.Context(), GCOptions{DryRun: true})
	if err != nil || len(m.blobs) != n || len(m.pointers) != 2 {
		t.Errorf("dry: %+v, %v", dry, err)
	}
	got, err := c.GC(t.Context(), GCOptions{})
	if err != nil || got != dry || got.Pointers != 1 || got.Blobs != 3 || len(m.blobs) != n-3 {
		t.Errorf("gc: %+v, %v; dry %+v", got, err, dry)
	}
	wantFiles(t, c, find(t, c, "main"), want)
	now = now.Add(25 * 24 * time.Hour)
	if got, err := c.GC(t.Context(), GCOptions{}); err != nil || got.Actions != 1 || got.Blobs != 1 {
		t.Errorf("an old action and its blob: %+v, %v", got, err)
	}
	m.fault = func(string) error { return errFault }
	n = len(m.blobs)
	if _, err := c.GC(t.Context(), GCOptions{}); err == nil || len(m.blobs) != n {
		t.Errorf("a store out of reach: %v, %d blobs of %d", err, len(m.blobs), n)
	}
}

// TestGCBesideWriters lets a clock run while saves, prunings and collections
// alternate at random and side by side: no live tree loses a byte.
func TestGCBesideWriters(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	m := newMemory()
	m.now = func() time.Time { return now }
	c := New(Config{Own: m, Now: m.now})
	collected := 0
	for i := range 60 {
		now = now.Add(time.Duration(r.IntN(60)) * time.Hour)
		done := make(chan Collected)
		go func() {
			got, err := c.GC(t.Context(), GCOptions{})
			if err != nil {
				t.Error(err)
			}
			done <- got
		}()
		name := fmt.Sprintf("b%d", i%3)
		from, _, _ := c.Find(t.Context(), name)
		var used []string
		if from != nil {
			for _, p := range paths(from) {
				if r.IntN(8) > 0 {
					used = append(used, p)
				}
			}
		}
		p := fmt.Sprintf("f%d", i%20)
		size := 3000 // in a pack
		if i%4 == 0 {
			size = 600 << 10
		}
		content := noise(uint64(r.IntN(40)), size)
		keep(t, c, Change{Pointer: name, From: from, Used: used, Add: []File{file(p, content)}})
		collected += (<-done).Blobs
		for _, n := range []string{"b0", "b1", "b2"} {
			tr, _, err := c.Find(t.Context(), n)
			if err != nil {
				continue
			}
			if _, missing := fetchAll(t, c, tr); len(missing) > 0 {
				t.Fatalf("round %d: %s lacks %d files", i, n, len(missing))
			}
		}
	}
	if collected == 0 {
		t.Error("nothing was ever collected")
	}
}

func TestVerify(t *testing.T) {
	m := newMemory()
	c := New(Config{Own: m})
	first := keep(t, c, Change{Pointer: "main", Add: files(sample(3))}).Tree
	second := keep(t, c, Change{Pointer: "main", From: first, Add: []File{file("x", []byte("x"))}}).Tree
	if got, err := c.Verify(t.Context(), false); err != nil || got.BadBlobs+got.BadPointers+got.BadActions != 0 || got.Blobs != len(m.blobs) {
		t.Errorf("sound: %+v, %v", got, err)
	}
	m.blobs[second.segments[1].Digest] = []byte("bad")
	m.PutAction(t.Context(), "k", cache.Action{Blobs: []cache.Descriptor{{Digest: cache.Sum([]byte("none"))}}})
	if _, _, err := c.Find(t.Context(), "main"); err == nil {
		t.Error("a bad segment was read")
	}
	n := len(m.blobs)
	if got, err := c.Verify(t.Context(), true); err != nil || got.BadBlobs != 1 || got.BadActions != 1 || len(m.blobs) != n {
		t.Errorf("dry: %+v, %v", got, err)
	}
	got, err := c.Verify(t.Context(), false)
	if err != nil || got.BadBlobs != 1 || got.Mended != 1 || got.BadActions != 1 {
		t.Errorf("verify: %+v, %v", got, err)
	}
	if tr := find(t, c, "main"); tr.Digest() != first.Digest() {
		t.Error("the mended tree is not the first")
	}
	status, err := c.Status(t.Context())
	if err != nil || len(status) != 1 || status[0].Entries != first.Len() || status[0].Err != nil || status[0].Packs != 1 {
		t.Errorf("status: %+v, %v", status, err)
	}
}
