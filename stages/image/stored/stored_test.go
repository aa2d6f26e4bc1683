package stored

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

// build writes a jar as build tools do: deflated, with data descriptors,
// times, comments and extra data of its own.
func build(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, n := range names {
		h := &zip.FileHeader{Name: n, Method: zip.Deflate, Modified: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC).AddDate(0, 0, i), Comment: "about " + n}
		if i == 0 {
			h.Extra = []byte{0xfe, 0xca, 0, 0} // java.util.jar.JarOutputStream marks a jar by it
		}
		if i%3 == 2 || strings.HasSuffix(n, "/") {
			h.Method = zip.Store
		}
		h.ExternalAttrs = uint32(0o100600+i) << 16
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(n, "/") {
			io.WriteString(f, strings.Repeat("content of "+n+"\n", 40*i))
		}
	}
	if err := w.SetComment("a jar"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func rewrite(b []byte) ([]byte, error) {
	j, err := Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	d, err := j.Rewrite(&out, nil)
	if err != nil {
		return nil, err
	}
	if d != cache.Sum(b) {
		return nil, errors.New("the original's digest is another")
	}
	if int64(out.Len()) != j.Size() {
		return nil, fmt.Errorf("%d bytes where Size said %d", out.Len(), j.Size())
	}
	return out.Bytes(), nil
}

// same holds what the rewriter promises, as another reader sees it.
func same(t testing.TB, original, rewritten []byte) {
	t.Helper()
	a, err := zip.NewReader(bytes.NewReader(original), int64(len(original)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return // archive/zip is stricter than the format in places
	}
	b, err := zip.NewReader(bytes.NewReader(rewritten), int64(len(rewritten)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		t.Fatal(err)
	}
	if len(a.File) != len(b.File) || a.Comment != b.Comment {
		t.Fatalf("%d entries and %q became %d and %q", len(a.File), a.Comment, len(b.File), b.Comment)
	}
	for i, f := range a.File {
		g := b.File[i]
		if g.Method != zip.Store || g.Flags&flagDescriptor != 0 || g.CompressedSize64 != g.UncompressedSize64 {
			t.Fatalf("%q: method %d, flags %x", g.Name, g.Method, g.Flags)
		}
		type kept struct {
			name, comment, extra     string
			crc, external            uint32
			size                     uint64
			date, clock, maker, utf8 uint16
		}
		of := func(f *zip.File) kept {
			return kept{f.Name, f.Comment, string(f.Extra), f.CRC32, f.ExternalAttrs, f.UncompressedSize64, f.ModifiedDate, f.ModifiedTime, f.CreatorVersion, f.Flags & 0x800}
		}
		if of(f) != of(g) {
			t.Fatalf("%+v became %+v", of(f), of(g))
		}
		x, errX := content(f)
		y, errY := content(g)
		if errX != nil && strings.HasSuffix(f.Name, "/") { // archive/zip wants directories empty
			continue
		}
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			t.Fatalf("content of %q: %v, %v", f.Name, errX, errY)
		}
	}
}

func content(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

var sample = []string{"META-INF/", "META-INF/MANIFEST.MF", "a/A.class", "a/B.class", "META-INF/versions/17/a/A.class", "größe/日本.txt", "../odd", "a/", "a/"}

func TestRewrite(t *testing.T) {
	jar := build(t, sample...)
	out, err := rewrite(jar)
	if err != nil {
		t.Fatal(err)
	}
	same(t, jar, out)
	again, err := rewrite(out)
	if err != nil || !bytes.Equal(out, again) {
		t.Errorf("a rewritten jar rewritten is another one: %v", err)
	}
	empty := build(t)
	if out, err := rewrite(empty); err != nil || !bytes.Equal(out, empty) {
		t.Errorf("empty: %v", err)
	}
}

// TestOrders: the directory's order is that of class path scanners, the
// file's that of java.util.jar.JarInputStream. Both stay.
func TestOrders(t *testing.T) {
	jar := build(t, "META-INF/MANIFEST.MF", "b", "c")
	d, err := findDirectory(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		t.Fatal(err)
	}
	first, rest, err := cut(d.records)
	if err != nil {
		t.Fatal(err)
	}
	copy(jar[d.start:], append(bytes.Clone(rest), first...))
	out, err := rewrite(jar)
	if err != nil {
		t.Fatal(err)
	}
	same(t, jar, out)
	if i := bytes.Index(out, []byte("META-INF/MANIFEST.MF")); i != localLength {
		t.Errorf("the manifest is at %d", i)
	}
}

// TestNamesOutsideASCII: a name in some old code page has no flag that says so.
func TestNamesOutsideASCII(t *testing.T) {
	jar := bytes.ReplaceAll(build(t, "META-INF/MANIFEST.MF", "x_y.txt"), []byte("x_y.txt"), []byte("x\x81y.txt"))
	out, err := rewrite(jar)
	if err != nil {
		t.Fatal(err)
	}
	same(t, jar, out)
}

func TestManyEntries(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range 70_000 {
		f, err := w.Create(fmt.Sprintf("c/C%d.class", i))
		if err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			io.WriteString(f, strings.Repeat("x", i))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := rewrite(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	same(t, b.Bytes(), out)
}

// refused are jars that stay as they are, with a part of the reason.
func refused(t testing.TB) map[string][]byte {
	edit := func(signature string, last bool, at int, change ...byte) []byte {
		b := build(t, "META-INF/MANIFEST.MF", "a/A.class", "b")
		i := bytes.Index(b, []byte(signature))
		if last {
			i = bytes.LastIndex(b, []byte(signature))
		}
		copy(b[i+at:], change)
		return b
	}
	const local, central, end = "PK\x03\x04", "PK\x01\x02", "PK\x05\x06"
	plain := build(t, "META-INF/MANIFEST.MF", "a/A.class")
	d, err := findDirectory(bytes.NewReader(plain), int64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	stored := build(t, "a", "b", "c")
	damaged := bytes.Clone(plain)
	damaged[bytes.Index(damaged, []byte("a/A.class"))+len("a/A.class")+9] = 7 // deflate has no block of type 3; 9 bytes are the time's extra data
	content := bytes.Clone(stored)
	content[bytes.LastIndex(content, []byte("content of c"))] ^= 0xff
	return map[string][]byte{
		"no central directory":                   []byte("small"),
		"no central directory at its end":        append(bytes.Clone(plain), "more"...),
		"in front of it":                         append([]byte("#!/bin/sh\n"), plain...),
		"no part of the archive":                 append(append(bytes.Clone(plain[:d.start]), "a signing block of some other tool"...), plain[d.start:]...),
		"is encrypted":                           edit(central, false, 8, 1),
		"compressed by method 12":                edit(central, false, 10, 12),
		"is zip64":                               edit(central, true, 20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"two headers that differ":                edit(local, false, 8, 0),
		"one part of several":                    edit(end, true, 4, 1),
		"its directory is damaged":               edit(central, true, 0, 0),
		"its directory has 3 entries":            edit(end, true, 8, 9, 0, 9, 0),
		"two sizes":                              edit(central, true, 20, 0),
		"lie over each other":                    edit(central, true, 42, 0, 0, 0, 0, 'M', 'E', 'T', 'A'),
		"entry \"a/A.class\" is damaged":         damaged,
		"checksum":                               content,
		"would grow from":                        bomb(t),
		"entry \"a/A.class\" has 1 bytes less":   edit(central, false, 0, resized(t, 1)...),
		"entry \"a/A.class\" has more than its ": edit(central, false, 0, resized(t, -1)...),
	}
}

// resized returns the directory of refused's jar, the second entry's size
// wrong by n.
func resized(t testing.TB, n int) []byte {
	b := build(t, "META-INF/MANIFEST.MF", "a/A.class", "b")
	d, err := findDirectory(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := cut(d.records)
	if err != nil {
		t.Fatal(err)
	}
	le.PutUint32(second[24:], le.Uint32(second[24:])+uint32(n))
	return d.records
}

// bomb says that it grows to 300 MB.
func bomb(t testing.TB) []byte {
	b := build(t, "a", "b")
	i := bytes.LastIndex(b, []byte("PK\x01\x02"))
	le.PutUint32(b[i+24:], 300<<20)
	return b
}

func TestUnfaithful(t *testing.T) {
	for reason, jar := range refused(t) {
		out, err := rewrite(jar)
		if reason == "lie over each other" { // whichever is seen first
			reason = ""
		}
		if _, ok := errors.AsType[*Unfaithful](err); !ok || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %d bytes, %v", reason, len(out), err)
		}
	}
}

var errDisk = errors.New("input/output error")

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

// TestFaults: what the disk says is no reason to call a jar unfaithful.
func TestFaults(t *testing.T) {
	if _, err := Read(broken{}, 1000); !errors.Is(err, errDisk) {
		t.Errorf("read: %v", err)
	}
	jar := build(t, sample...)
	j, err := Read(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	r.CloseWithError(errDisk)
	if _, err := j.Rewrite(w, nil); !errors.Is(err, errDisk) {
		t.Errorf("write: %v", err)
	}
	j.source = bytes.NewReader(jar[:len(jar)-1])
	if _, err := j.Rewrite(io.Discard, nil); err == nil {
		t.Error("a file that got shorter is not seen")
	}
	j.source = broken{}
	if _, err := j.Rewrite(io.Discard, nil); !errors.Is(err, errDisk) {
		t.Errorf("read again: %v", err)
	}
}

// TestMemory rewrites a large jar, and looks at the heap on the way.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("200 MB")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "large.jar"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	zeros := make([]byte, 1<<20)
	for i := range 2 {
		e, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(i), Method: []uint16{zip.Store, zip.Deflate}[i]})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := e.Write(zeros); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	j, err := Read(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC() // what other tests left
	var heap heap
	if _, err := j.Rewrite(&heap, nil); err != nil || heap.n != j.Size() {
		t.Fatalf("%d bytes of %d, %v", heap.n, j.Size(), err)
	}
	if heap.peak == 0 || heap.peak > 30<<20 {
		t.Errorf("peak heap %d MB", heap.peak>>20)
	}
}

// TestLargeEntries: on both sides of the size from which entries stream, and
// when what streams is damaged.
func TestLargeEntries(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	text := strings.Repeat("a line of some file that is large\n", maxWhole/30)
	for _, size := range []int{maxWhole - 1, maxWhole, maxWhole + 1} {
		f, err := w.Create(fmt.Sprint(size))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, text[:size])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	jar := b.Bytes()
	out, err := rewrite(jar)
	if err != nil {
		t.Fatal(err)
	}
	same(t, jar, out)
	last := fmt.Sprint(maxWhole + 1)
	jar[bytes.Index(jar, []byte(last))+len(last)] = 7 // deflate has no block of type 3
	_, err = rewrite(jar)
	if _, ok := errors.AsType[*Unfaithful](err); !ok || !strings.Contains(err.Error(), "entry \""+last+"\" is damaged") {
		t.Errorf("damaged: %v", err)
	}
}

// heap counts, and looks at the heap every 10 MB.
type heap struct {
	n    int64
	peak uint64
}

func (h *heap) Write(p []byte) (int, error) {
	if h.n%(10<<20) < int64(len(p)) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		h.peak = max(h.peak, m.HeapInuse)
	}
	h.n += int64(len(p))
	return len(p), nil
}

// TestZip64InLocalHeaderOnly: tools that stream write the field before they
// know that they will not need it.
func TestZip64InLocalHeaderOnly(t *testing.T) {
	text := []byte("streamed")
	var b []byte
	b = le.AppendUint32(b, localSignature)
	b = le.AppendUint16(b, 45)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(b, crc32.ChecksumIEEE(text))
	b = append(b, bytes.Repeat([]byte{0xff}, 8)...)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, 24)
	b = append(b, 'x', 1, 0, 16, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xca, 0, 0)
	b = append(b, text...)
	start := len(b)
	b = le.AppendUint32(b, centralSignature)
	b = append(b, 45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint32(b, crc32.ChecksumIEEE(text))
	b = append(b, 8, 0, 0, 0, 8, 0, 0, 0, 1, 0)
	b = append(b, make([]byte, 16)...)
	b = append(b, 'x')
	j := Jar{entries: make([]entry, 1), start: int64(start)}
	b = append(b, j.end(int64(len(b)-start))...)
	out, err := rewrite(b)
	if err != nil {
		t.Fatal(err)
	}
	same(t, b, out)
	if want := len(b) - 20; len(out) != want {
		t.Errorf("%d bytes, want %d", len(out), want)
	}
}

// FuzzRewrite: whatever the bytes, the rewriter refuses them or gives a jar
// with the same entries.
func FuzzRewrite(f *testing.F) {
	f.Add(build(f, sample...))
	for _, jar := range refused(f) {
		f.Add(jar)
	}
	f.Fuzz(func(t *testing.T, jar []byte) {
		j, err := Read(bytes.NewReader(jar), int64(len(jar)))
		if err != nil || j.Size() > 1<<20 {
			return
		}
		out, err := rewrite(jar)
		if err != nil {
			if _, ok := errors.AsType[*Unfaithful](err); !ok {
				t.Fatal(err)
			}
			return
		}
		same(t, jar, out)
		if again, err := rewrite(out); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("once more: %v", err)
		}
	})
}

// BenchmarkRewrite rewrites the jar that FASTSHIP_JAR names.
func BenchmarkRewrite(b *testing.B) {
	jar, err := os.ReadFile(os.Getenv("FASTSHIP_JAR"))
	if err != nil {
		b.Skip("FASTSHIP_JAR names no jar")
	}
	b.SetBytes(int64(len(jar)))
	b.ReportAllocs()
	for b.Loop() {
		j, err := Read(bytes.NewReader(jar), int64(len(jar)))
		if err != nil {
			b.Fatal(err)
		}
		h := sha256.New()
		if _, err := j.Rewrite(h, nil); err != nil {
			b.Fatal(err)
		}
	}
}
