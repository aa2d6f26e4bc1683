package jre

import (
	"archive/zip"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/zipfs"
)

// BenchmarkScan reads the references of every jar in the folder FASTSHIP_JARS.
func BenchmarkScan(b *testing.B) {
	paths, err := filepath.Glob(filepath.Join(os.Getenv("FASTSHIP_JARS"), "*.jar"))
	if err != nil || len(paths) == 0 {
		b.Skip("FASTSHIP_JARS names no folder with jars")
	}
	b.ReportAllocs()
	before := processor(b)
	for b.Loop() {
		for _, path := range paths {
			jar := Jar{Name: path, Open: func() (*zip.Reader, io.Closer, error) {
				f, err := os.Open(path)
				if err != nil {
					return nil, nil, err
				}
				info, err := f.Stat()
				if err != nil {
					return nil, nil, err
				}
				z, err := zip.NewReader(zipfs.Ahead(f), info.Size())
				return z, f, err
			}}
			if _, err := scanJar(b.Context(), jar); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric((processor(b)-before).Seconds()/float64(b.N), "cpu-s/op")
}

// processor is the time this process has had of one: on a machine that does
// more than this, the clock on the wall says nothing.
func processor(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
