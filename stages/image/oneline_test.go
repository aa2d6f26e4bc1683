package image

import (
	"archive/zip"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/runner"
)

// jarOf packs files as a build does at that time.
func jarOf(t testing.TB, at time.Time, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at}
		if strings.HasSuffix(name, ".jar") {
			h.Method = zip.Store
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(files[name]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const java17 = "\xca\xfe\xba\xbe\x00\x00\x00\x3d"

// TestOneLineChangeOfAnyKind: everything is built anew at another time, one
// file differs, and one layer with it.
func TestOneLineChangeOfAnyKind(t *testing.T) {
	released := time.Date(2020, 1, 2, 3, 4, 6, 0, time.UTC)
	big := string(jarOf(t, released, map[string]string{"big/Big.txt": strings.Repeat("0123456789abcdef", 100_000)}))
	module := func(at time.Time, line string) string {
		return string(jarOf(t, at, map[string]string{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n\n", "m/M.class": java17 + line}))
	}
	plain := "Manifest-Version: 1.0\n\n"
	kinds := map[string]struct {
		jar    string
		files  func(at time.Time, line, other string) map[string]string // below a folder; the jar's own entries begin with !
		layers string
	}{
		"jar with a module": {"app.jar", func(at time.Time, line, other string) map[string]string {
			return map[string]string{"!META-INF/MANIFEST.MF": manifest, "!BOOT-INF/classes/a/Main.class": java17 + line, "!BOOT-INF/lib/big.jar": big, "!BOOT-INF/lib/mod-1.jar": module(at, other)}
		}, "dependencies modules application"},
		"war": {"app.war", func(_ time.Time, line, other string) map[string]string {
			return map[string]string{"!META-INF/MANIFEST.MF": strings.ReplaceAll(manifest, "BOOT-INF", "WEB-INF"), "!WEB-INF/classes/a/Main.class": java17 + line, "!WEB-INF/lib/big.jar": big, "!index.html": "<p>" + other}
		}, "dependencies webapp application"},
		"Quarkus": {"quarkus-run.jar", func(at time.Time, line, other string) map[string]string {
			return map[string]string{
				"!META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nMain-Class: io.quarkus.bootstrap.runner.QuarkusEntryPoint\n\n",
				"lib/main/g.big-1.jar":  big, "quarkus/quarkus-application.dat": "dat",
				"quarkus/generated-bytecode.jar": string(jarOf(t, at, map[string]string{"a/Main_Bean.class": java17 + other})),
				"app/app-1.jar":                  string(jarOf(t, at, map[string]string{"META-INF/MANIFEST.MF": plain, "a/Main.class": java17 + line})),
			}
		}, "dependencies quarkus application"},
		"thin": {"app.jar", func(at time.Time, line, other string) map[string]string {
			return map[string]string{
				"!META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nMain-Class: a.Main\nClass-Path: lib/big.jar lib/mod-1.jar\n\n", "!a/Main.class": java17 + line,
				"lib/big.jar": big, "lib/mod-1.jar": module(at, other),
			}
		}, "dependencies modules application"},
	}
	base := baseLayout(t, runtime.GOARCH)
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			memory, dir := newCache(t), t.TempDir()
			build := func(at time.Time, line, other string) []runner.Descriptor {
				own := map[string]string{}
				for name, content := range kind.files(at, line, other) {
					if inside, ok := strings.CutPrefix(name, "!"); ok {
						own[inside] = content
						continue
					}
					writeTo(t, filepath.Join(dir, name), []byte(content))
				}
				jar := filepath.Join(dir, kind.jar)
				writeTo(t, jar, jarOf(t, at, own))
				return run(t, Config{Base: "oci:" + base, Layout: filepath.Join(dir, "image"), Train: trainNever}, memory, In{Jar: runner.Descriptor{Name: jar}, Modules: []string{"mod-1.jar"}}).Out.Layers[1:]
			}
			now := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
			first := build(now, "one", "one")
			var roles []string
			for _, l := range first {
				roles = append(roles, l.Name)
			}
			if strings.Join(roles, " ") != kind.layers {
				t.Errorf("layers %v", roles)
			}
			for i, again := range [][]runner.Descriptor{build(now.Add(time.Hour), "one", "one"), build(now.Add(2*time.Hour), "two", "one"), build(now.Add(3*time.Hour), "two", "two")} {
				changed := []int{-1, 2, 1}[i] // of the layers
				for n, l := range again {
					if i > 0 && n == changed && (l.Digest == first[n].Digest || l.Size > 4096) {
						t.Errorf("build %d: layer %s has %d bytes", i, l.Name, l.Size)
					} else if n != changed && l != first[n] {
						t.Errorf("build %d: layer %s changed", i, l.Name)
					}
				}
				first = again
			}
		})
	}
}

func writeTo(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
