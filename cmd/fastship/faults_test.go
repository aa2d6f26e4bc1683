package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/centraltest"
	"github.com/fastship/fastship/internal/mvntest"
)

// dice make one of odds requests go wrong, and one of odds answers, each in
// one of the ways that buckets and wires do. The same seed and requests, the
// same faults.
type dice struct {
	odds int
	mu   sync.Mutex
	r    *rand.Rand
	met  map[string]int
}

func newDice(seed, odds int) *dice {
	return &dice{odds: odds, r: rand.New(rand.NewPCG(uint64(seed), 4)), met: map[string]int{}}
}

// throw picks one of the names, and most often none.
func (d *dice) throw(names ...string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.r.IntN(d.odds) > 0 {
		return ""
	}
	name := names[d.r.IntN(len(names))]
	d.met[name]++
	return name
}

func (d *dice) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(max(n, 1))
}

// request is a fault before the server sees a request.
func (d *dice) request(w http.ResponseWriter, r *http.Request) bool {
	switch d.throw("503", "500", "refused", "absent", "dropped", "late") {
	case "503":
		return refuse(503, "SlowDown")(w, r)
	case "500":
		return refuse(500, "InternalError")(w, r)
	case "refused":
		return refuse(403, "AccessDenied")(w, r)
	case "absent":
		return refuse(404, "NoSuchKey", http.MethodGet, http.MethodHead)(w, r)
	case "dropped":
		panic(http.ErrAbortHandler)
	case "late":
		time.Sleep(300 * time.Millisecond)
	}
	return false
}

// answer is a fault after the server has done what was asked.
func (d *dice) answer(r *http.Response) error {
	switch d.throw("lost answer", "cut body", "turned byte", "other bytes") {
	case "lost answer":
		return errors.New("lost")
	case "cut body":
		b, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(b[:d.below(len(b))]), cut{}))
		return err
	case "turned byte":
		b, err := io.ReadAll(r.Body)
		if len(b) > 0 {
			b[d.below(len(b))] ^= 0x10
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		return err
	case "other bytes":
		b, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", len(b))))
		return err
	}
	return nil
}

// TestRandomFaultsOfABucket: under any of them hosts build, on right bytes,
// which the played Maven compares; and once the bucket is well, so is what it
// holds.
func TestRandomFaultsOfABucket(t *testing.T) {
	integration(t)
	t.Parallel()
	b, p := newBucket(t), newProject(t, 6)
	warm := b.newPlaying(t, p)
	warm.build(t)
	met := map[string]int{}
	rounds := count(t, "FASTSHIP_FAULTS", 3)
	for seed := range rounds {
		d := newDice(seed, 12)
		extra := mvntest.Artifact("extra", fmt.Sprint(seed))
		p.Publish(t, extra, "extra "+extra)
		p.Need(t, append(p.Needs(t)[:7], extra)...)
		b.sick(d.request, d.answer)
		for _, h := range []*playing{b.newPlaying(t, p), warm} {
			if r := h.start(t); r.took > longestLoss {
				t.Errorf("seed %d: a run took %v\n%s", seed, r.took, r.said)
			}
		}
		b.heal()
		b.newPlaying(t, p).start(t)
		b.newPlaying(t, p).start(t).wants(t, 0)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		for name, n := range d.met {
			met[name] += n
		}
	}
	t.Logf("%d rounds, no wrong byte, nothing left sick: %v", rounds, met)
}

// TestMavenOverRandomFaults is the same with the real Maven, on as many builds
// as FASTSHIP_MAVEN_BUILDS says; .ci/soak sets it.
func TestMavenOverRandomFaults(t *testing.T) {
	builds := count(t, "FASTSHIP_MAVEN_BUILDS", 0)
	if builds == 0 {
		t.Skip("FASTSHIP_MAVEN_BUILDS is not set: a long run, see .ci/soak")
	}
	b, proxy := newBucket(t), centraltest.Start(t)
	project := func() string {
		dir := app(t, "hello")
		place(t, filepath.Join(dir, "fastship.yaml"), "maven: {settings: \"env:MAVEN_SETTINGS\"}\n", 0o644)
		return dir
	}
	first := newHost(t, b.store, proxy.URL)
	want, _ := first.build(t, project())
	met := map[string]int{}
	for seed := range builds {
		d := newDice(seed, 5)
		b.sick(d.request, d.answer)
		got, said := newHost(t, b.store, proxy.URL).build(t, project(), "--force")
		if got.Jar != want.Jar || got.Tests != want.Tests {
			t.Errorf("seed %d: made %+v, want %+v\n%s", seed, got, want, said)
		}
		b.heal()
		for name, n := range d.met {
			met[name] += n
		}
	}
	newHost(t, b.store, proxy.URL).build(t, project(), "--force")
	proxy.Take()
	_, said := newHost(t, b.store, proxy.URL).build(t, project(), "--force")
	if asked, _ := proxy.Take(); len(asked) > 0 {
		t.Errorf("asked for %q after all was well\n%s", asked, said)
	}
	t.Logf("%d builds made the same jar: %v", builds, met)
}
