package appjar

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

// TestExtractLikeSpringBoot compares with Spring Boot's own tool, on the jars
// that FASTSHIP_BOOT_JARS names (a list of paths).
func TestExtractLikeSpringBoot(t *testing.T) {
	jars := bootJars(t)
	for _, jar := range jars {
		t.Run(filepath.Base(jar), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			if out, err := exec.Command("java", "-Djarmode=tools", "-jar", jar, "extract", "--destination", dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			a, err := Open(t.Context(), jar, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			if len(a.Warnings) > 0 && !strings.Contains(strings.Join(a.Warnings, ""), "time of day") {
				t.Error(a.Warnings)
			}
			compareLibraries(t, a, filepath.Join(dir, "lib"))
			compareJars(t, a, filepath.Join(dir, filepath.Base(jar)))
		})
	}
}

func bootJars(t testing.TB) []string {
	t.Helper()
	if list := os.Getenv("FASTSHIP_BOOT_JARS"); list != "" {
		return filepath.SplitList(list)
	}
	found, err := filepath.Glob("../../../testdata/apps/orders/target/orders*.jar")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skip("no Spring Boot jar: build testdata/apps/orders, or name some in FASTSHIP_BOOT_JARS")
	}
	return found
}

func compareLibraries(t *testing.T, a *App, dir string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found = slices.DeleteFunc(found, func(f os.DirEntry) bool { return strings.HasPrefix(f.Name(), jarMode) })
	if len(found) != len(a.Libraries) {
		t.Errorf("%d libraries, the tool has %d", len(a.Libraries), len(found))
	}
	for _, l := range a.Libraries {
		b, err := os.ReadFile(filepath.Join(dir, l.Name))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := fmt.Sprintf("sha256:%x", sha256.Sum256(b)); got != string(l.Digest) {
			t.Errorf("%s: %s, the tool has %s", l.Name, l.Digest, got)
		}
	}
}

func compareJars(t *testing.T, a *App, theirs string) {
	t.Helper()
	var buf bytes.Buffer
	n, err := a.WriteTo(&buf)
	if err != nil || n != int64(buf.Len()) {
		t.Fatal(n, err)
	}
	mine := contents(t, buf.Bytes())
	b, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	want := contents(t, b)
	for name, body := range want {
		got, ok := mine[name]
		switch {
		case !ok:
			t.Errorf("%s is missing", name)
		case name == manifestName:
			compareManifests(t, []byte(got), []byte(body))
		case got != body:
			t.Errorf("%s has other bytes", name)
		}
	}
	for name := range mine {
		if _, ok := want[name]; !ok && !strings.HasSuffix(name, "/") {
			t.Errorf("%s is too much", name)
		}
	}
}

func contents(t testing.TB, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) < 2 || z.File[0].Name != manifestName && z.File[1].Name != manifestName {
		t.Errorf("the manifest does not come first: JarInputStream will not see it")
	}
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := out[f.Name]; twice {
			t.Errorf("%s is there twice", f.Name)
		}
		out[f.Name] = string(body)
	}
	return out
}

// jarModes are the jars on a class path that the tool keeps.
var jarModes = regexp.MustCompile(`lib/` + jarMode + `\S+\s*`)

func compareManifests(t *testing.T, got, want []byte) {
	t.Helper()
	sorted := func(b []byte) []string {
		m, err := parseManifest(b)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, a := range m.main {
			out = append(out, a.name+": "+jarModes.ReplaceAllString(strings.TrimSpace(a.value), ""))
		}
		slices.Sort(out)
		return out
	}
	if g, w := sorted(got), sorted(want); !slices.Equal(g, w) {
		t.Errorf("manifest\n%q, the tool has\n%q", g, w)
	}
}

func BenchmarkOpen(b *testing.B) {
	jar := bootJars(b)[0]
	for b.Loop() {
		a, err := Open(context.Background(), jar, Options{})
		if err != nil {
			b.Fatal(err, fault.HintOf(err))
		}
		a.Close()
	}
}
