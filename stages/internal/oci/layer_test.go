package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/klauspost/compress/zstd"
)

// memory is the part of a store that WriteLayer uses.
type memory struct {
	cache.LocalStore
	blobs map[cache.Digest][]byte
	fail  int // bytes after which writing fails; 0 means never
}

func (m *memory) Create(context.Context) (cache.BlobWriter, error) { return &memoryBlob{store: m}, nil }

type memoryBlob struct {
	bytes.Buffer
	store *memory
}

var errDisk = errors.New("no space left on device")

func (b *memoryBlob) Write(p []byte) (int, error) {
	if b.store.fail > 0 && b.Len()+len(p) > b.store.fail {
		return 0, errDisk
	}
	return b.Buffer.Write(p)
}

func (b *memoryBlob) Commit() (cache.Descriptor, error) {
	d := cache.Sum(b.Bytes())
	b.store.blobs[d] = b.Bytes()
	return cache.Descriptor{Digest: d, Size: int64(b.Len())}, nil
}

func (b *memoryBlob) Abort() {}

func newMemory() *memory { return &memory{blobs: map[cache.Digest][]byte{}} }

func content(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// sample has more than one block of either codec, compressible and not.
func sample() []File {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 3<<20+17)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	text := []byte(strings.Repeat("the quick brown fox jumps\n", 240_000))
	return []File{
		{Path: "app/lib/b.jar", Mode: 0o644, Size: int64(len(noise)), Open: content(noise)},
		{Path: "app/app.jar", Mode: 0o644, Size: int64(len(text)), Open: content(text), ModTime: time.Unix(86400, 5)},
		{Path: "app/" + strings.Repeat("long/", 60) + "ünïcode", Mode: 0o600, UID: 7, GID: 8},
		{Path: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Path: "bin", Mode: fs.ModeSymlink | 0o777, Link: "usr/bin"},
		{Path: "app-info", Mode: 0o755, Size: 2, Open: content([]byte("hi"))},
	}
}

func codecs() []Codec {
	return []Codec{Gzip(1), Gzip(6), Zstd(zstd.SpeedDefault), Zstd(zstd.SpeedBestCompression)}
}

