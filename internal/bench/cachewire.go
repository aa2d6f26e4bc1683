package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

const (
	gigabit     = 125e6 // bytes per second
	wireTrip    = 30 * time.Millisecond
	newJarBytes = 700 << 10
)

// longWire measures an empty host behind 1 Gbit/s and 30 ms. The bytes are
// those that crossed the wire.
func longWire(ctx context.Context, c *cacheHost) ([]bound, error) {
	w, err := newWire(ctx, c.minio, gigabit, wireTrip)
	if err != nil {
		return nil, err
	}
	var got sample
	x := &contender{name: "fastship", run: func(ctx context.Context, folder string, round int) (usage, error) {
		before := w.down.bytes.Load()
		u, r, err := c.step(ctx, w.address, "restore", folder, benchPointer)
		if err == nil && r.Files < c.files {
			err = fmt.Errorf("%d files of %d came back", r.Files, c.files)
		}
		if limit := 1.3*float64(w.down.bytes.Load()-before)/gigabit + 0.3; round > 0 {
			got = append(got, u.wall/limit)
		}
		return u, err
	}}
	if err := c.race(ctx, "restore through 1 Gbit/s and 30 ms", cacheRounds, []*contender{x}); err != nil {
		return nil, err
	}
	fmt.Printf("the wire alone: %.3f s\n\n", float64(w.down.bytes.Load())/gigabit/(cacheRounds+1))
	return []bound{{"restore through 1 Gbit/s and 30 ms, of 1.3 × bytes ÷ bandwidth + 0.3 s", got, 1, "×"}}, nil
}

// oneMore adds a dependency in each round, saves it, and restores it to a
// host that has all but it.
func oneMore(ctx context.Context, c *cacheHost) ([]bound, error) {
	warm := c.fresh()
	if _, _, err := c.step(ctx, c.minio, "restore", warm, benchPointer); err != nil {
		return nil, err
	}
	var ratio, requests, overhead, wallWarm, wallEmpty, wallSave sample
	for i := range addRounds {
		folder := filepath.Join(c.dir, "new", fmt.Sprint(i))
		size, err := newDependency(folder, i)
		if err != nil {
			return nil, err
		}
		u, r, err := c.step(ctx, c.minio, "add", folder, benchPointer)
		if err != nil {
			return nil, err
		}
		wallSave, requests = append(wallSave, u.wall), append(requests, float64(r.Requests))
		overhead = append(overhead, (float64(r.Bytes)-1.1*float64(size))/1024)
		u, r, err = c.step(ctx, c.minio, "restore", warm, benchPointer)
		if err != nil {
			return nil, err
		}
		if r.Files != 3 {
			return nil, fmt.Errorf("%d files were fetched to the warm host, want the 3 new ones", r.Files)
		}
		v, _, err := c.step(ctx, c.minio, "restore", c.fresh(), benchPointer)
		if err != nil {
			return nil, err
		}
		wallWarm, wallEmpty, ratio = append(wallWarm, u.wall), append(wallEmpty, v.wall), append(ratio, u.wall/v.wall)
	}
	fmt.Printf("one new dependency of %d KiB: save %s s; restore to a warm host %s s, to an empty one %s s\n\n", newJarBytes>>10, wallSave, wallWarm, wallEmpty)
	return []bound{
		{"warm host, one new dependency, of an empty host", ratio, 0.15, "×"},
		{"save after one new dependency", requests, 5, "requests"},
		{"the same, bytes beyond 1.1 × its own", overhead, 128, "KiB"},
	}, nil
}

// newDependency writes a jar, a pom and what Maven notes of them.
func newDependency(folder string, round int) (bytes int, err error) {
	folder = filepath.Join(folder, "com", "example", "added", fmt.Sprint(round))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return 0, err
	}
	jar := make([]byte, newJarBytes)
	r := rand.NewChaCha8([32]byte{byte(round)})
	r.Read(jar) // never fails
	for name, b := range map[string][]byte{
		"added.jar": jar, "added.pom": fmt.Appendf(nil, "<project>%d</project>\n", round),
		"_remote.repositories": fmt.Appendf(nil, "added.jar>central=\nadded.pom>central=\n#%d\n", round),
	} {
		bytes += len(b)
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o644); err != nil {
			return 0, err
		}
	}
	return bytes, nil
}
