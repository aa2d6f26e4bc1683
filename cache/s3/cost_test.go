package s3

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cache/s3/s3test"
	"github.com/fastship/fastship/cache/tiered"
	"github.com/fastship/fastship/cache/tree"
)

// bill counts what S3 charges for: writes are PUT, POST, COPY and LIST, reads
// GET and HEAD; DELETE is free (https://aws.amazon.com/s3/pricing/).
type bill struct {
	mu             sync.Mutex
	writes, reads  int
	sent, received int64
}

func (b *bill) counter() *s3test.Counter {
	return &s3test.Counter{After: func(req *http.Request, resp *http.Response) (*http.Response, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch {
		case req.Method == http.MethodPut, req.Method == http.MethodPost, req.URL.Query().Has("list-type"):
			b.writes++
			b.sent += max(0, req.ContentLength)
		case req.Method == http.MethodGet, req.Method == http.MethodHead:
			b.reads++
			if req.Method == http.MethodGet {
				b.received += max(0, resp.ContentLength)
			}
		}
		return resp, nil
	}}
}

// check compares what was counted since the last time with a row of the
// document: no more than it says, and not much less. How files fall into packs
// is not always the same.
func (b *bill) check(t *testing.T, doc, what string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	counted := []float64{float64(b.writes), float64(b.reads), float64(b.sent+b.received) / 1e6}
	b.writes, b.reads, b.sent, b.received = 0, 0, 0, 0
	_, row, ok := strings.Cut(doc, "\n| "+what+" | ")
	row, _, _ = strings.Cut(row, " |\n")
	cells := strings.Split(row, " | ")
	if !ok || len(cells) != len(counted) {
		t.Fatalf("docs/cache.md has no row for %q; counted %v", what, counted)
	}
	for i, cell := range cells {
		said, err := strconv.ParseFloat(strings.Fields(cell)[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		slack := 1.0
		if i == 2 {
			slack = 0.1
		}
		if counted[i] > said || said > counted[i]*1.1+slack {
			t.Errorf("docs/cache.md says %s of %q; counted %v", cell, what, counted)
		}
	}
}

// repository is what a service of some size keeps: 60 jars of 1 MB, 400 of 50
// kB, 1,600 poms and tracking files of 2 kB.
func repository() (files []tree.File) {
	from := rand.New(rand.NewPCG(1, 2))
	for i := range 2060 {
		size, name := 2_000, "text"
		switch {
		case i < 60:
			size, name = 1_000_000, "large"
		case i < 460:
			size, name = 50_000, "small"
		}
		files = append(files, file(fmt.Sprintf("%s/%d", name, i), size, from))
	}
	return files
}

func file(path string, size int, from *rand.Rand) tree.File {
	b := make([]byte, size)
	if strings.HasPrefix(path, "text") {
		copy(b, bytes.Repeat(fmt.Appendf(nil, "<artifactId>%d</artifactId>", from.Uint64()), 1+size/30))
	} else {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], from.Uint64())
		_, _ = rand.NewChaCha8(seed).Read(b)
	}
	return tree.File{Path: path, Size: int64(size), Mode: 0o644, Digest: cache.Sum(b), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// TestRequestsOfABuild counts what docs/cache.md promises.
func TestRequestsOfABuild(t *testing.T) {
	doc, err := os.ReadFile("../../docs/cache.md")
	if err != nil {
		t.Fatal(err)
	}
	var b bill
	endpoint := url.QueryEscape(s3test.Start(t, s3test.Fake))
	store := func() *Store {
		return openAt(t, "s3://"+s3test.Bucket+"/p?path-style=true&region=us-east-1&endpoint="+endpoint, b.counter())
	}
	ctx := t.Context()
	holds := func(what string) {
		t.Helper()
		b.check(t, string(doc), what)
	}
	save := func(c *tree.Cache, from *tree.Tree, add []tree.File) *tree.Tree {
		t.Helper()
		ch := tree.Change{Pointer: "main", From: from, Add: add}
		if from != nil {
			for e := range from.All() {
				ch.Used = append(ch.Used, e.Path)
			}
		}
		got, err := c.Save(ctx, ch)
		if err != nil {
			t.Fatal(err)
		}
		return got.Tree
	}
	here := openDir(t)
	c := tree.New(tree.Config{Own: store(), Local: here})
	now := save(c, nil, repository())
	holds("first save")
	save(c, now, nil)
	holds("save with nothing new")
	from := rand.New(rand.NewPCG(3, 4))
	now = save(c, now, []tree.File{file("large/new", 1_000_000, from), file("text/new.pom", 2_000, from), file("text/new", 200, from)})
	holds("save with one new dependency")
	func() {
		c := tree.New(tree.Config{Own: store(), Local: openDir(t)})
		found, _, err := c.Find(ctx, "main")
		if err != nil || found.Len() != now.Len() {
			t.Fatal(err)
		}
		var want []tree.Entry
		for e := range found.All() {
			want = append(want, e)
		}
		missing, err := c.Fetch(ctx, found, want, func(_ context.Context, _ tree.Entry, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if err != nil || len(missing) > 0 {
			t.Errorf("%d missing, %v", len(missing), err)
		}
	}()
	holds("restore on an empty host")

	results(ctx, t, store, here, holds)

	late := tree.New(tree.Config{Own: store(), Now: func() time.Time { return time.Now().Add(48 * time.Hour) }})
	if _, err := late.GC(ctx, tree.GCOptions{}); err != nil {
		t.Error(err)
	}
	holds("`fastship cache gc`")
}

func openDir(t *testing.T) *dir.Store {
	t.Helper()
	s, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// results counts finished work: a result with two blobs, as the Maven job's
// jar and reports.
func results(ctx context.Context, t *testing.T, store func() *Store, here *dir.Store, holds func(string)) {
	t.Helper()
	from := rand.New(rand.NewPCG(5, 6))
	action := cache.Action{Outputs: []byte(`{}`), Created: time.Now()}
	s := tiered.New(tiered.Config{Local: here, Own: store()})
	for _, size := range []int64{1_000_000, 20_000} {
		f := file("jar", int(size), from)
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(ctx, f.Digest, size, r); err != nil {
			t.Fatal(err)
		}
		action.Blobs = append(action.Blobs, cache.Descriptor{Digest: f.Digest, Size: size})
	}
	if _, err := s.GetAction(ctx, "k"); err == nil {
		t.Error("it is there")
	}
	holds("look for a result that nobody has")
	if err := s.PutAction(ctx, "k", action); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	holds("keep a result with a jar and reports")
	use := func(local *dir.Store) {
		s := tiered.New(tiered.Config{Local: local, Own: store()})
		got, err := s.GetAction(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		for _, blob := range got.Blobs {
			r, err := s.Open(ctx, blob.Digest, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Error(err)
			}
			_ = r.Close()
		}
		if err := s.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	use(openDir(t))
	holds("use a result on another host")
	use(here)
	holds("use a result on the same host")
}
