package inspect

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// storedJar has one stored entry of that many zeros, and pom.properties.
func storedJar(t *testing.T, size int, artifact string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range map[string]string{"big": string(make([]byte, size)), "META-INF/maven/g/a/pom.properties": "groupId=g\nartifactId=" + artifact + "\nversion=1\n"} {
		e, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = io.WriteString(e, text)
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

// TestLargeJars: jars of all sizes, one after the other, each as if it were
// the only one; large ones in a file that nobody sees.
func TestLargeJars(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var kept held
	defer kept.close()
	for i, size := range []int{100, inMemory + 1<<20, 5, inMemory + 10, inMemory + 2<<20, 7} {
		name := fmt.Sprintf("a%d", i)
		b := storedJar(t, size, name)
		digest, jar, err := readFile("/app/lib/"+name+"-1.jar", int64(len(b)), bytes.NewReader(b), &kept)
		if err != nil || digest != sum(b) || jar.Broken != "" || jar.Name != name || jar.Entries != 2 || !jar.Stored {
			t.Errorf("%d bytes: %s, %+v, %v", size, digest, jar, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("left in TMPDIR: %v, %v", entries, err)
		}
	}
	if (kept.large == nil) || kept.small.Cap() > 2*inMemory {
		t.Errorf("%d bytes in memory", kept.small.Cap())
	}
	t.Setenv("TMPDIR", filepath.Join(dir, "absent"))
	b := storedJar(t, inMemory, "x")
	if _, _, err := readFile("/x.jar", int64(len(b)), bytes.NewReader(b), &held{}); err == nil {
		t.Error("kept without a folder to keep it in")
	}
}
