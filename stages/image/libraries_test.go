package image

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/jre"
)

// library is a jar as build tools make it.
func library(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range []string{"META-INF/MANIFEST.MF", "a/A.class", "a/B.class"} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, strings.Repeat(text, 2000))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// libraries reads the jars below app/lib of an image's layers.
func libraries(t testing.TB, at string, out Out) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	layers, err := read(t, at, out.Digest).Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for files := tar.NewReader(r); ; {
			h, err := files.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if path.Dir(h.Name) == "app/lib" && h.Typeflag == tar.TypeReg {
				if found[path.Base(h.Name)], err = io.ReadAll(files); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.Close()
	}
	return found
}

// TestStoredLibraries: libraries are stored in the image; what cannot be
// rewritten stays as it is, and every run says so.
func TestStoredLibraries(t *testing.T) {
	good, lying := library(t, "good"), []byte(library(t, "liar"))
	lying[bytes.LastIndex(lying, []byte("PK\x01\x02"))+16] ^= 1 // a checksum: found out half-way
	jar := map[string]string{
		"BOOT-INF/lib/big-1.0.jar": good, "BOOT-INF/lib/small-1.0.jar": "no jar", "BOOT-INF/lib/lying-1.0.jar": string(lying), "BOOT-INF/lib/own-1.0-SNAPSHOT.jar": library(t, "own"),
	}
	memory, at := newCache(t), t.TempDir()
	c := Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: at}
	digests := map[string]bool{}
	for range 2 {
		var e told
		in := bootJar(t, t.TempDir(), time.Now(), jar)
		r, err := New(c, Deps{Cache: memory, State: t.TempDir()}).Run(t.Context(), e.env(), in)
		if err != nil {
			t.Fatal(err)
		}
		digests[r.Out.Digest] = true
		var notes []string
		for _, body := range e.all {
			if n, ok := body.(runner.Note); ok && strings.Contains(n.Text, "stays as it is") {
				notes = append(notes, n.Text)
			}
		}
		want := []string{
			`lying-1.0.jar stays as it is in the image: entry "a/B.class" has not the checksum that it says`,
			"small-1.0.jar stays as it is in the image: it has no central directory at its end",
		}
		if !slices.Equal(notes, want) {
			t.Errorf("notes %q", notes)
		}
		found := libraries(t, at, r.Out)
		if len(found) != 4 || string(found["small-1.0.jar"]) != "no jar" || !bytes.Equal(found["lying-1.0.jar"], lying) {
			t.Errorf("%d libraries", len(found))
		}
		for _, name := range []string{"big-1.0.jar", "own-1.0-SNAPSHOT.jar"} {
			z, err := zip.NewReader(bytes.NewReader(found[name]), int64(len(found[name])))
			if err != nil || len(z.File) != 3 || z.File[1].Method != zip.Store {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if len(digests) != 1 {
		t.Errorf("images %v", digests)
	}
	c.Jars = jarsVerbatim
	r := run(t, c, memory, bootJar(t, t.TempDir(), time.Now(), jar))
	if found := libraries(t, at, r.Out); string(found["big-1.0.jar"]) != good || digests[r.Out.Digest] {
		t.Error("verbatim: the library is another one")
	}
}

// TestLibraryWithinCompression: some packers compress the jars once more.
func TestLibraryWithinCompression(t *testing.T) {
	f := layerFile{Path: "app/lib/x.jar", Digest: cache.Sum(nil), library: true} // too large to unpack: no content
	stays := map[string]string{}
	s := New(Config{}, Deps{})
	out, err := s.ready(t.Context(), []layerFile{f}, stays, nil)
	if err != nil || len(out) != 1 || !strings.Contains(stays[f.Path], "too large") {
		t.Errorf("%v, %q", err, stays)
	}
}

// TestLibraryChangesMeanwhile: a layer must hold what its key says.
func TestLibraryChangesMeanwhile(t *testing.T) {
	a, b := library(t, "good"), library(t, "evil")
	f := layerFile{
		Path: "app/lib/x.jar", Digest: cache.Sum([]byte(a)), size: int64(len(b)), library: true,
		content: func() (io.ReaderAt, io.Closer, error) { return strings.NewReader(b), io.NopCloser(nil), nil },
	}
	s := New(Config{}, Deps{Cache: newCache(t)})
	if _, err := s.writeLayer(t.Context(), "x", []layerFile{f}, nil); err == nil || !strings.Contains(err.Error(), "app/lib/x.jar changed while it was read") {
		t.Errorf("got %v", err)
	}
}

// TestLargeLibrary makes an image of a thin jar beside a large library, and
// looks at the heap on the way. FASTSHIP_LIBRARY_MB is the library's size.
func TestLargeLibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("a large file")
	}
	mb := 48
	if n, err := strconv.Atoi(os.Getenv("FASTSHIP_LIBRARY_MB")); err == nil {
		mb = n
	}
	dir := t.TempDir()
	writeLarge(t, filepath.Join(dir, "large.jar"), mb)
	app := filepath.Join(dir, "app.jar")
	writeZip(t, app, "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nMain-Class: a.Main\nClass-Path: large.jar\n\n", "a/Main.class", "\xca\xfe\xba\xbe\x00\x00\x00\x34")
	for _, compression := range []string{compressionGzip, compressionZstd} {
		var r runner.Result[Out]
		most := peakHeap(func() {
			r = run(t, Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: t.TempDir(), Compression: compression}, newCache(t), In{Jar: runner.Descriptor{Name: app}})
		})
		if r.Out.Layers[1].Size < int64(mb)<<20 || most == 0 || most > 150<<20 {
			t.Errorf("%s: a layer of %d bytes, peak heap %d MB", compression, r.Out.Layers[1].Size, most>>20)
		}
		t.Logf("%s: a library of %d MB, peak heap %d MB", compression, mb, most>>20)
	}
}

// TestLibrariesAreSeenOnTheirWay: nobody has to inflate again what went into a
// layer; of what stays as it is nothing was seen.
func TestLibrariesAreSeenOnTheirWay(t *testing.T) {
	lying := []byte(library(t, "liar"))
	lying[bytes.LastIndex(lying, []byte("PK\x01\x02"))+16] ^= 1 // a checksum: found out half-way
	in := bootJar(t, t.TempDir(), time.Now(), map[string]string{"BOOT-INF/lib/good-1.0.jar": library(t, "good"), "BOOT-INF/lib/lying-1.0.jar": string(lying)})
	app, err := appjar.Open(t.Context(), in.Jar.Name, appjar.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	watch := jre.NewWatch(jars(app))
	s := New(Config{Train: trainNever}, Deps{Cache: newCache(t)})
	if _, err := s.makeLayers(t.Context(), app, &application{}, nil, &coming{}, watch); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, l := range app.Libraries {
		seen[l.Name] = watch.View(l.Digest) == nil
	}
	if _, there := seen["lying-1.0.jar"]; !seen["good-1.0.jar"] || !there || seen["lying-1.0.jar"] {
		t.Errorf("seen: %v", seen)
	}
}
