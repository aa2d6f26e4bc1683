package image

import (
	"archive/zip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/runner"
)

// peakHeap is the most memory that f had in use, in bytes.
func peakHeap(f func()) uint64 {
	runtime.GC()
	done, peak := make(chan bool), make(chan uint64)
	go func() {
		var most uint64
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse+m.StackInuse)
			case <-done:
				peak <- most
				return
			}
		}
	}()
	f()
	close(done)
	return <-peak
}

// TestLargeApplication: the application itself is large, not its libraries.
// FASTSHIP_LIBRARY_MB is its size.
func TestLargeApplication(t *testing.T) {
	if testing.Short() {
		t.Skip("a large file")
	}
	mb := 32
	if n, err := strconv.Atoi(os.Getenv("FASTSHIP_LIBRARY_MB")); err == nil {
		mb = n
	}
	for name, own := range map[string][]string{
		"shaded.jar": {"META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nMain-Class: a.Main\n\n", "a/Main.class", java17},
		"boot.war":   {"META-INF/MANIFEST.MF", strings.ReplaceAll(manifest, "BOOT-INF", "WEB-INF"), "WEB-INF/classes/a/Main.class", java17},
	} {
		t.Run(name, func(t *testing.T) {
			app := filepath.Join(t.TempDir(), name)
			writeLarge(t, app, mb, own...)
			base := "oci:" + baseLayout(t, runtime.GOARCH)
			var size int64
			most := peakHeap(func() {
				layers := run(t, Config{Base: base, Layout: t.TempDir(), Train: trainNever}, newCache(t), In{Jar: runner.Descriptor{Name: app}}).Out.Layers
				for _, l := range layers {
					size += l.Size
				}
			})
			if size < int64(mb)<<20 || most == 0 || most > 150<<20 {
				t.Errorf("layers of %d bytes, peak heap %d MB", size, most>>20)
			}
			t.Logf("%d MB, peak heap %d MB", mb, most>>20)
		})
	}
}

// writeLarge writes a jar of own entries, names and contents in turn, and files of 8 MB that do not compress.
func writeLarge(t testing.TB, path string, mb int, own ...string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for i := 0; i < len(own); i += 2 {
		e, err := w.Create(own[i])
		if err == nil {
			_, err = io.WriteString(e, own[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	addNoise(t, w, "static/%d.bin", mb)
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
