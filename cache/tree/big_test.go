package tree

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cache/s3/s3test"
	"github.com/fastship/fastship/internal/proc"
)

// maxMemory is what a save and a restore may take at any size.
const maxMemory = 150 << 20

// TestBig saves and fetches a big tree of real files, each by a process of its
// own, and holds their peaks of memory. FASTSHIP_TREE_BIG is "megabytes,files",
// e.g. 1000,100000. The store is a directory and, among the integration tests,
// minio.
func TestBig(t *testing.T) {
	spec := os.Getenv("FASTSHIP_TREE_BIG")
	if spec == "" {
		t.Skip("FASTSHIP_TREE_BIG is not set: a long run, see .ci/soak")
	}
	if step := os.Getenv(bigStep); step != "" {
		bigSteps(t, step)
		return
	}
	mb, n, _ := strings.Cut(spec, ",")
	size, err := strconv.Atoi(mb)
	if err != nil {
		t.Fatal(err)
	}
	count, err := strconv.Atoi(n)
	if err != nil {
		t.Fatal(err)
	}
	from := t.TempDir()
	bigTree(t, from, size<<20, count)
	for _, kind := range []string{"dir", string(s3test.MinIO)} {
		t.Run(kind, func(t *testing.T) {
			place := t.TempDir()
			if kind != "dir" {
				if os.Getenv("FASTSHIP_INTEGRATION") == "" {
					t.Skip("set FASTSHIP_INTEGRATION=1 to run real servers")
				}
				place = s3test.Start(t, s3test.Kind(kind))
			}
			to := filepath.Join(t.TempDir(), "to")
			for _, step := range []string{"save", "restore"} {
				cmd := exec.Command(os.Args[0], "-test.run", "^TestBig$", "-test.v")
				cmd.Env = append(os.Environ(), bigStep+"="+step, bigPlace+"="+place, bigFrom+"="+from, bigTo+"="+to)
				start := time.Now()
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v\n%s", step, err, out)
				}
				t.Logf("%s of %d MB in %d files: %.1f s, CPU %.1f s; %s", step, size, count, time.Since(start).Seconds(),
					(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), lineWith(out, "peak"))
			}
			if err := sameFiles(from, to, count); err != nil {
				t.Error(err)
			}
		})
	}
}

// What a process of TestBig is to do, and where.
const (
	bigStep  = "FASTSHIP_TREE_BIG_STEP"
	bigPlace = "FASTSHIP_TREE_BIG_PLACE"
	bigFrom  = "FASTSHIP_TREE_BIG_FROM"
	bigTo    = "FASTSHIP_TREE_BIG_TO"
)

func bigSteps(t *testing.T, step string) {
	place := os.Getenv(bigPlace)
	var store cache.Store
	if strings.HasPrefix(place, "http") {
		store = bucket(place, "big")(t, nil)
	} else {
		s, err := dir.Open(place, dir.Options{})
		if err != nil {
			t.Fatal(err)
		}
		store = s
	}
	c := New(Config{Own: store, Warn: func(err error) { t.Errorf("warned: %v", err) }})
	if step == "save" {
		keep(t, c, Change{Pointer: "main", Add: filesBelow(t, os.Getenv(bigFrom))})
	} else {
		bigRestore(t, c, os.Getenv(bigTo))
	}
	most := peak(t)
	t.Logf("peak %d MiB", most>>20)
	if most > maxMemory {
		t.Errorf("%s took %d MiB of memory, more than %d", step, most>>20, maxMemory>>20)
	}
}

func bigRestore(t *testing.T, c *Cache, to string) {
	tr := find(t, c, "main")
	missing, err := c.Fetch(t.Context(), tr, slices.Collect(tr.All()), func(_ context.Context, e Entry, r io.Reader) error {
		p := filepath.Join(to, e.Path)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		f, err := os.Create(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(f, r)
		return err
	})
	if err != nil || len(missing) > 0 {
		t.Fatalf("%v, %d missing", err, len(missing))
	}
}

func lineWith(out []byte, word string) string {
	for line := range strings.Lines(string(out)) {
		if i := strings.Index(line, word); i >= 0 {
			return strings.TrimSpace(line[i:])
		}
	}
	return "nothing said of " + word
}

func filesBelow(t *testing.T, root string) (out []File) {
	err := filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		out = append(out, File{Path: filepath.ToSlash(rel), Size: info.Size(), Mode: info.Mode(), Open: func() (io.ReadCloser, error) { return os.Open(p) }})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameFiles(from, to string, want int) error {
	n := 0
	err := filepath.WalkDir(from, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		n++
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		a, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(to, rel))
		if err == nil && !bytes.Equal(a, b) {
			err = fmt.Errorf("%s is another file", rel)
		}
		return err
	})
	if err == nil && n != want {
		err = fmt.Errorf("%d files, want %d", n, want)
	}
	return err
}

// bigTree writes a repository's shape: half poms, small jars, some large jars.
func bigTree(t *testing.T, root string, size, count int) {
	large := max(size/2/(2<<20), 1)
	small := (size - large*(2<<20)) / max(count/2, 1)
	for i := range count {
		p := fmt.Sprintf("g%d/a%d/f", i%50, i/2)
		b := []byte(strings.Repeat(fmt.Sprintf("<dependency>%d</dependency>\n", i), 60))
		switch {
		case i < large:
			b = noise(uint64(i), 2<<20)
		case i%2 == 0:
			b = noise(uint64(i), max(small, 16))
		}
		b = fmt.Appendf(b, "%d", i)
		full := filepath.Join(root, p+strconv.Itoa(i))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// peak is this process's largest resident size in bytes.
func peak(t *testing.T) int64 {
	most := proc.PeakMemory(os.Getpid())
	if most == 0 {
		t.Skip("no /proc here")
	}
	return most
}
