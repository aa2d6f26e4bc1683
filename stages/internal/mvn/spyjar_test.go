package mvn

import (
	"archive/zip"
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write spy/spy.jar anew")

// spyJavac is the feature release of the javac that the committed jar is made
// with: class files differ between compilers, not between machines.
const spyJavac = 17

// TestSpyJarIsBuiltFromItsSource rebuilds spy/spy.jar and compares the bytes.
// To change the spy: go test ./stages/internal/mvn -run SpyJar -update
func TestSpyJarIsBuiltFromItsSource(t *testing.T) {
	javac := spyCompiler(t)
	library := mavenLibrary(t)
	classes := t.TempDir()
	sources, err := filepath.Glob("spy/*.java")
	if err != nil || len(sources) == 0 {
		t.Fatalf("find the spy's source: %v, %v", sources, err)
	}
	args := []string{"--release", "8", "-g:none", "-proc:none", "-encoding", "UTF-8", "-Xlint:-options", "-cp", library, "-d", classes}
	if out, err := exec.Command(javac, append(args, sources...)...).CombinedOutput(); err != nil {
		t.Fatalf("compile the spy: %v\n%s", err, out)
	}
	built := packSpy(t, classes)
	if *update {
		if err := os.WriteFile("spy/spy.jar", built, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(built, spyJar) {
		t.Errorf("spy/spy.jar (%d bytes) is not what its source gives (%d bytes); run this test with -update", len(spyJar), len(built))
	}
}

func spyCompiler(t *testing.T) string {
	t.Helper()
	h := Host{Environ: os.Environ(), Home: os.Getenv("HOME")}
	for j := range h.JDKs(t.Context()) {
		if j.Major == spyJavac && j.Javac {
			return filepath.Join(j.Home, "bin", "javac")
		}
	}
	t.Skipf("no JDK %d: the bytes of another compiler would differ", spyJavac)
	return ""
}

// mavenLibrary is the class path of the Maven on PATH.
func mavenLibrary(t *testing.T) string {
	t.Helper()
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		t.Skip("no mvn on PATH to compile the spy against")
	}
	script, err := filepath.EvalSymlinks(mvn)
	if err != nil {
		t.Fatal(err)
	}
	jars, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(script)), "lib", "*.jar"))
	if err != nil || len(jars) == 0 {
		t.Skipf("no jars beside %s", script)
	}
	return strings.Join(jars, string(os.PathListSeparator))
}

// packSpy makes the jar: entries stored, sorted, at the zip format's first
// day, so that it depends on nothing but the classes.
func packSpy(t *testing.T, classes string) []byte {
	t.Helper()
	files := map[string][]byte{
		"META-INF/MANIFEST.MF":             []byte("Manifest-Version: 1.0\r\n\r\n"),
		"META-INF/sisu/javax.inject.Named": []byte("fastship.Spy\n"),
	}
	err := filepath.WalkDir(classes, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(classes, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range names {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
