package inflate

import (
	"archive/zip"
	"bytes"
	stdlib "compress/flate"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
)

// packed is what an archive holds of one entry.
type packed struct {
	src  []byte
	size int
}

// jars hands on the deflated entries of every jar below FASTSHIP_JARS, a Maven
// repository for instance, jar by jar.
func jars(t testing.TB, see func(path string, entries []packed)) {
	dir := os.Getenv("FASTSHIP_JARS")
	if dir == "" {
		t.Skip("set FASTSHIP_JARS to a folder of jars")
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".jar" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Logf("%s: %v", path, err)
			return nil
		}
		var entries []packed
		for _, f := range r.File {
			at, err := f.DataOffset()
			if err != nil || f.Method != zip.Deflate {
				continue
			}
			entries = append(entries, packed{b[at:][:f.CompressedSize64], int(f.UncompressedSize64)})
		}
		see(path, entries)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRealJars: every entry is what the standard library says.
func TestRealJars(t *testing.T) {
	d := NewDecoder()
	var count, bytesIn, bytesOut int
	want, got := make([]byte, 0, 1<<20), make([]byte, 0, 1<<20)
	jars(t, func(path string, entries []packed) {
		for i, e := range entries {
			if cap(got) < e.size+Slack {
				want, got = make([]byte, 0, 2*e.size+Slack), make([]byte, 0, 2*e.size+Slack)
			}
			w := bytes.NewBuffer(want[:0])
			_, wantErr := io.Copy(w, stdlib.NewReader(bytes.NewReader(e.src)))
			n, err := d.Decode(got[:e.size], e.src)
			if (err == nil) != (wantErr == nil) || !bytes.Equal(w.Bytes(), got[:n]) {
				t.Errorf("%s, entry %d: %v instead of %v", path, i, err, wantErr)
			}
			count, bytesIn, bytesOut = count+1, bytesIn+len(e.src), bytesOut+n
		}
	})
	t.Logf("%d entries, %d bytes became %d", count, bytesIn, bytesOut)
}

// BenchmarkJars inflates what TestRealJars does, from memory.
func BenchmarkJars(b *testing.B) {
	var all []packed
	total, largest := 0, 0
	jars(b, func(_ string, entries []packed) {
		all = append(all, entries...)
		for _, e := range entries {
			total, largest = total+e.size, max(largest, e.size)
		}
	})
	dst := make([]byte, largest, largest+Slack)
	each := func(name string, inflate func(e packed) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(total))
			b.ReportAllocs()
			before := processor(b)
			for b.Loop() {
				for _, e := range all {
					if err := inflate(e); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric((processor(b)-before).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
	d := NewDecoder()
	each("whole", func(e packed) error {
		_, err := d.Decode(dst[:e.size], e.src)
		return err
	})
	var in bytes.Reader
	k := flate.NewReader(&in)
	each("klauspost", func(e packed) error {
		in.Reset(e.src)
		if err := k.(flate.Resetter).Reset(&in, nil); err != nil {
			return err
		}
		_, err := io.ReadFull(k, dst[:e.size])
		return err
	})
	s := stdlib.NewReader(&in)
	each("standard", func(e packed) error {
		in.Reset(e.src)
		if err := s.(stdlib.Resetter).Reset(&in, nil); err != nil {
			return err
		}
		_, err := io.ReadFull(s, dst[:e.size])
		return err
	})
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
