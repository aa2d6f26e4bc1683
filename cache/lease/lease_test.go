package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
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

// The ways to edit a file in place without a trace in its size or mtime.
func edits() map[string]func(path string) error {
	write := func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte("EVIL"), 0)
		return errors.Join(err, f.Close())
	}
	return map[string]func(string) error{
		"in place": write,
		"with its mtime put back": func(path string) error {
			info, err := os.Stat(path)
			return errors.Join(err, write(path), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"through a mapping": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			m, _, err := mapFile(path)
			if err != nil {
				return err
			}
			copy(m, "EVIL")
			return errors.Join(unix.Munmap(m), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
	}
}

func mapFile(path string) ([]byte, *os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, 4, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return m, f, err
}

const victim = "org/group1/a1/1.0/a1-1.0.jar"

func TestAnEditPoisonsNobody(t *testing.T) {
	for name, edit := range edits() {
		t.Run(name, func(t *testing.T) {
			p, c := pool(t, t.TempDir(), Options{}), repository(5)
			l := take(t, p, c)
			apply(t, l, c, c.fetch)
			aged()
			if err := edit(l.path(victim)); err != nil {
				t.Fatal(err)
			}
			other := take(t, p, c) // copies while the edited one is in use
			if a := apply(t, other, c, c.fetch); a.Fetched.Files != 1 || a.Copied.Files != 9 {
				t.Errorf("another lease: %+v", a)
			}
			changes, err := l.Changes(t.Context())
			if err != nil || len(changes.Edited) != 1 || changes.Edited[0].Path != victim || len(changes.Added)+len(changes.Removed) != 0 {
				t.Errorf("changes: %+v, %v", changes, err)
			}
			closeLease(t, l)
			closeLease(t, other)
			for range 2 {
				l := take(t, p, c)
				apply(t, l, c, c.fetch)
				defer closeLease(t, l)
			}
		})
		t.Run(name+", after the end of the build", func(t *testing.T) {
			p, c := pool(t, t.TempDir(), Options{}), repository(5)
			l := take(t, p, c)
			apply(t, l, c, c.fetch)
			closeLease(t, l)
			if err := edit(l.path(victim)); err != nil { // at once: racy
				t.Fatal(err)
			}
			l = take(t, p, c)
			if a := apply(t, l, c, c.fetch); a.Kept.Files != 9 {
				t.Errorf("next: %+v", a)
			}
		})
	}
}

func TestCloseKeepsWhatItIsTold(t *testing.T) {
	p, c := pool(t, t.TempDir(), Options{}), repository(3)
	l := take(t, p, c)
	apply(t, l, c, c.fetch)
	touched, removed := "org/group0/a0/1.0/a0-1.0.jar", "org/group2/a2/1.0/a2-1.0.pom"
	for _, err := range []error{
		os.WriteFile(l.path("org/new.jar"), []byte("new"), 0o644),
		os.WriteFile(l.path("org/x.lastUpdated"), nil, 0o644),
		os.Chtimes(l.path(touched), time.Time{}, time.Now().Add(-time.Hour)), // the same content
		os.Remove(l.path(removed)),
		os.WriteFile(l.path(victim), []byte("edited"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	changes, err := l.Changes(t.Context())
	if err != nil || len(changes.Added) != 2 || len(changes.Edited) != 1 || len(changes.Removed) != 1 || changes.Removed[0] != removed {
		t.Fatalf("changes: %+v, %v", changes, err)
	}
	r, err := changes.Added[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "new" || changes.Added[0].Path != "org/new.jar" || changes.Added[0].Size != 3 {
		t.Errorf("added: %q, %v, %+v", b, err, changes.Added[0])
	}
	_ = r.Close()
	closeLease(t, l, "org/new.jar")
	left := maps.Clone(c)
	left["org/new.jar"] = "new"
	delete(left, removed)
	delete(left, victim)
	wantFiles(t, l.Dir(), left)
	l = take(t, p, left)
	if a := apply(t, l, left, noFetch); a.Kept.Files != 5 {
		t.Errorf("next: %+v", a)
	}
}

func TestTrim(t *testing.T) {
	root := t.TempDir()
	p := pool(t, root, Options{})
	var leases []*Lease
	for i := range 3 {
		c := content{fmt.Sprint("f", i): strings.Repeat("x", 1000)}
		l := take(t, p, c)
		apply(t, l, c, c.fetch)
		leases = append(leases, l)
	}
	for i, l := range leases[:2] {
		closeLease(t, l)
		old := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(filepath.Join(l.home, indexName), old, old); err != nil {
			t.Fatal(err)
		}
	}
	small := pool(t, root, Options{MaxBytes: 2500})
	if err := small.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHomes(t, small, leases[1], leases[2])
	small = pool(t, root, Options{MaxBytes: 1})
	if err := small.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHomes(t, small, leases[2]) // in use
	if err := leases[2].Discard(); err != nil {
		t.Fatal(err)
	}
	wantHomes(t, small)
	if err := os.MkdirAll(filepath.Join(root, "STRANDED", repositoryName), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, tmpName, "HALF"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHomes(t, p)
	if left, err := os.ReadDir(filepath.Join(root, tmpName)); err != nil || len(left) != 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
}

func wantHomes(t *testing.T, p *Pool, want ...*Lease) {
	t.Helper()
	homes, err := p.homes()
	if err != nil || len(homes) != len(want) {
		t.Errorf("%d repositories, want %d; %v", len(homes), len(want), err)
	}
	for _, l := range want {
		if _, err := os.Stat(l.home); err != nil {
			t.Error(err)
		}
	}
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

// A fetch that stops after its k-th file, for every k, and one that gives half
// a file: nothing of it is trusted that is not whole.
func TestStopAfterEveryFile(t *testing.T) {
	c := repository(6)
	stopped := errors.New("stopped")
	for k := range len(c) {
		p := pool(t, t.TempDir(), Options{})
		l := take(t, p, c)
		n := 0
		_, err := l.apply(t.Context(), c.entries(), func(ctx context.Context, want []tree.Entry, sink tree.Sink) ([]tree.Entry, error) {
			for _, e := range want {
				b := io.Reader(strings.NewReader(c[e.Path]))
				if n == k {
					b = io.MultiReader(strings.NewReader(c[e.Path][:3]), errReader{stopped})
				}
				n++
				if err := sink(ctx, e, b); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
		if !errors.Is(err, stopped) {
			t.Fatalf("k=%d: %v", k, err)
		}
		if err := l.lock.Close(); err != nil { // as a killed process's
			t.Fatal(err)
		}
		l = take(t, p, c)
		if a := apply(t, l, c, c.fetch); a.Kept.Files+a.Copied.Files != k {
			t.Errorf("k=%d: %+v", k, a)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestKill is also the process that is killed.
func TestKill(t *testing.T) {
	const rootVariable = "LEASE_KILL_ROOT"
	c, half := repository(60), repository(30)
	if root := os.Getenv(rootVariable); root != "" {
		p := pool(t, root, Options{})
		fmt.Println("begun")
		for {
			for _, want := range []content{c, half} {
				l := take(t, p, want)
				if _, err := l.apply(t.Context(), want.entries(), c.fetch); err != nil {
					t.Fatal(err)
				}
				closeLease(t, l)
			}
		}
	}
	kills := 4
	if n, err := strconv.Atoi(os.Getenv("FASTSHIP_KILLS")); err == nil {
		kills = n
	}
	root := t.TempDir()
	for i := range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), rootVariable+"="+root)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if b := make([]byte, 5); true {
			if _, err := io.ReadFull(out, b); err != nil || !bytes.Equal(b, []byte("begun")) {
				t.Fatalf("%q, %v", b, err)
			}
		}
		time.Sleep(time.Duration(3+7*i%50) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		p := pool(t, root, Options{})
		l := take(t, p, c)
		apply(t, l, c, c.fetch)
		closeLease(t, l)
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
