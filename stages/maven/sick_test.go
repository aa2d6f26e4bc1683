package maven

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
)

// TestAStoreOutOfReach: a host that built before has what it needs, another
// downloads; both say so once, and are not the worse for it later.
func TestAStoreOutOfReach(t *testing.T) {
	away := fmt.Errorf("%w: bucket b: no byte came or went for 4s", cache.ErrAway)
	for name, c := range map[string]struct {
		err    error
		warned string
	}{
		"away":    {away, "the remote cache is left alone in this run: bucket b: no byte came or went for 4s"},
		"a fault": {errors.New("S3 answers 500"), "look up Maven's repository in the cache: read pointer "},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, 3)
			warm, cold := y.newMachine(t), y.newMachine(t)
			warm.builds(t)
			y.store.sick(func(context.Context, string) error { return c.err })
			b := warm.build(t, t.Context())
			wantWarning(t, b, c.warned)
			wantDownloads(t, b)
			if !strings.Contains(b.said(), "note: Maven's repository is not restored from the shared cache: what this host kept of the last run is used") {
				t.Errorf("said:\n%s", b.said())
			}
			b = cold.build(t, t.Context())
			wantWarning(t, b, c.warned)
			wantDownloads(t, b, y.Needs(t)...)
			wantDownloads(t, func() built { b := cold.build(t, t.Context()); wantWarning(t, b, c.warned); return b }())
			warm.in.Branch = "new"
			b = warm.build(t, t.Context())
			wantWarning(t, b, c.warned)
			wantDownloads(t, b) // of branch main
			y.store.sick(nil)
			for _, m := range []*machine{warm, cold, y.newMachine(t)} {
				b := m.builds(t)
				wantDownloads(t, b)
				if got, want := sortedNames(b.files), tracked(y.Needs(t)); !slices.Equal(got, want) {
					t.Errorf("kept %q, want %q", got, want)
				}
			}
		})
	}
}

// TestAStoreThatMayNotBeWritten is a role that may only read.
func TestAStoreThatMayNotBeWritten(t *testing.T) {
	y := newYard(t, 2)
	y.newMachine(t).builds(t)
	extra := artifact("extra", "1")
	y.Publish(t, extra, "new")
	y.Need(t, append(y.Needs(t), extra)...)
	y.store.sick(func(_ context.Context, op string) error {
		if strings.HasPrefix(op, "put") {
			return fmt.Errorf("%w: Access Denied", cache.ErrReadOnly)
		}
		return nil
	})
	m := y.newMachine(t)
	b := m.build(t, t.Context())
	wantWarning(t, b, "the cache may only be read: Access Denied")
	wantDownloads(t, b, extra)
	for range 2 {
		b = m.build(t, t.Context())
		wantWarning(t, b, "the cache may only be read") // tried anew: the role may have changed
		wantDownloads(t, b)                             // this host has it
	}
	y.Act(t, "kill -9 $$")
	m.build(t, t.Context())
	y.Act(t, "")
	y.store.sick(nil)
	wantDownloads(t, m.builds(t))
	wantDownloads(t, y.newMachine(t).builds(t)) // it was saved at last
	if b := m.builds(t); b.writes > 0 {
		t.Errorf("%d writes with nothing new", b.writes)
	}
}

