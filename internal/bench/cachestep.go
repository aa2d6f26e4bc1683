package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/fastship/fastship/cache/lease"
	"github.com/fastship/fastship/cache/s3"
	"github.com/fastship/fastship/cache/tree"
)

// stepVerb makes this program one step of the cache's benchmark, so that each
// step is a process of its own with its own time, CPU seconds and memory.
const stepVerb = "cache-step"

// storeVariable names the store's address, profileVariable a file that takes
// a step's CPU profile.
const (
	storeVariable   = "FASTSHIP_BENCH_STORE"
	profileVariable = "FASTSHIP_BENCH_PROFILE"
	benchPointer    = "bench"
)

// stepResult is what a step prints.
type stepResult struct {
	Seconds  float64 // of the step itself, without the process's start
	Files    int
	Bytes    int64   // sent, or received into files
	Requests int     // HTTP requests, where they are counted
	After    float64 // seconds spent after the step, such as giving a repository back
}

func cacheStep(ctx context.Context, args []string) error {
	steps := map[string]func(context.Context, []string) (stepResult, error){
		"save": saveStep, "add": addStep, "restore": restoreStep, "write": writeStep,
	}
	if len(args) == 0 || steps[args[0]] == nil {
		return errors.New("a step of the cache's benchmark has no such name")
	}
	if name := os.Getenv(profileVariable); name != "" {
		f, err := os.Create(name + "." + args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	r, err := steps[args[0]](ctx, args[1:])
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func openTrees(ctx context.Context, transport http.RoundTripper) (*tree.Cache, error) {
	c, err := s3.ParseURL(os.Getenv(storeVariable))
	if err != nil {
		return nil, err
	}
	c.Scope, c.Transport = "trusted", transport
	store, err := s3.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	var faults atomic.Int32
	return tree.New(tree.Config{Own: store, Warn: func(err error) {
		if faults.Add(1) < 10 {
			fmt.Fprintln(os.Stderr, "warning:", err)
		}
	}}), nil
}

// saveStep stores a folder under a new pointer.
func saveStep(ctx context.Context, args []string) (stepResult, error) {
	start := time.Now()
	trees, err := openTrees(ctx, nil)
	if err != nil {
		return stepResult{}, err
	}
	files, err := filesBelow(args[0])
	if err != nil {
		return stepResult{}, err
	}
	s, err := trees.Save(ctx, tree.Change{Pointer: args[1], Add: files})
	if err == nil && s.Tree.Len() != len(files) {
		err = fmt.Errorf("%d files of %d were saved", s.Tree.Len(), len(files))
	}
	return stepResult{Seconds: time.Since(start).Seconds(), Files: s.Files, Bytes: s.Bytes}, err
}

// counter counts requests.
type counter struct {
	base http.RoundTripper
	n    atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.base.RoundTrip(r)
}

// addStep saves a folder's files on top of a tree, and counts the requests
// from the moment that the tree is known, as a build knows it.
func addStep(ctx context.Context, args []string) (stepResult, error) {
	count := &counter{base: http.DefaultTransport}
	trees, err := openTrees(ctx, count)
	if err != nil {
		return stepResult{}, err
	}
	from, _, err := trees.Find(ctx, args[1])
	if err != nil {
		return stepResult{}, err
	}
	files, err := filesBelow(args[0])
	if err != nil {
		return stepResult{}, err
	}
	before, start := count.n.Load(), time.Now()
	var used []string
	for e := range from.All() {
		used = append(used, e.Path)
	}
	s, err := trees.Save(ctx, tree.Change{Pointer: args[1], From: from, Used: used, Add: files})
	return stepResult{Seconds: time.Since(start).Seconds(), Files: s.Files, Bytes: s.Bytes, Requests: int(count.n.Load() - before)}, err
}

// restoreStep makes a repository of the pool hold the tree.
func restoreStep(ctx context.Context, args []string) (stepResult, error) {
	start := time.Now()
	trees, err := openTrees(ctx, nil)
	if err != nil {
		return stepResult{}, err
	}
	pool, err := lease.Open(args[0], lease.Options{})
	if err != nil {
		return stepResult{}, err
	}
	want, _, err := trees.Find(ctx, args[1])
	if err != nil {
		return stepResult{}, err
	}
	l, err := pool.Take(ctx, want)
	if err != nil {
		return stepResult{}, err
	}
	a, err := l.Apply(ctx, want, func(ctx context.Context, entries []tree.Entry, sink tree.Sink) ([]tree.Entry, error) {
		return trees.Fetch(ctx, want, entries, sink)
	})
	if err == nil && len(a.Missing) > 0 {
		err = fmt.Errorf("%d files are missing", len(a.Missing))
	}
	r := stepResult{Seconds: time.Since(start).Seconds(), Files: a.Fetched.Files, Bytes: a.Fetched.Bytes}
	start = time.Now()
	err = errors.Join(err, l.Close(ctx))
	r.After = time.Since(start).Seconds()
	return r, err
}

// writeStep writes a folder's files from memory, one after the other: what
// any restore has to do at least.
func writeStep(ctx context.Context, args []string) (stepResult, error) {
	files, err := filesBelow(args[0])
	if err != nil {
		return stepResult{}, err
	}
	content := make([][]byte, len(files))
	for i, f := range files {
		if content[i], err = os.ReadFile(filepath.Join(args[0], f.Path)); err != nil {
			return stepResult{}, err
		}
	}
	start, made := time.Now(), map[string]bool{}
	r := stepResult{Files: len(files)}
	for i, f := range files {
		name := filepath.Join(args[1], f.Path)
		if d := filepath.Dir(name); !made[d] {
			made[d] = true
			if err := os.MkdirAll(d, 0o755); err != nil {
				return r, err
			}
		}
		if err := os.WriteFile(name, content[i], 0o644); err != nil {
			return r, err
		}
		r.Bytes += f.Size
	}
	r.Seconds = time.Since(start).Seconds()
	return r, ctx.Err()
}

func filesBelow(root string) (files []tree.File, err error) {
	err = filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		files = append(files, tree.File{Path: filepath.ToSlash(rel), Size: info.Size(), Mode: info.Mode().Perm(), Open: func() (io.ReadCloser, error) { return os.Open(name) }})
		return nil
	})
	return files, err
}
