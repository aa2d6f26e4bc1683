package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/proc"
)

// promised is the most memory that an image may take, bytes: README.md and
// docs/image.md say so.
const promised = 150e6

// TestMemoryOfLargeImages measures what the program itself takes at its peak,
// without jlink and other children, where all its parts work at once: the
// application is compressed while its base is linked for the first time, at
// the level of a base that is pushed. FASTSHIP_MEMORY_MB is the jar's size:
// set, it is tried in every form and with each compression, also with the base
// cached.
func TestMemoryOfLargeImages(t *testing.T) {
	integration(t)
	if runtime.GOOS != "linux" {
		t.Skip("the peak is read from /proc")
	}
	mb, err := strconv.Atoi(os.Getenv("FASTSHIP_MEMORY_MB"))
	all := err == nil
	if !all {
		mb = 200
	}
	registry := distribution(t)
	for _, form := range []string{"library", "deflated", "stored", "entries"} {
		for _, compression := range []string{"zstd", "gzip"} {
			for _, jars := range []string{"stored", "verbatim"} {
				if !all && form+compression+jars != "libraryzstdstored" {
					continue
				}
				t.Run(form+" "+compression+" "+jars, func(t *testing.T) {
					image := fmt.Sprintf("image: {repository: %s/%s, compression: %s, jars: %s, train: never, sbom: false, provenance: false}\n", registry, form, compression, jars)
					dir := t.TempDir()
					if err := errors.Join(os.WriteFile(filepath.Join(dir, "fastship.yaml"), []byte(image), 0o644), writeLargeJar(filepath.Join(dir, "app.jar"), form, mb)); err != nil {
						t.Fatal(err)
					}
					checkPeak(t, dir, "base linked", "image", "build", "app.jar", "-o", "registry")
					checkPeak(t, dir, "inspected", "image", "inspect")
					if all {
						if err := forgetLayers(filepath.Join(dir, "cache", "actions")); err != nil {
							t.Fatal(err)
						}
						checkPeak(t, dir, "base cached", "image", "build", "app.jar", "-o", "registry")
					}
				})
			}
		}
	}
}

// forgetLayers removes from a cache what it knows of the application.
func forgetLayers(actions string) error {
	entries, err := os.ReadDir(actions)
	for _, e := range entries {
		text, readErr := os.ReadFile(filepath.Join(actions, e.Name()))
		if err = errors.Join(err, readErr); bytes.Contains(text, []byte(`"name":"application"`)) || bytes.Contains(text, []byte(`"name":"dependencies`)) {
			err = errors.Join(err, os.Remove(filepath.Join(actions, e.Name())))
		}
	}
	return err
}

// checkPeak runs fastship with a cache of the folder's own, and holds its
// memory against the promise.
func checkPeak(t *testing.T, dir, what string, args ...string) {
	t.Helper()
	cmd := program(t, dir, args...)
	cmd.Env = append(cmd.Env, "FASTSHIP_CACHE_DIR="+filepath.Join(dir, "cache"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peak := proc.WatchMemory(cmd.Process.Pid)
	err := cmd.Wait()
	most := peak()
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, said.String())
	}
	if most == 0 || most > promised {
		t.Errorf("%s: %d bytes of memory", what, most)
	}
	t.Logf("%s: %.1f MB", what, float64(most)/1e6)
}

// writeLargeJar writes a jar of about mb megabytes: as entries that are stored
// or deflated, as 70,000 of them, or as one library in a Spring Boot jar.
func writeLargeJar(path, form string, mb int) error {
	const manifest = "Manifest-Version: 1.0\r\nMain-Class: example.Main\r\n"
	const class = "\xca\xfe\xba\xbe\x00\x00\x00\x34" // Java 8
	if form != "library" {
		return writeEntries(path, form, mb, "META-INF/MANIFEST.MF", manifest+"\r\n", "example/Main.class", class)
	}
	large := path + ".library"
	if err := writeEntries(large, "deflated", mb); err != nil {
		return err
	}
	defer os.Remove(large)
	return writeZip(path, func(w *zip.Writer) error {
		boot := manifest + "Start-Class: example.Main\r\nSpring-Boot-Version: 3.2.12\r\nSpring-Boot-Classes: BOOT-INF/classes/\r\nSpring-Boot-Lib: BOOT-INF/lib/\r\n\r\n"
		if err := errors.Join(add(w, "META-INF/MANIFEST.MF", strings.NewReader(boot)), add(w, "BOOT-INF/classes/example/Main.class", strings.NewReader(class))); err != nil {
			return err
		}
		f, err := os.Open(large)
		if err != nil {
			return err
		}
		defer f.Close()
		return add(w, "BOOT-INF/lib/large-1.0.jar", f)
	})
}

// writeEntries writes pairs of names and texts, and what form asks for.
func writeEntries(path, form string, mb int, pairs ...string) error {
	return writeZip(path, func(w *zip.Writer) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := add(w, pairs[i], strings.NewReader(pairs[i+1])); err != nil {
				return err
			}
		}
		count, size, method := mb/8, int64(8<<20), zip.Store
		switch form {
		case "deflated":
			method = zip.Deflate
		case "entries":
			count, size = 70_000, 700
		}
		noise := rand.NewChaCha8([32]byte{1})
		for i := range count {
			e, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("com/example/package%d/of/some/length/Entry%d.bin", i%500, i), Method: method})
			if err == nil {
				_, err = io.CopyN(e, noise, size)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func writeZip(path string, fill func(*zip.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := zip.NewWriter(f)
	return errors.Join(fill(w), w.Close(), f.Close())
}

// add stores an entry.
func add(w *zip.Writer, name string, content io.Reader) error {
	e, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err == nil {
		_, err = io.Copy(e, content)
	}
	return err
}