func unpack(t *testing.T, mediaType string, blob []byte) []byte {
	t.Helper()
	var r io.Reader
	var err error
	if mediaType == MediaTypeLayerGzip {
		r, err = gzip.NewReader(bytes.NewReader(blob)) // the standard library's, as Docker has it
	} else {
		r, err = zstd.NewReader(bytes.NewReader(blob))
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWriteLayerRoundTrip(t *testing.T) {
	for _, codec := range codecs() {
		t.Run(codec.Name, func(t *testing.T) {
			store := newMemory()
			l, err := WriteLayer(t.Context(), store, "application", sample(), codec)
			if err != nil {
				t.Fatal(err)
			}
			if l.Descriptor.Name != "application" || l.Descriptor.MediaType != codec.MediaType {
				t.Errorf("descriptor %+v", l.Descriptor)
			}
			raw := unpack(t, codec.MediaType, store.blobs[l.Descriptor.Digest])
			if got := cache.Sum(raw); got != l.DiffID {
				t.Errorf("diff ID %s, the tar has %s", l.DiffID, got)
			}
			if int64(len(raw)) != l.Uncompressed {
				t.Errorf("uncompressed %d, the tar has %d", l.Uncompressed, len(raw))
			}
			checkEntries(t, raw)
		})
	}
}

func checkEntries(t *testing.T, raw []byte) {
	t.Helper()
	want := map[string]File{}
	for _, f := range sample() {
		want[f.Path] = f
	}
	last, found := "", 0
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		if name <= last {
			t.Errorf("%s after %s", name, last)
		}
		last = name
		if h.Uname+h.Gname != "" || !h.AccessTime.IsZero() || !h.ChangeTime.IsZero() {
			t.Errorf("%s carries %+v", name, h)
		}
		f, ok := want[name]
		if !ok {
			if h.Typeflag != tar.TypeDir || h.Mode != 0o755 || !h.ModTime.Equal(Epoch()) {
				t.Errorf("unexpected entry %+v", h)
			}
			continue
		}
		found++
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		var wantBody []byte
		if f.Open != nil {
			rc, _ := f.Open()
			wantBody, _ = io.ReadAll(rc)
		}
		if sha256.Sum256(body) != sha256.Sum256(wantBody) {
			t.Errorf("%s: other bytes", name)
		}
		if h.FileInfo().Mode() != f.Mode || h.Uid != f.UID || h.Gid != f.GID || h.Linkname != f.Link {
			t.Errorf("%s: %s %d:%d %q", name, h.FileInfo().Mode(), h.Uid, h.Gid, h.Linkname)
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d entries", found, len(want))
	}
}

func TestWriteLayerDoesNotDependOnTheMachine(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	first := map[string]Layer{}
	for _, procs := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(procs)
		for _, codec := range codecs() {
			files := sample()
			rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
			l, err := WriteLayer(t.Context(), newMemory(), "x", files, codec)
			if err != nil {
				t.Fatal(err)
			}
			if procs == 1 {
				first[codec.Name] = l
			} else if l != first[codec.Name] {
				t.Errorf("%s: %d processors give %+v, one gives %+v", codec.Name, procs, l, first[codec.Name])
			}
		}
	}
}

// Layers of one codec share compressors and buffers, and fail on their own.
func TestWriteLayersSideBySide(t *testing.T) {
	all := sample()
	for _, codec := range []Codec{Gzip(1), Zstd(zstd.SpeedFastest)} {
		alone := make([]Layer, len(all))
		for i, f := range all {
			l, err := WriteLayer(t.Context(), newMemory(), "x", []File{f}, codec)
			if err != nil {
				t.Fatal(err)
			}
			alone[i] = l
		}
		var group sync.WaitGroup
		for n := range 2 * len(all) {
			group.Go(func() {
				store, i := newMemory(), n%len(all)
				if n%3 == 0 {
					store.fail = 1
				}
				l, err := WriteLayer(t.Context(), store, "x", []File{all[i]}, codec)
				if store.fail > 0 && !errors.Is(err, errDisk) || store.fail == 0 && (err != nil || l != alone[i]) {
					t.Errorf("%s: %s: %+v, %v; alone %+v", codec.Name, all[i].Path, l, err, alone[i])
				}
			})
		}
		group.Wait()
	}
}

// RFC 8878 asks decoders for a window of 8 MiB; registries' and runtimes' may
// refuse a larger one. Long frames must do with it too, and still find what is
// so far back.
func TestZstdWindow(t *testing.T) {
	rnd := rand.NewChaCha8([32]byte{1})
	part := make([]byte, 5<<20)
	rnd.Read(part)
	data := bytes.Repeat(part, 2)
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedBestCompression} {
		store := newMemory()
		l, err := WriteLayer(t.Context(), store, "x", []File{{Path: "f", Size: int64(len(data)), Open: content(data)}}, Zstd(level))
		if err != nil {
			t.Fatal(err)
		}
		packed := store.blobs[l.Descriptor.Digest]
		if level == zstd.SpeedBestCompression && len(packed) > 6*len(data)/10 {
			t.Errorf("%s: %d bytes of %d: nothing is found a window back", level, len(packed), len(data))
		}
		checkZstd(t, level.String(), packed, l)
		if _, err := exec.LookPath("zstd"); err != nil {
			t.Logf("zstd -d is not asked: %v", err)
			continue
		}
		cmd := exec.CommandContext(t.Context(), "zstd", "-dc", "--memory=8MB")
		cmd.Stdin = bytes.NewReader(packed)
		out, err := cmd.Output()
		if err != nil || cache.Sum(out) != l.DiffID {
			t.Errorf("%s: zstd -d gives %d bytes of %d: %v", level, len(out), l.Uncompressed, err)
		}
	}
}

