package main

import (
	"context"
	"fmt"
	"os"
)

const (
	cacheRounds = 9
	addRounds   = 9
)

// cacheBench measures a Maven repository in S3 (minio on loopback) beside tar
// + zstd and zip over S3, and beside one writer that writes the same files
// from memory. All save and restore the same folder, in turn, with all dirty
// pages written out before each.
func cacheBench(ctx context.Context, h *host) error {
	c, err := newCacheHost(ctx, h)
	if err != nil {
		return err
	}
	fmt.Printf("%d files, %.0f MB\n\n", c.files, float64(c.bytes)/1e6)
	parts := []struct {
		name string
		run  func(context.Context, *cacheHost) ([]bound, error)
	}{
		{"save", saves}, // first: the others restore what it saved
		{"wire", longWire},
		{"restore", restores},
		{"more", oneMore}, // after these: it adds to what they restore
		{"maven", emptyHost},
	}
	var bounds []bound
	for _, part := range parts {
		if c.only != "" && part.name != c.only && part.name != "save" {
			continue
		}
		b, err := part.run(ctx, c)
		if err != nil {
			return err
		}
		bounds = append(bounds, b...)
	}
	return report(bounds)
}

// contender is one way to save or restore.
type contender struct {
	name string
	run  func(ctx context.Context, folder string, round int) (usage, error)

	wall, cpu, memory sample
}

// race runs the contenders in turn, after one round that does not count.
func (c *cacheHost) race(ctx context.Context, what string, rounds int, all []*contender) error {
	for i := range rounds + 1 {
		for _, x := range all {
			u, err := x.run(ctx, c.fresh(), i)
			if err != nil {
				return fmt.Errorf("%s by %s: %w", what, x.name, err)
			}
			if i == 0 {
				continue
			}
			x.wall, x.cpu = append(x.wall, u.wall), append(x.cpu, u.cpu)
			x.memory = append(x.memory, float64(u.memory)/(1<<20))
		}
	}
	for _, x := range all {
		if rounds == 0 {
			continue
		}
		fmt.Printf("%s, %s: %s s, CPU %s s\n", what, x.name, x.wall, x.cpu)
	}
	fmt.Println()
	return nil
}

// saves measures the first save. Each goes to new names.
func saves(ctx context.Context, c *cacheHost) ([]bound, error) {
	fastship := &contender{name: "fastship", run: func(ctx context.Context, folder string, round int) (usage, error) {
		c.prefix++
		u, _, err := c.step(ctx, c.minio, "save", c.repository, benchPointer)
		return u, err
	}}
	tar := &contender{name: "tar+zstd", run: func(ctx context.Context, folder string, round int) (usage, error) {
		return c.shell(ctx, fmt.Sprintf("tar -C %s -cf - . | zstd -q -3 -o %s; %s", c.repository, folder, c.curl("-T", folder, c.object("tar.zst"))))
	}}
	zip := &contender{name: "zip", run: func(ctx context.Context, folder string, round int) (usage, error) {
		archive := folder + ".zip"
		defer os.Remove(archive)
		return c.shell(ctx, fmt.Sprintf("cd %s; zip -q -r %s .; %s", c.repository, archive, c.curl("-T", archive, c.object("zip"))))
	}}
	rounds := cacheRounds
	if c.only != "" && c.only != "save" {
		rounds = 0
	}
	if err := c.race(ctx, "first save", rounds, []*contender{fastship, tar, zip}); err != nil || rounds == 0 {
		return nil, err
	}
	if err := c.drop(); err != nil { // few files, and large
		return nil, err
	}
	return []bound{
		{"first save, of tar + zstd -3", ratios(fastship.wall, tar.wall), 0.5, "×"},
		{"the same, CPU seconds of the client", ratios(fastship.cpu, tar.cpu), 1, "×"},
		{"first save, peak memory", fastship.memory, 150, "MiB"},
	}, nil
}

// restores measures an empty host.
func restores(ctx context.Context, c *cacheHost) ([]bound, error) {
	fastship := &contender{name: "fastship", run: func(ctx context.Context, folder string, round int) (usage, error) {
		u, r, err := c.step(ctx, c.minio, "restore", folder, benchPointer)
		if err == nil && r.Files != c.files {
			err = fmt.Errorf("%d files of %d came back", r.Files, c.files)
		}
		return u, err
	}}
	tar := &contender{name: "tar+zstd", run: func(ctx context.Context, folder string, round int) (usage, error) {
		return c.shell(ctx, fmt.Sprintf("mkdir %[1]s; %[2]s | zstd -q -d | tar -C %[1]s -xf -", folder, c.curl(c.object("tar.zst"))))
	}}
	zip := &contender{name: "zip", run: func(ctx context.Context, folder string, round int) (usage, error) {
		return c.shell(ctx, fmt.Sprintf("mkdir %[1]s; %[2]s -o %[1]s/.zip; cd %[1]s; unzip -q .zip", folder, c.curl(c.object("zip"))))
	}}
	raw := &contender{name: "writer", run: func(ctx context.Context, folder string, round int) (usage, error) {
		u, r, err := c.step(ctx, c.minio, "write", c.repository, folder)
		u.wall = r.Seconds // not the reading into memory
		return u, err
	}}
	if err := c.race(ctx, "restore", cacheRounds, []*contender{fastship, tar, zip, raw}); err != nil {
		return nil, err
	}
	return []bound{
		{"restore to an empty host, of tar + zstd -3", ratios(fastship.wall, tar.wall), 1 / 1.5, "×"},
		{"the same, CPU seconds of the client", ratios(fastship.cpu, tar.cpu), 1, "×"},
		{"restore to an empty host, of zip", ratios(fastship.wall, zip.wall), 1 / 3.0, "×"},
		{"restore to an empty host, of one writer from memory", ratios(fastship.wall, raw.wall), 1.5, "×"},
		{"restore to an empty host, peak memory", fastship.memory, 150, "MiB"},
	}, nil
}
