package tree

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
)

// TestBig saves and fetches a big tree of real files and tells the peak of
// this process's memory. FASTSHIP_TREE_BIG is "megabytes,files", e.g. 1000,100000.
// The blobs are on disk.
func TestBig(t *testing.T) {
	spec := os.Getenv("FASTSHIP_TREE_BIG")
	if spec == "" {
		t.Skip("FASTSHIP_TREE_BIG is not set: a long run, see .ci/soak")
	}
	mb, n, _ := strings.Cut(spec, ",")
	size, _ := strconv.Atoi(mb)
	count, _ := strconv.Atoi(n)
	root := t.TempDir()
	fs := bigTree(t, root, size<<20, count)
	c := New(Config{Own: newDisk(t)})
	start := time.Now()
	s, err := c.Save(t.Context(), Change{Pointer: "main", Add: fs})
	if err != nil {
		t.Fatal(err)
	}
	saved := time.Since(start)
	start = time.Now()
	tr, _, err := c.Find(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	found := time.Since(start)
	out := t.TempDir()
	start = time.Now()
	var want []Entry
	for e := range tr.All() {
		want = append(want, e)
	}
	missing, err := c.Fetch(t.Context(), tr, want, func(_ context.Context, e Entry, r io.Reader) error {
		p := filepath.Join(out, e.Path)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		f, err := os.Create(p)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		f.Close()
		return err
	})
	if err != nil || len(missing) > 0 || tr.Len() != count || s.Files != count {
		t.Fatalf("%v, %d missing, %d entries", err, len(missing), tr.Len())
	}
	t.Logf("%d MB, %d files: save %v, find %v, fetch %v, %d requests, peak %s", tr.Bytes()>>20, count, saved, found, time.Since(start), s.Requests, peak(t))
}

// bigTree writes a repository's shape: half poms, small jars, some large jars.
func bigTree(t *testing.T, root string, size, count int) (out []File) {
	large := max(size/2/(2<<20), 1)
	small := (size - large*(2<<20)) / max(count/2, 1)
	for i := range count {
		p := fmt.Sprintf("g%d/a%d/f", i%50, i/2)
		b := []byte(strings.Repeat(fmt.Sprintf("<dependency>%d</dependency>\n", i), 60))
		switch {
		case i < large:
			b = noise(uint64(i), 2<<20)
		case i%2 == 0:
			b = noise(uint64(i), max(small, 16))
		}
		b = fmt.Appendf(b, "%d", i)
		full := filepath.Join(root, p+strconv.Itoa(i))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, b, 0o644); err != nil {
			t.Fatal(err)
		}
		out = append(out, File{Path: p + strconv.Itoa(i), Size: int64(len(b)), Mode: 0o644, Open: func() (io.ReadCloser, error) { return os.Open(full) }})
	}
	return out
}

func peak(t *testing.T) string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// disk keeps blobs in a real directory store and pointers in memory.
type disk struct {
	*memory
	blobs blobStore
}

type blobStore interface {
	Open(ctx context.Context, d digest, off, n int64) (io.ReadCloser, error)
	Put(ctx context.Context, d digest, size int64, r io.Reader) error
}

func (s disk) Open(ctx context.Context, d digest, off, n int64) (io.ReadCloser, error) {
	return s.blobs.Open(ctx, d, off, n)
}

func (s disk) Put(ctx context.Context, d digest, size int64, r io.Reader) error {
	return s.blobs.Put(ctx, d, size, r)
}

type digest = cache.Digest

func newDisk(t *testing.T) disk {
	s, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return disk{newMemory(), s}
}
