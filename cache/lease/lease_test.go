package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cache/tree"
)

func TestApplyKeepsCopiesAndFetches(t *testing.T) {
	root := filepath.Join(t.TempDir(), "leases")
	p := pool(t, root, Options{})
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Open wrote %s: %v", root, err)
	}
	c := repository(40)
	l := take(t, p, c)
	if a := apply(t, l, c, c.fetch); a.Fetched.Files != 80 || a.Kept.Files != 0 {
		t.Errorf("empty: %+v", a)
	}
	closeLease(t, l)

	l = take(t, p, c)
	if a := apply(t, l, c, noFetch); a.Kept.Files != 80 || a.Removed != 0 {
		t.Errorf("warm: %+v", a)
	}
	second := take(t, p, c) // the first is in use
	if second.Dir() == l.Dir() {
		t.Fatal("two builds have one repository")
	}
	if a := apply(t, second, c, noFetch); a.Copied.Files != 80 {
		t.Errorf("beside: %+v", a)
	}
	for name := range c { // private inodes
		one, _ := os.Stat(l.path(name))
		other, _ := os.Stat(second.path(name))
		if os.SameFile(one, other) {
			t.Errorf("%s is shared", name)
		}
	}
	closeLease(t, second)

	more := maps.Clone(c)
	more["org/new/1/new-1.jar"] = "new"
	delete(more, "org/group0/a0/1.0/a0-1.0.jar")
	if a := apply(t, l, more, more.fetch); a.Kept.Files != 79 || a.Fetched.Files != 1 || a.Removed != 1 {
		t.Errorf("one more, one less: %+v", a)
	}
	closeLease(t, l)
	if other := take(t, p, repository(0)); other.Dir() == l.Dir() || other.Dir() == second.Dir() {
		t.Error("a full repository is turned over for nothing in common")
	}
}