func whole(parts ...string) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, part := range parts {
			if _, err := io.WriteString(w, part); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestWriteLayerWhole: a file that writes itself is a file like any other.
func TestWriteLayerWhole(t *testing.T) {
	var digests []cache.Digest
	for _, f := range []File{{Path: "a", Size: 5, Open: content([]byte("hello"))}, {Path: "a", Size: 5, Write: whole("he", "", "llo")}} {
		l, err := WriteLayer(t.Context(), newStore(t), "x", []File{f}, Gzip(1))
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, l.Descriptor.Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("layers %v", digests)
	}
}

func TestWriteLayerErrors(t *testing.T) {
	boom := errors.New("boom")
	file := func(p string) File { return File{Path: p, Mode: 0o644, Size: 2, Open: content([]byte("hi"))} }
	cases := map[string]struct {
		files []File
		want  string
	}{
		"absolute":       {[]File{file("/etc/passwd")}, "clean relative path"},
		"escaping":       {[]File{file("a/../../b")}, "clean relative path"},
		"twice":          {[]File{file("a"), file("a")}, "there twice"},
		"whiteout":       {[]File{file("a/.wh.b")}, "mean deletion"},
		"shorter":        {[]File{{Path: "a", Size: 3, Open: content([]byte("hi"))}}, "2 bytes instead of 3"},
		"longer":         {[]File{{Path: "a", Size: 1, Open: content([]byte("hi"))}}, "more than 1 bytes"},
		"shorter, whole": {[]File{{Path: "a", Size: 3, Write: whole("hi")}}, "2 bytes instead of 3"},
		"longer, whole":  {[]File{{Path: "a", Size: 3, Write: whole("hi", "you")}}, "more than 3 bytes"},
		"failing, whole": {[]File{{Path: "a", Size: 3, Write: func(io.Writer) error { return errors.New("no such thing") }}}, "write a: no such thing"},
		"no opener":      {[]File{{Path: "a", Size: 1}}, "nothing to read"},
		"device":         {[]File{{Path: "a", Mode: fs.ModeDevice}}, "neither a file"},
		"open":           {[]File{{Path: "a", Open: func() (io.ReadCloser, error) { return nil, boom }}}, "write a: boom"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			store := newMemory()
			_, err := WriteLayer(t.Context(), store, "application", c.files, Gzip(1))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "layer application: ") {
				t.Errorf("got %v", err)
			}
			if len(store.blobs) != 0 {
				t.Error("something was kept")
			}
		})
	}
}

func TestWriteLayerFullDisk(t *testing.T) {
	for _, room := range []int{1, 1 << 20, 3 << 20} {
		store := newMemory()
		store.fail = room
		before := runtime.NumGoroutine()
		if _, err := WriteLayer(t.Context(), store, "x", sample(), Gzip(1)); !errors.Is(err, errDisk) {
			t.Errorf("room for %d: %v", room, err)
		}
		// A goroutine that has said its last word may still be on its way out.
		left := runtime.NumGoroutine() - before
		for deadline := time.Now().Add(5 * time.Second); left > 0 && time.Now().Before(deadline); left = runtime.NumGoroutine() - before {
			time.Sleep(time.Millisecond)
		}
		if left > 0 {
			t.Errorf("room for %d: %d goroutines left", room, left)
		}
	}
}

func TestWriteLayerCancelled(t *testing.T) {
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	files := append(sample(), File{Path: "app/lib/c.jar", Size: 9, Open: func() (io.ReadCloser, error) {
		cancel(stop)
		return io.NopCloser(strings.NewReader("123456789")), nil
	}})
	store := newMemory()
	if _, err := WriteLayer(ctx, store, "x", files, Gzip(1)); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	if len(store.blobs) != 0 {
		t.Error("something was kept")
	}
}

func TestCodecNamesHoldTheLibrarysVersion(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "github.com/klauspost/compress").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	version := strings.Fields(string(out))[1]
	for _, c := range codecs() {
		if !strings.Contains(c.Name, version) {
			t.Errorf("codec %q, go.mod has %s", c.Name, version)
		}
	}
}

func BenchmarkWriteLayer(b *testing.B) {
	jar := os.Getenv("FASTSHIP_BENCH_FILE")
	var data []byte
	if jar == "" {
		for _, f := range sample() {
			if f.Open != nil {
				r, _ := f.Open()
				p, _ := io.ReadAll(r)
				data = append(data, p...)
			}
		}
	} else {
		var err error
		if data, err = os.ReadFile(jar); err != nil {
			b.Fatal(err)
		}
	}
	for _, codec := range codecs() {
		b.Run(codec.Name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				l, err := WriteLayer(b.Context(), newMemory(), "x", []File{{Path: "f", Size: int64(len(data)), Open: content(data)}}, codec)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(l.Descriptor.Size)/float64(len(data)), "ratio")
			}
		})
	}
}

// checkZstd unpacks a layer with the window that every decoder has, and holds
// it against what is said of it.
func checkZstd(t *testing.T, what string, packed []byte, l Layer) {
	t.Helper()
	d, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, d)
	if err != nil || n != l.Uncompressed || cache.FromSum(sum.Sum(nil)) != l.DiffID {
		t.Errorf("%s: %d bytes of %d: %v", what, n, l.Uncompressed, err)
	}
}
