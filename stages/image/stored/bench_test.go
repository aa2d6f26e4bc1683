package stored

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkFolder does what a layer of libraries needs done to every jar in
// the folder FASTSHIP_JARS: their sizes first, then their bytes.
func BenchmarkFolder(b *testing.B) {
	paths, err := filepath.Glob(filepath.Join(os.Getenv("FASTSHIP_JARS"), "*.jar"))
	if err != nil || len(paths) == 0 {
		b.Skip("FASTSHIP_JARS names no folder with jars")
	}
	each := func(name string, do func(j *Jar) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := processor(b)
			for b.Loop() {
				for _, path := range paths {
					if err := open(path, do); err != nil {
						b.Fatal(path, err)
					}
				}
			}
			b.ReportMetric((processor(b)-before).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
	each("read", func(*Jar) error { return nil })
	each("rewrite", func(j *Jar) error {
		_, err := j.Rewrite(io.Discard, nil)
		return err
	})
}

func open(path string, do func(j *Jar) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	j, err := Read(f, info.Size())
	if err != nil {
		return err
	}
	return do(j)
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