// TestEveryBlobOfTheStore is lost, cut or swapped, one after the other: hosts
// build, with one warning, and the store heals.
func TestEveryBlobOfTheStore(t *testing.T) {
	y := newYard(t, 3)
	y.newMachine(t).builds(t)
	blobs, err := filepath.Glob(filepath.Join(y.store.root, "blobs", "sha256", "*"))
	if err != nil || len(blobs) < 3 {
		t.Fatalf("%q, %v", blobs, err)
	}
	for i, blob := range blobs {
		good, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		other, err := os.ReadFile(blobs[(i+1)%len(blobs)])
		if err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string][]byte{
			"lost": nil, "cut": good[:len(good)/2], "swapped": other, "turned": append([]byte{good[0] ^ 1}, good[1:]...),
		} {
			t.Run(fmt.Sprintf("%s %d", name, i), func(t *testing.T) {
				z := &yard{y.Project, newAfar(t)}
				if err := os.CopyFS(z.store.root, os.DirFS(y.store.root)); err != nil {
					t.Fatal(err)
				}
				place := filepath.Join(z.store.root, "blobs", "sha256", filepath.Base(blob))
				if err := os.Remove(place); err != nil {
					t.Fatal(err)
				}
				if bad != nil {
					if err := os.WriteFile(place, bad, 0o444); err != nil {
						t.Fatal(err)
					}
				}
				b := z.newMachine(t).build(t, t.Context())
				wantWarning(t, b)
				if len(b.downloads) == 0 {
					t.Error("nothing was missing")
				}
				after := z.newMachine(t).build(t, t.Context())
				if after.err != nil || len(after.warnings()) > 0 || len(after.downloads) > 0 {
					t.Errorf("it did not heal: %v, %q, downloaded %q", after.err, after.warnings(), after.downloads)
				}
			})
		}
	}
}

// TestABrokenPointer is replaced by the next save.
func TestABrokenPointer(t *testing.T) {
	y := newYard(t, 2)
	y.newMachine(t).builds(t)
	for p, err := range y.store.ListPointers(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		now, err := y.store.GetPointer(t.Context(), p.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := y.store.PutPointer(t.Context(), p.Name, []byte(`{"version":1,"segm`), now.Version); err != nil {
			t.Fatal(err)
		}
	}
	wantWarning(t, y.newMachine(t).build(t, t.Context()), "pointer")
	wantDownloads(t, y.newMachine(t).builds(t))
}

// TestStopAfterEveryWrite: the store takes k writes and no more, for each k of
// a first save and of a later one. No host gets a wrong byte, and the next one
// that saves makes up for it.
func TestStopAfterEveryWrite(t *testing.T) {
	for _, later := range []bool{false, true} {
		for k := 0; ; k++ {
			y := newYard(t, 2)
			if later {
				y.newMachine(t).builds(t)
				extra := artifact("extra", "1")
				y.Publish(t, extra, "new")
				y.Need(t, append(y.Needs(t), extra)...)
			}
			var left atomic.Int64 // writes go on side by side
			left.Store(int64(k))
			y.store.sick(func(_ context.Context, op string) error {
				if strings.HasPrefix(op, "put") {
					if left.Add(-1) < 0 {
						return errors.New("the wire is cut")
					}
				}
				return nil
			})
			m := y.newMachine(t)
			b := m.build(t, t.Context())
			y.store.sick(nil)
			if b.err != nil {
				t.Fatal(b.err)
			}
			if left.Load() >= 0 {
				if k < 3 {
					t.Errorf("a save of only %d writes", k)
				}
				break
			}
			wantWarning(t, b, "the wire is cut")
			wantDownloads(t, m.builds(t))
			wantDownloads(t, y.newMachine(t).builds(t))
		}
	}
}

// TestNoPlaceForARepository: Maven uses the user's own.
func TestNoPlaceForARepository(t *testing.T) {
	y := newYard(t, 1)
	m := y.newMachine(t)
	s := m.step(t, func(error) {})
	if err := os.WriteFile(filepath.Join(m.local, "leases"), nil, 0o644); err != nil { // after it was opened
		t.Fatal(err)
	}
	var said run
	env := runner.Env{Emit: func(b runner.Body) { said.events = append(said.events, b) }, Background: inline}
	if _, err := s.Run(t.Context(), env, In{Dir: y.Dir, Branch: "main"}); err != nil {
		t.Fatal(err)
	}
	if w := of[runner.Warning](said); len(w) != 1 || !strings.Contains(w[0].Text, "; Maven uses its own repository") {
		t.Errorf("warnings %+v", w)
	}
	if got, want := m.Repositories(t), filepath.Join(m.Home, ".m2", "repository"); len(got) != 1 || got[0] != want {
		t.Errorf("used %q, want %s", got, want)
	}
}
