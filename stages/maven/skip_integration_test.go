package maven

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The real Maven once: what the played ones are held to.
func TestSkipOfRealMaven(t *testing.T) {
	needMaven(t)
	w := &workshop{dir: app(t, "hello"), home: os.Getenv("HOME"), state: t.TempDir(), starts: filepath.Join(t.TempDir(), "starts"), cache: storeIn(t, t.TempDir())}
	bin := t.TempDir()
	counting := "#!/bin/sh\necho started >>" + w.starts + "\nexec " + lookPath(t, "mvn") + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte(counting), 0o755); err != nil {
		t.Fatal(err)
	}
	w.environ = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	source := mainFile(t, w.dir)
	first := w.builds(t, "first", Config{})
	jar, err := os.ReadFile(first.out.Jar.Name)
	if err != nil {
		t.Fatal(err)
	}
	reports, _ := filepath.Glob(filepath.Join(w.dir, "target", "surefire-reports", "TEST-*.xml"))
	w.remove(t, "target")
	began := time.Now()
	again := w.skips(t, "deleted target", Config{})
	t.Logf("skipped in %v", time.Since(began))
	if got, err := os.ReadFile(again.out.Jar.Name); err != nil || !bytes.Equal(got, jar) || again.out.Tests != first.out.Tests {
		t.Errorf("put back: %v, out %+v, want %+v", err, again.out, first.out)
	}
	for _, r := range reports {
		if !isFile(r) {
			t.Errorf("%s was not put back", r)
		}
	}
	text, err := os.ReadFile(filepath.Join(w.dir, source))
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, source, string(text)+"// a line\n")
	if r := w.builds(t, "one line", Config{}); !strings.Contains(r.said(), "source changed: "+source) {
		t.Errorf("said:\n%s", r.said())
	}
	w.put(t, source, string(text))
	w.skips(t, "reverted", Config{})
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	for _, d := range filepath.SplitList(os.Getenv("PATH")) {
		if p := filepath.Join(d, name); isFile(p) {
			return p
		}
	}
	t.Skipf("no %s on PATH", name)
	return ""
}

func mainFile(t *testing.T, dir string) string {
	t.Helper()
	found := ""
	_ = filepath.WalkDir(filepath.Join(dir, "src", "main"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".java") {
			found, _ = filepath.Rel(dir, path)
		}
		return err
	})
	if found == "" {
		t.Fatal("no java file")
	}
	return filepath.ToSlash(found)
}