func TestApplyReadsTheLocalBlobs(t *testing.T) {
	blobs, err := dir.Open(filepath.Join(t.TempDir(), "blobs"), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := repository(3)
	for _, b := range c {
		if err := blobs.Put(t.Context(), cache.Sum([]byte(b)), int64(len(b)), strings.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	l := take(t, pool(t, t.TempDir(), Options{Blobs: blobs}), c)
	if a := apply(t, l, c, noFetch); a.Copied.Files != 6 {
		t.Errorf("%+v", a)
	}
}

func TestApplyRemovesWhateverElseIsThere(t *testing.T) {
	p, c := pool(t, t.TempDir(), Options{}), repository(5)
	l := take(t, p, c)
	apply(t, l, c, c.fetch)
	jar := "org/group1/a1/1.0/a1-1.0.jar"
	for _, err := range []error{
		os.MkdirAll(filepath.Join(l.Dir(), "locked/deep"), 0o755),
		os.WriteFile(filepath.Join(l.Dir(), "locked/deep/x.lastUpdated"), nil, 0o644),
		os.Chmod(filepath.Join(l.Dir(), "locked"), 0o000),
		os.Symlink("/etc/passwd", filepath.Join(l.Dir(), "link")),
		os.Remove(l.path(jar)), os.MkdirAll(l.path(jar+"/folder"), 0o755), // a folder in a file's place
		os.RemoveAll(l.path("org/group2")), os.WriteFile(l.path("org/group2"), nil, 0o644), // and a file in a folder's
		os.Chmod(l.path("org/group3/a3/1.0/a3-1.0.jar"), 0o400),
		syscall.Mkfifo(l.path("org/fifo"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if a := apply(t, l, c, c.fetch); a.Fetched.Files != 4 {
		t.Errorf("%+v", a)
	}
}

// After a power cut the bytes may be others than the stat says.
func TestAnotherBootHashesEveryFileOnce(t *testing.T) {
	p, c := pool(t, t.TempDir(), Options{}), repository(5)
	l := take(t, p, c)
	apply(t, l, c, c.fetch)
	r := l.index.files[victim]
	r.digest = cache.Sum([]byte("what was to be written"))
	l.index.files[victim] = r
	want := c.entries()
	for i := range want {
		if want[i].Path == victim {
			want[i].Digest = r.digest
		}
	}
	aged()
	if err := errors.Join(l.writeIndex(), l.lock.Close()); err != nil {
		t.Fatal(err)
	}
	for _, boot := range []string{p.boot, "another"} {
		p.boot = boot
		l, err := p.take(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for _, e := range want {
			info, err := os.Stat(l.path(e.Path))
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := l.trusted(e, present{mode: info.Mode().Perm(), stamp: l.index.files[e.Path].stamp}); ok {
				kept++
			}
		}
		if want := map[bool]int{true: 10, false: 9}[boot != "another"]; kept != want {
			t.Errorf("boot %q: %d files are trusted, want %d", boot, kept, want)
		}
		_ = l.lock.Close()
	}
}

// Where the file system's clock is coarse, a change within a tick of the
// record leaves the ctime.
func TestAYoungRecordIsHashedBeforeItIsTrusted(t *testing.T) {
	now := time.Now()
	x := &index{files: map[string]record{}}
	for name, age := range map[string]time.Duration{"young": tick / 2, "future": -time.Hour, "old": 2 * tick} {
		x.put(name, record{digest: cache.Sum(nil), stamp: stamp{ctime: now.Add(-age).UnixNano()}})
	}
	x, err := decodeIndex(x.encode(now, "boot"), "boot")
	if err != nil {
		t.Fatal(err)
	}
	if !x.files["young"].racy || !x.files["future"].racy || x.files["old"].racy {
		t.Errorf("%+v", x.files)
	}
}

func TestMissingIsTold(t *testing.T) {
	c := repository(2)
	want := maps.Clone(c)
	want["gone.jar"] = "nobody has it"
	l := take(t, pool(t, t.TempDir(), Options{}), c)
	a, err := l.apply(t.Context(), want.entries(), c.fetch)
	if err != nil || len(a.Missing) != 1 || a.Missing[0].Path != "gone.jar" {
		t.Errorf("%+v, %v", a.Missing, err)
	}
	wantFiles(t, l.Dir(), c)
}

func TestSixteenBuildsAtOnce(t *testing.T) {
	root, c := t.TempDir(), repository(10)
	var wg sync.WaitGroup
	var mu sync.Mutex
	using := map[string]bool{}
	for range 16 {
		wg.Go(func() {
			p := pool(t, root, Options{})
			for range 3 {
				l, err := p.take(t.Context(), c.entries())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if using[l.Dir()] {
					t.Errorf("%s is lent twice", l.Dir())
				}
				using[l.Dir()] = true
				mu.Unlock()
				if _, err := l.apply(t.Context(), c.entries(), c.fetch); err != nil {
					t.Error(err)
				}
				wantFiles(t, l.Dir(), c)
				mu.Lock()
				delete(using, l.Dir())
				mu.Unlock()
				if err := errors.Join(l.Close(t.Context()), p.Trim(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestAReadOnlyCacheIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file as root: %v", err)
	}
	p, err := Open(filepath.Join(file, "leases"), Options{})
	if err == nil {
		_, err = p.Take(t.Context(), nil)
	}
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("below a file: %v", err)
	}
}

func FuzzIndex(f *testing.F) {
	x := &index{files: map[string]record{}}
	x.put("a/b.jar", record{digest: cache.Sum(nil), mode: 0o644, stamp: stamp{size: 3, mtime: 4, ctime: 5, inode: 6}})
	b := x.encode(time.Now(), "boot")
	body := b[bytes.LastIndexByte(b[:len(b)-40], '\n')+1:]
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		head := fmt.Sprintf("%s\n%d\nboot\n%s\n", indexFormat, 0, cache.Sum(body).Hex())
		x, err := decodeIndex(append([]byte(head), body...), "boot")
		if err != nil {
			return
		}
		again, err := decodeIndex(x.encode(time.Unix(1<<40, 0), "boot"), "boot")
		if err != nil || len(again.files) != len(x.files) {
			t.Errorf("%d files, then %v", len(x.files), err)
		}
	})
}

func BenchmarkWarmApply(b *testing.B) {
	p, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	c := repository(1352)
	want := c.entries()
	once := func() {
		l, err := p.take(b.Context(), want)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.apply(b.Context(), want, c.fetch); err != nil {
			b.Fatal(err)
		}
		if err := l.lock.Close(); err != nil {
			b.Fatal(err)
		}
	}
	once()
	for b.Loop() {
		once()
	}
}

func TestKnownIsWhatTheLabelsLastRepositoryHolds(t *testing.T) {
	p := pool(t, t.TempDir(), Options{})
	if p.Known("orders") != nil {
		t.Error("an empty pool knows something")
	}
	c := repository(5)
	l := take(t, p, c)
	if _, err := l.apply(t.Context(), c.entries(), c.fetch); err != nil {
		t.Fatal(err)
	}
	if err := l.Label("orders", c.entries()[1].Path, "gone"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Known("other") != nil {
		t.Error("another label is known")
	}
	want := p.Known("orders")
	if want == nil || want.Len() != len(c) {
		t.Fatalf("known %v, want %d files", want, len(c))
	}
	if got := p.Unsaved("orders"); len(got) != 1 || got[0] != c.entries()[1] {
		t.Errorf("unsaved %+v, want the second file that is there", got)
	}
	if got := p.Unsaved("other"); len(got) > 0 {
		t.Errorf("unsaved of another label: %+v", got)
	}
	nothing := func(_ context.Context, want []tree.Entry, _ tree.Sink) ([]tree.Entry, error) { return want, nil }
	again, err := p.Take(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	a, err := again.Apply(t.Context(), want, nothing)
	if err != nil || a.Kept.Files != len(c) || len(a.Missing) > 0 {
		t.Errorf("applied %+v, %v", a, err)
	}
	beside, err := p.Take(t.Context(), want) // while the first is lent out
	if err != nil {
		t.Fatal(err)
	}
	b, err := beside.Apply(t.Context(), want, nothing)
	if err != nil || b.Copied.Files != len(c) {
		t.Errorf("beside it: applied %+v, %v", b, err)
	}
	if n, err := p.Bytes(); err != nil || n != 2*want.Bytes() {
		t.Errorf("%d bytes, %v; want %d", n, err, 2*want.Bytes())
	}
	for _, l := range []*Lease{again, beside} {
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
