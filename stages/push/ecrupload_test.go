package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fastship/fastship/stages/push/ecrtest"
)

// TestECRMounts takes blobs from a repository that this machine pushed to, and
// from the base's, where the account allows it.
func TestECRMounts(t *testing.T) {
	for _, mounting := range []bool{true, false} {
		a := newAccount(t, ecrtest.Options{Mounting: mounting})
		a.Create("bills")
		lib := random(400_000)
		if _, _, err := a.push(t, Config{}, makeImage(t, t.TempDir(), lib, random(10))); err != nil {
			t.Fatal(err)
		}
		in := makeImage(t, t.TempDir(), lib, random(20))
		r, e, err := a.push(t, Config{Repository: ecrRegistry + "/bills"}, in)
		if err != nil || a.Tag("bills", r.Out.Tags[0]) != in.Digest {
			t.Fatal(err)
		}
		if (r.Out.Bytes < 100_000) != mounting || (r.Out.Reused == 1) != mounting {
			t.Errorf("mounting %v: %+v", mounting, r.Out)
		}
		if e.last.Done != e.last.Total {
			t.Errorf("progress %+v", e.last)
		}
	}
	a := newAccount(t, ecrtest.Options{Mounting: true})
	a.Create("base/java")
	base := random(400_000)
	other := *a
	other.deps.State = ""
	if _, _, err := other.push(t, Config{Repository: ecrRegistry + "/base/java"}, makeImage(t, t.TempDir(), base)); err != nil {
		t.Fatal(err)
	}
	in := makeImage(t, t.TempDir(), base, random(20))
	in.Base = ecrRegistry + "/base/java:21@" + in.Digest
	if r, _, err := a.push(t, Config{}, in); err != nil || r.Out.Bytes > 100_000 || r.Out.Reused != 1 {
		t.Errorf("%+v, %v", r.Out, err)
	}
}

// TestECRRefusesPut: a registry that wants PATCH is sent that, and remembered.
func TestECRRefusesPut(t *testing.T) {
	a := newAccount(t, ecrtest.Options{RefusePut: true})
	for i, most := range []int{99, 0} {
		a.Asked()
		if _, _, err := a.push(t, Config{}, makeImage(t, t.TempDir(), random(200_000), random(300_000))); err != nil {
			t.Fatal(err)
		}
		asked := fmt.Sprint(a.Asked())
		refused := strings.Count(asked, "PUT blobs") - strings.Count(asked, "PATCH blobs")
		if strings.Count(asked, "PATCH blobs") != 3 || refused > most || i == 0 && refused == 0 {
			t.Errorf("push %d asked %s", i, asked)
		}
	}
}

// TestECRChunks sends a large blob in parts; one that is cut is sent again
// alone, and one that ECR does not go on with begins anew.
func TestECRChunks(t *testing.T) {
	for name, act := range map[string]func(w http.ResponseWriter){
		"cut":  func(w http.ResponseWriter) { hijack(w) },
		"busy": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"416":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, ecrtest.Options{})
			var mu sync.Mutex
			patches := 0
			a.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPatch {
					return false
				}
				mu.Lock()
				defer mu.Unlock()
				if patches++; patches != 2 {
					return false
				}
				act(w)
				return true
			})
			step := a.step(Config{})
			if err := step.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			step.remote.chunk = 5 << 20
			in := makeImage(t, t.TempDir(), random(17<<20))
			var e events
			r, err := step.Run(t.Context(), e.env(), in)
			if err != nil || a.Tag("orders", r.Out.Tags[0]) != in.Digest {
				t.Fatal(err)
			}
			want := 5 // four parts, one of them twice
			if name == "416" {
				want = 6 // one, refused, and four
			}
			if patches != want || e.last.Done != r.Out.Bytes {
				t.Errorf("%d parts, want %d; progress %+v of %d", patches, want, e.last, r.Out.Bytes)
			}
		})
	}
}

// TestECRKilled: a run that was killed within a large blob leaves the parts
// that ECR has confirmed to the next one.
func TestECRKilled(t *testing.T) {
	a := newAccount(t, ecrtest.Options{})
	ctx, kill := context.WithCancelCause(t.Context())
	killed := errors.New("killed")
	defer kill(nil)
	var patches atomic.Int64
	a.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && patches.Add(1) == 3 {
			kill(killed)
			return true
		}
		return false
	})
	in := makeImage(t, t.TempDir(), random(17<<20))
	for run, ctx := range []context.Context{ctx, t.Context()} {
		step, e := a.step(Config{}), &events{}
		if err := step.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		step.remote.chunk = 5 << 20
		r, err := step.Run(ctx, e.env(), in)
		if run == 0 && !errors.Is(err, killed) || run == 1 && (err != nil || a.Tag("orders", r.Out.Tags[0]) != in.Digest || e.last.Done != r.Out.Bytes) {
			t.Fatal(run, err, e.last, r.Out)
		}
	}
	if patches.Load() != 5 { // two, the one that was cut, and two
		t.Errorf("%d parts", patches.Load())
	}
}

// TestECRThrottles: PutImage is slowed down and gets through.
func TestECRThrottles(t *testing.T) {
	a := newAccount(t, ecrtest.Options{PutRate: 10})
	var tags []string
	for i := range 12 {
		tags = append(tags, fmt.Sprint("v", i))
	}
	in := makeImage(t, t.TempDir(), random(10))
	if _, _, err := a.push(t, Config{Tags: tags}, in); err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		if a.Tag("orders", tag) != in.Digest {
			t.Errorf("%s names %q", tag, a.Tag("orders", tag))
		}
	}
}

// TestECRLostBlobs: what the record takes for there and is not is sent after
// all.
func TestECRLostBlobs(t *testing.T) {
	a := newAccount(t, ecrtest.Options{})
	base := random(400_000)
	if _, _, err := a.push(t, Config{}, makeImage(t, t.TempDir(), base, random(10))); err != nil {
		t.Fatal(err)
	}
	in := makeImage(t, t.TempDir(), base, random(20))
	image, err := readImage(in.Layout, in.Digest)
	if err != nil {
		t.Fatal(err)
	}
	a.Forget("orders", string(image.blobs[0].Digest))
	r, e, err := a.push(t, Config{}, in)
	if err != nil || a.Tag("orders", r.Out.Tags[0]) != in.Digest || r.Out.Blobs != 3 {
		t.Errorf("%+v, %v", r.Out, err)
	}
	if !strings.Contains(fmt.Sprint(e.all), "looking at each") {
		t.Error(e.all)
	}
}
