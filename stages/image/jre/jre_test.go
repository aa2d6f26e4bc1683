package jre

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/container"
)

func TestMain(m *testing.M) {
	if code, ok := container.Init(os.Args); ok {
		os.Exit(code)
	}
	code := m.Run()
	if samplesDir != "" {
		os.RemoveAll(samplesDir)
	}
	os.Exit(code)
}

func newCache(t testing.TB) *cache.Cache {
	t.Helper()
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { t.Errorf("cache: %v", err) }}
}

// integration skips a test that needs a JDK, Maven or namespaces.
func integration(t testing.TB) {
	t.Helper()
	if os.Getenv("FASTSHIP_INTEGRATION") != "1" {
		t.Skip("links with real JDKs; set FASTSHIP_INTEGRATION=1")
	}
}

// jdks are the JDKs of this machine that can link, one of each version. There
// is at least one.
func jdks(t testing.TB) []JDK {
	t.Helper()
	integration(t)
	homes, err := filepath.Glob("/usr/lib/jvm/*")
	if err != nil {
		t.Fatal(err)
	}
	var found []JDK
	homes = append(homes, os.Getenv("JAVA_HOME"))
	for _, home := range append(homes, filepath.SplitList(os.Getenv("FASTSHIP_TEST_JDKS"))...) { // more of them, for a long run
		jdk, err := Find(home)
		known := slices.ContainsFunc(found, func(j JDK) bool { return j.Version == jdk.Version })
		if err == nil && !known && Check(t.Context(), jdk, jdk) == nil {
			found = append(found, jdk)
		}
	}
	if len(found) == 0 {
		t.Fatal("no JDK below /usr/lib/jvm and in JAVA_HOME can link")
	}
	return found
}

// samplesDir is where samples has built, removed by TestMain.
var samplesDir string

// samples builds services of testdata/apps by Maven, once.
var samples = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "samples")
	if err != nil {
		return "", err
	}
	samplesDir = dir
	for _, app := range []string{"hello", "shaded", "orders", "broken/hidden-module"} {
		source := filepath.Join("..", "..", "..", "testdata", "apps", app)
		copied := filepath.Join(dir, filepath.Base(app))
		for _, part := range []string{"pom.xml", "src"} {
			if out, err := exec.Command("sh", "-c", `mkdir -p "$2" && cp -r "$1" "$2"`, "cp", filepath.Join(source, part), copied).CombinedOutput(); err != nil {
				return "", errors.New(string(out))
			}
		}
		mvn := exec.Command("mvn", "-q", "-B", "package", "-DskipTests")
		mvn.Dir = copied
		if out, err := mvn.CombinedOutput(); err != nil {
			return "", errors.New(string(out))
		}
	}
	return dir, nil
})

// sample is the path of a sample service's jar.
func sample(t testing.TB, app string) string {
	t.Helper()
	dir, err := samples()
	if err != nil {
		t.Fatalf("build the sample services: %v", err)
	}
	return filepath.Join(dir, app, "target", app+"-1.0.0.jar")
}

// jarsOf are the jars of an application: itself and the libraries inside it.
func jarsOf(t testing.TB, path string) []Jar {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { archive.Close() })
	jars := []Jar{{Name: path, Open: func() (*zip.Reader, io.Closer, error) {
		return &archive.Reader, io.NopCloser(nil), nil
	}}}
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, ".jar") {
			content, err := fs.ReadFile(archive, f.Name)
			if err != nil {
				t.Fatal(err)
			}
			jars = append(jars, jarOf(f.Name, content))
		}
	}
	return jars
}

func jarOf(name string, content []byte) Jar {
	return Jar{Name: name, Digest: cache.Sum(content), Open: func() (*zip.Reader, io.Closer, error) {
		r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		return r, io.NopCloser(nil), err
	}}
}
