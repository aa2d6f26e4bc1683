package lease

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/tree"
)

// content is what a remote store has, by path.
type content map[string]string

func repository(n int) content {
	c := content{}
	for i := range n {
		c[fmt.Sprintf("org/group%d/a%d/1.0/a%d-1.0.jar", i%5, i, i)] = strings.Repeat(fmt.Sprint(i, ","), 50+i%7)
		c[fmt.Sprintf("org/group%d/a%d/1.0/a%d-1.0.pom", i%5, i, i)] = fmt.Sprintf("<project>%d</project>", i)
	}
	return c
}

func (c content) entries() []tree.Entry {
	var all []tree.Entry
	for _, p := range sortedKeys(c) {
		all = append(all, tree.Entry{Path: p, Size: int64(len(c[p])), Mode: 0o644, Digest: cache.Sum([]byte(c[p]))})
	}
	return all
}

func (c content) fetch(ctx context.Context, want []tree.Entry, sink tree.Sink) (missing []tree.Entry, err error) {
	for _, e := range want {
		b, ok := c[e.Path]
		if !ok {
			missing = append(missing, e)
			continue
		}
		if err := sink(ctx, e, strings.NewReader(b)); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

func noFetch(_ context.Context, want []tree.Entry, _ tree.Sink) ([]tree.Entry, error) {
	return nil, fmt.Errorf("fetched %d files, %s first", len(want), want[0].Path)
}

func pool(t *testing.T, root string, opt Options) *Pool {
	t.Helper()
	opt.Warn = func(err error) { t.Errorf("warned: %v", err) }
	p, err := Open(root, opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func take(t *testing.T, p *Pool, c content) *Lease {
	t.Helper()
	l, err := p.take(t.Context(), c.entries())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func apply(t *testing.T, l *Lease, c content, fetch Fetch) Applied {
	t.Helper()
	a, err := l.apply(t.Context(), c.entries(), fetch)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, l.Dir(), c)
	return a
}

func closeLease(t *testing.T, l *Lease, keep ...string) {
	t.Helper()
	if err := l.Close(t.Context(), keep...); err != nil {
		t.Fatal(err)
	}
}

func wantFiles(t *testing.T, dir string, want content) {
	t.Helper()
	got := content{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		got[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if !maps.Equal(got, want) {
		for p := range want {
			if got[p] != want[p] {
				t.Errorf("%s holds %.30q, want %.30q", p, got[p], want[p])
			}
		}
		t.Errorf("%d files, want %d", len(got), len(want))
	}
}

// aged waits until what was written just now is no longer racy.
func aged() { time.Sleep(2 * tick) }
