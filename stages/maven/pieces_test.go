package maven

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/cache"
)

// fatJar writes a jar as Spring Boot packs it: libraries stored, classes
// deflated.
func fatJar(t *testing.T, path, class string, libraries map[string]int) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	put := func(name string, method uint16, content []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("BOOT-INF/classes/A.class", zip.Deflate, []byte(class))
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range libraries {
			if !yield(name) {
				return
			}
		}
	}) {
		content := make([]byte, libraries[name])
		random := rand.NewChaCha8(sha256.Sum256([]byte(name)))
		_, _ = random.Read(content) // never fails
		put("BOOT-INF/lib/"+name, zip.Store, content)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	text := append([]byte("#!/bin/sh\nexec java -jar $0\n"), b.Bytes()...) // executable, as Boot makes them
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
}

// weighed counts the bytes that are written to a store.
type weighed struct {
	cache.LocalStore
	bytes int64
}

func (c *weighed) Put(ctx context.Context, d cache.Digest, size int64, r io.Reader) error {
	c.bytes += size
	return c.LocalStore.Put(ctx, d, size, r)
}

func pack(t *testing.T, store cache.LocalStore, paths ...string) ([]keptFile, []cache.Descriptor) {
	t.Helper()
	p := newPacker(store)
	var files []keptFile
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := p.add(t.Context(), path, strings.Contains(path, "lib-"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, keptFile{Path: filepath.Base(path), Mode: 0o755, Size: int64(len(text)), Digest: cache.Sum(text), Pieces: pieces})
	}
	blobs, err := p.finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return files, blobs
}

func TestPiecesMakeTheFilesAgain(t *testing.T) {
	dir := t.TempDir()
	fat, exec, report, empty := filepath.Join(dir, "fat.jar"), filepath.Join(dir, "exec.jar"), filepath.Join(dir, "TEST-A.xml"), filepath.Join(dir, "empty")
	libraries := map[string]int{"big.jar": ownBlob, "huge.jar": 3 << 20, "small.jar": 50_000, "other.jar": ownBlob - 1, "tiny.jar": 10}
	fatJar(t, fat, "one", libraries)
	fatJar(t, exec, "two", libraries)
	for path, text := range map[string]string{report: "<testsuite/>", empty: ""} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	memory := storeIn(t, t.TempDir())
	store := &weighed{LocalStore: memory.Blobs}
	files, blobs := pack(t, store, fat, exec, report, empty)
	if len(blobs) != 4 { // two large libraries, the small ones, the rest
		t.Errorf("%d blobs: %v", len(blobs), blobs)
	}
	s := New(Config{}, Deps{Cache: memory})
	for _, f := range files {
		var b bytes.Buffer
		want, _ := os.ReadFile(filepath.Join(dir, f.Path))
		if err := s.assemble(t.Context(), &b, f, blobs); err != nil || !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s: %v, %d bytes instead of %d", f.Path, err, b.Len(), len(want))
		}
	}
	// A change of one class writes little more than that class.
	store.bytes = 0
	fatJar(t, fat, "one and a half", libraries)
	if _, again := pack(t, store, fat); store.bytes > 3000 || len(again) != 4 {
		t.Errorf("a changed class costs %d bytes, %d blobs", store.bytes, len(again))
	}
}

// TestPiecesOfLibrariesBeside: a thin application's libraries lie in files.
func TestPiecesOfLibrariesBeside(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	big, one, two := write("lib-big.jar", strings.Repeat("b", ownBlob)), write("lib-1.jar", "one"), write("lib-2.jar", "two")
	memory := storeIn(t, t.TempDir())
	store := &weighed{LocalStore: memory.Blobs}
	files, blobs := pack(t, store, big, one, write("app.jar", "application"), two)
	if len(blobs) != 3 { // the large one, the small ones, the rest
		t.Errorf("%d blobs: %v", len(blobs), blobs)
	}
	for _, f := range files {
		var b bytes.Buffer
		want, _ := os.ReadFile(filepath.Join(dir, f.Path))
		if err := New(Config{}, Deps{Cache: memory}).assemble(t.Context(), &b, f, blobs); err != nil || !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s: %v, %q", f.Path, err, b.String())
		}
	}
	store.bytes = 0
	if pack(t, store, big, one, write("app.jar", "APPLICATION"), two); store.bytes != int64(len("APPLICATION")) {
		t.Errorf("a changed class costs %d bytes", store.bytes)
	}
}

func TestPiecesDropWhatIsBroken(t *testing.T) {
	dir := t.TempDir()
	fat := filepath.Join(dir, "fat.jar")
	fatJar(t, fat, "class", map[string]int{"big.jar": ownBlob, "small.jar": 50_000})
	for i := range 3 {
		memory := storeIn(t, t.TempDir())
		files, blobs := pack(t, memory.Blobs, fat)
		flip(t, memory, blobs[i].Digest)
		s := New(Config{}, Deps{Cache: memory})
		if err := s.assemble(t.Context(), io.Discard, files[0], blobs); !errors.Is(err, cache.ErrCorrupt) {
			t.Errorf("blob %d: %v", i, err)
		}
		for n, b := range blobs {
			if _, err := memory.Blobs.Stat(t.Context(), b.Digest); errors.Is(err, cache.ErrNotFound) != (n == i) {
				t.Errorf("blob %d of which %d is broken: %v", n, i, err)
			}
		}
		if _, again := pack(t, memory.Blobs, fat); !slices.Equal(again, blobs) {
			t.Errorf("packed again: %v", again)
		}
		if err := s.assemble(t.Context(), io.Discard, files[0], blobs); err != nil {
			t.Errorf("mended: %v", err)
		}
	}
}

// What is no jar, or one that lies about where its entries are, is one region.
func TestRegionsOfOddFiles(t *testing.T) {
	dir := t.TempDir()
	fat := filepath.Join(dir, "fat.jar")
	fatJar(t, fat, "class", map[string]int{"a.jar": 9000, "b.jar": 9000})
	text, err := os.ReadFile(fat)
	if err != nil {
		t.Fatal(err)
	}
	// Let the second entry of the directory point at the first library.
	at := bytes.LastIndex(text, []byte("BOOT-INF/lib/b.jar"))
	first := bytes.LastIndex(text, []byte("BOOT-INF/lib/a.jar"))
	overlapping := slices.Clone(text)
	copy(overlapping[at-4:at], text[first-4:first])
	for name, c := range map[string]struct {
		text []byte
		want int
	}{
		"fat": {text, 5}, "overlapping": {overlapping, 1}, "cut": {text[:len(text)-30], 1}, "text": {[]byte(strings.Repeat("x", 9000)), 1}, "empty": {nil, 1},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, c.text, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		got := regions(file, int64(len(c.text)))
		end := int64(0)
		for _, r := range got {
			if r.off != end {
				t.Errorf("%s: a gap at %d", name, end)
			}
			end = r.off + r.len
		}
		if len(got) != c.want || end != int64(len(c.text)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzRegions(f *testing.F) {
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		end := int64(0)
		for _, r := range regions(file, int64(len(text))) {
			if r.off != end || r.len < 0 {
				t.Fatalf("%+v after %d", r, end)
			}
			end = r.off + r.len
		}
		if end != int64(len(text)) {
			t.Fatalf("ends at %d of %d", end, len(text))
		}
	})
}
