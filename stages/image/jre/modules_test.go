package jre

import (
	"archive/zip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// jdepsModules is jdeps' answer for the same jars. It gets their classes in
// folders without module descriptors, since it refuses modular jars whose
// optional requirements are absent.
func jdepsModules(t *testing.T, jdk JDK, jars []Jar) []string {
	t.Helper()
	args := []string{"--print-module-deps", "--ignore-missing-deps"}
	for _, jar := range jars {
		dir := t.TempDir()
		archive, closer, err := jar.Open()
		if err != nil {
			t.Fatal(err)
		}
		classes := false
		for _, f := range archive.File {
			version, name := split(f.Name)
			if version > jdk.Major || !strings.HasSuffix(name, ".class") || strings.HasSuffix(name, "module-info.class") {
				continue
			}
			extract(t, f, filepath.Join(dir, strings.TrimPrefix(name, "BOOT-INF/classes/")))
			classes = true
		}
		closer.Close()
		if classes {
			args = append(args, dir)
		}
	}
	out, err := exec.Command(jdk.tool("jdeps"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("jdeps: %s", out)
	}
	return strings.Split(strings.TrimSpace(string(out)), ",")
}

func extract(t *testing.T, f *zip.File, path string) {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path, content, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestModulesAreThoseOfJdepsAndTheSafeSet(t *testing.T) {
	jdk := jdks(t)[0]
	c := newCache(t)
	id, err := jdk.identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range []string{"hello", "shaded", "orders"} {
		t.Run(app, func(t *testing.T) {
			jars := jarsOf(t, sample(t, app))
			got, err := Modules(t.Context(), c, jdk, jars, nil)
			if err != nil {
				t.Fatal(err)
			}
			listed := jdepsModules(t, jdk, jars)
			safe := slices.DeleteFunc(safeModules(), func(m string) bool { return !slices.Contains(jdk.Modules, m) })
			want, err := closure(t.Context(), c, jdk, id, append(safe, listed...))
			if err != nil {
				t.Fatal(err)
			}
			for _, module := range want {
				if !slices.Contains(got, module) {
					t.Errorf("%s is missing", module)
				}
			}
			extra := slices.DeleteFunc(slices.Clone(got), func(m string) bool { return slices.Contains(want, m) })
			if len(extra) > 3 {
				t.Errorf("neither jdeps nor the safe set asks for %v", extra)
			}
			t.Logf("%d modules, jdeps alone %v, not asked for %v", len(got), listed, extra)
		})
	}
}

func TestModulesOfTheUser(t *testing.T) {
	jdk := jdks(t)[0]
	c := newCache(t)
	got, err := Modules(t.Context(), c, jdk, nil, []string{"java.sql.rowset"})
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"java.sql.rowset", "java.sql"} { // and what it requires
		if !slices.Contains(got, module) {
			t.Errorf("%s is missing in %v", module, got)
		}
	}
}

func TestUnknownModuleNamesTheNearest(t *testing.T) {
	jdk := JDK{Version: "17.0.15", Major: 17, Modules: []string{"java.base", "java.sql", "java.sql.rowset", "jdk.jfr"}}
	_, err := Modules(t.Context(), newCache(t), jdk, nil, []string{"java.sql", "java.sql.rowsets"})
	if fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), `JDK 17.0.15 has no module "java.sql.rowsets"`) {
		t.Errorf("got %v", err)
	}
	if hint := fault.HintOf(err); !strings.HasPrefix(hint, "did you mean java.sql.rowset? java --list-modules ") {
		t.Errorf("hint %q", hint)
	}
}

func TestScanIsKeptByDigest(t *testing.T) {
	c := newCache(t)
	opened := 0
	jar := jarOf("a.jar", archiveOf(t, map[string]string{"a/A.class": classFile("java/sql/Date")}))
	read := jar.Open
	jar.Open = func() (*zip.Reader, io.Closer, error) { opened++; return read() }
	for range 3 {
		refs, err := referencesOf(t.Context(), c, []Jar{jar}, nil)
		if err != nil || !slices.Contains(refs[0].Packages, "java/sql") {
			t.Fatalf("got %v, %v", refs, err)
		}
	}
	if opened != 1 {
		t.Errorf("opened %d times", opened)
	}
	jar.Digest = ""
	for range 2 {
		if _, err := referencesOf(t.Context(), c, []Jar{jar}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if opened != 3 {
		t.Errorf("opened %d times, want each time without a digest", opened)
	}
}

// BenchmarkHit is what a run with an unchanged base costs.
func BenchmarkHit(b *testing.B) {
	home := jdks(b)[0].Home
	jars := jarsOf(b, sample(b, "orders"))
	c := newCache(b)
	build := func() {
		jdk, err := Find(home)
		if err != nil {
			b.Fatal(err)
		}
		modules, err := Modules(b.Context(), c, jdk, jars, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Build(b.Context(), c, Request{JDK: jdk, Modules: modules, Codec: oci.Gzip(1), Emit: func(runner.Body) {}}); err != nil {
			b.Fatal(err)
		}
	}
	build()
	for b.Loop() {
		build()
	}
}
