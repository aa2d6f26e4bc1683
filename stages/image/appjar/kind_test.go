package appjar

import (
	"archive/zip"
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/fault"
)

// class is the head of a class file for a Java release.
func class(release int) string { return "\xca\xfe\xba\xbe\x00\x00\x00" + string(rune(44+release)) }

// pack writes a jar, sorted by name, as a build that has no outputTimestamp.
func pack(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, name := range slices.Sorted(maps.Keys(files)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Now().Add(time.Duration(i) * 4 * time.Second)}
		if strings.HasSuffix(name, ".jar") {
			h.Method = zip.Store
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t testing.TB, path string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const bootManifest = "Manifest-Version: 1.0\nMain-Class: org.springframework.boot.loader.launch.JarLauncher\nStart-Class: a.Main\nSpring-Boot-Version: 3.5.6\n" +
	"Spring-Boot-Classes: BOOT-INF/classes/\nSpring-Boot-Lib: BOOT-INF/lib/\nSpring-Boot-Classpath-Index: BOOT-INF/classpath.idx\nSpring-Boot-Layers-Index: BOOT-INF/layers.idx\n\n"

// bootJar has libraries in another order than by name, of all kinds.
func bootJar() map[string]string {
	return map[string]string{
		manifestName:                            bootManifest,
		"BOOT-INF/classes/a/Main.class":         class(17),
		"BOOT-INF/classes/a/b/Other.class":      class(11),
		"BOOT-INF/classes/application.yml":      "x: y",
		"BOOT-INF/lib/z.jar":                    "zzz",
		"BOOT-INF/lib/a b+ü.jar":                "aaa",
		"BOOT-INF/lib/own-1.0-SNAPSHOT.jar":     "own",
		"BOOT-INF/lib/module.jar":               "module",
		"BOOT-INF/lib/forgotten.jar":            "not in the index",
		"BOOT-INF/classpath.idx":                "- \"BOOT-INF/lib/z.jar\"\n- \"BOOT-INF/lib/a b+ü.jar\"\n- \"BOOT-INF/lib/own-1.0-SNAPSHOT.jar\"\n- \"BOOT-INF/lib/module.jar\"\n",
		"BOOT-INF/layers.idx":                   "- \"dependencies\":\n  - \"BOOT-INF/lib/\"\n- \"spring-boot-loader\":\n  - \"org/\"\n- \"snapshot-dependencies\":\n  - \"BOOT-INF/lib/own-1.0-SNAPSHOT.jar\"\n- \"application\":\n  - \"BOOT-INF/classes/\"\n  - \"BOOT-INF/lib/module.jar\"\n",
		"META-INF/services/a.Service":           "a.Main",
		loaderService:                           "org.springframework.boot.loader.nio.file.NestedFileSystemProvider",
		loaderPackage + "/launch/JarLauncher.c": "loader",
		"org/other.txt":                         "dropped, as by the tool",
	}
}

func TestSpringBoot(t *testing.T) {
	script := append([]byte("#!/bin/sh\nexec java -jar \"$0\" \"$@\"\n"), pack(t, bootJar())...)
	a, err := Open(t.Context(), write(t, filepath.Join(t.TempDir(), "app.jar"), script), Options{Snapshots: []string{"z.jar"}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.Kind != SpringBoot || a.Main != "a.Main" || a.Release != 17 || a.Layer != Application {
		t.Errorf("%+v", a)
	}
	if want := []string{Dependencies, Snapshots, Application}; !slices.Equal(a.Layers, want) {
		t.Errorf("layers %v", a.Layers)
	}
	var libs []string
	for _, l := range a.Libraries {
		libs = append(libs, l.Name+" in "+l.Layer)
	}
	if want := []string{"z.jar in " + Snapshots, "a b+ü.jar in " + Dependencies, "own-1.0-SNAPSHOT.jar in " + Snapshots, "module.jar in " + Application, "forgotten.jar in " + Dependencies}; !slices.Equal(libs, want) {
		t.Errorf("libraries %v", libs)
	}
	if len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "forgotten.jar") {
		t.Errorf("warnings %v", a.Warnings)
	}
	var buf bytes.Buffer
	if _, err := a.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	got := contents(t, buf.Bytes())
	m, err := parseManifest([]byte(got[manifestName]))
	if err != nil {
		t.Fatal(err)
	}
	if cp := m.get("Class-Path"); cp != "lib/z.jar lib/a%20b+%C3%BC.jar lib/own-1.0-SNAPSHOT.jar lib/module.jar lib/forgotten.jar" {
		t.Errorf("Class-Path: %s", cp)
	}
	if m.get("Main-Class") != "a.Main" || m.get("Start-Class") != "" || m.get("Spring-Boot-Version") != "3.5.6" {
		t.Errorf("%+v", m)
	}
	want := []string{"META-INF/", manifestName, "META-INF/services/", "META-INF/services/a.Service", "a/", "a/Main.class", "a/b/", "a/b/Other.class", "application.yml"}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("entries %q", names)
	}
}

// TestBytesDependOnContent packs the same files at another time and in
// another place.
func TestBytesDependOnContent(t *testing.T) {
	var first []byte
	for i := range 2 {
		a, err := Open(t.Context(), write(t, filepath.Join(t.TempDir(), "app.jar"), pack(t, bootJar())), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		var buf bytes.Buffer
		if _, err := a.WriteTo(&buf); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = buf.Bytes()
			time.Sleep(2 * time.Second) // a zip's clock has two-second ticks
		} else if !bytes.Equal(first, buf.Bytes()) {
			t.Error("other bytes")
		}
	}
}

func TestKinds(t *testing.T) {
	plain := map[string]string{manifestName: "Manifest-Version: 1.0\nMain-Class: a.Main\n\n", "a/Main.class": class(8)}
	shaded := maps.Clone(plain)
	for _, p := range []string{"one", "two"} {
		shaded["META-INF/maven/g/"+p+"/pom.properties"] = "version=1"
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "lib", "x.jar"), pack(t, map[string]string{"x/InTheLibrary.class": class(8)}))
	thin := map[string]string{manifestName: "Manifest-Version: 1.0\nMain-Class: x.InTheLibrary\nClass-Path: lib/x.jar lib/gone.jar conf/ https://h/y.jar\n\n"}
	for want, c := range map[string]struct {
		files     map[string]string
		libraries int
		warnings  []string
	}{
		Plain:  {plain, 0, nil},
		Shaded: {shaded, 0, nil},
		Thin:   {thin, 1, []string{"lib/gone.jar", "https://h/y.jar"}},
	} {
		a, err := Open(t.Context(), write(t, filepath.Join(dir, "app.jar"), pack(t, c.files)), Options{})
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		defer a.Close()
		if a.Kind != want || len(a.Libraries) != c.libraries || len(a.Warnings) != len(c.warnings) {
			t.Errorf("%s: %+v", want, a)
			continue
		}
		for i, w := range c.warnings {
			if !strings.Contains(a.Warnings[i], w) {
				t.Errorf("%s: %q", want, a.Warnings[i])
			}
		}
		var buf bytes.Buffer
		if _, err := a.WriteTo(&buf); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if m := contents(t, buf.Bytes())[manifestName]; want != Thin && m != c.files[manifestName] {
			t.Errorf("%s: the manifest became %q", want, m)
		} else if want == Thin && !strings.Contains(m, "Class-Path: lib/x.jar conf/\r\n") {
			t.Errorf("%s: the manifest became %q", want, m)
		}
	}
}

func TestRefusals(t *testing.T) {
	with := func(name, content string) map[string]string {
		files := bootJar()
		files[name] = content
		return files
	}
	main := "Manifest-Version: 1.0\nMain-Class: a.Main\n\n"
	for name, files := range map[string]map[string]string{"plain": {manifestName: main}, "Spring Boot": {manifestName: "Manifest-Version: 1.0\nSpring-Boot-Version: 3.0.0\nStart-Class: a.Main\n\n", "BOOT-INF/classes/a/Main.class": class(8)}} {
		_, err := Open(t.Context(), write(t, filepath.Join(t.TempDir(), "app.jar"), pack(t, files)), Options{Main: "b.Other"})
		if err == nil || !strings.Contains(err.Error(), "image.main: b.Other is neither in it nor in a library") || fault.HintOf(err) != "correct image.main; it is a class's full name" {
			t.Errorf("%s: %v (%s)", name, err, fault.HintOf(err))
		}
	}
	cases := map[string]struct {
		files map[string]string
		want  string
		hint  string
	}{
		"no manifest":      {map[string]string{"a": "b"}, "no META-INF/MANIFEST.MF", "mainClass"},
		"no Main-Class":    {map[string]string{manifestName: "Manifest-Version: 1.0\n\n"}, "no Main-Class", "mainClass"},
		"wrong Main-Class": {map[string]string{manifestName: main}, "Main-Class: a.Main, which is neither in it nor in a library", "mainClass"},
		"war":              {map[string]string{manifestName: main, "WEB-INF/web.xml": "x"}, "a war for a servlet container: it is no Spring Boot war", "repackage"},
		"plain war":        {map[string]string{"WEB-INF/web.xml": "x"}, "it has no server inside", "repackage"},
		"Quarkus":          {map[string]string{manifestName: "Manifest-Version: 1.0\nMain-Class: io.quarkus.bootstrap.runner.QuarkusEntryPoint\n\n"}, "quarkus/quarkus-application.dat is not beside it", "together"},
		"no Start-Class":   {with(manifestName, "Manifest-Version: 1.0\nSpring-Boot-Version: 3.0.0\n\n"), "no Start-Class", "mainClass"},
		"manifest":         {map[string]string{manifestName: "what is this"}, "line 1", "own plug-in"},
		"index":            {with("BOOT-INF/classpath.idx", "nonsense"), "classpath.idx: line 1", "clean package"},
		"lost library":     {with("BOOT-INF/classpath.idx", "- \"BOOT-INF/lib/lost.jar\""), "lost.jar, which is not in the jar", "clean package"},
		"library twice":    {with("BOOT-INF/classpath.idx", "- \"BOOT-INF/lib/z.jar\"\n- \"BOOT-INF/lib/z.jar\""), "twice", "clean package"},
		"layers":           {with("BOOT-INF/layers.idx", "  - \"x\""), "layers.idx: line 1", "clean package"},
		"no class":         {with("BOOT-INF/classes/a/Main.class", "x"), "not a class file", "clean package"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), write(t, filepath.Join(t.TempDir(), "app.jar"), pack(t, c.files)), Options{})
			if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%v (%s)", err, fault.HintOf(err))
			}
		})
	}
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "gone.jar"), Options{}); fault.ClassOf(err) != fault.ImageFailed || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.Context(), write(t, filepath.Join(t.TempDir(), "cut.jar"), pack(t, bootJar())[:900]), Options{}); fault.ClassOf(err) != fault.ImageFailed || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

// TestNestedBomb: a compressed library that grows a thousandfold.
func TestNestedBomb(t *testing.T) {
	files := bootJar()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		if name == "BOOT-INF/lib/z.jar" {
			content = strings.Repeat("\x00", 32<<20)
		}
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, content)
	}
	w.Close()
	_, err := Open(t.Context(), write(t, filepath.Join(t.TempDir(), "app.jar"), b.Bytes()), Options{})
	if err == nil || !strings.Contains(err.Error(), "z.jar grows from") {
		t.Errorf("%v", err)
	}
}

func TestTimeOfDay(t *testing.T) {
	now := time.Now().UTC()
	cases := map[string]struct {
		name, content string
		want          bool
	}{
		"build-info":     {"META-INF/build-info.properties", "build.time=" + strings.ReplaceAll(now.Format(time.RFC3339Nano), ":", `\:`) + "\n", true},
		"git.properties": {"git.properties", "git.build.time=" + now.Format("2006-01-02T15:04:05-0700") + "\n", true},
		"pom.properties": {"META-INF/maven/g/a/pom.properties", "#Generated by Maven\n#" + now.Format(time.UnixDate) + "\nversion=1\n", true},
		"constant":       {"META-INF/build-info.properties", "build.time=2024-01-01T00\\:00\\:00Z\n", false},
		"none":           {"META-INF/maven/g/a/pom.properties", "artifactId=a\nversion=1\n", false},
		"someone else's": {"static/info.properties", "build.time=" + now.Format(time.RFC3339), false},
	}
	for name, c := range cases {
		files := bootJar()
		delete(files, "BOOT-INF/lib/forgotten.jar")
		files[c.name] = c.content
		if strings.HasPrefix(c.name, "git") || strings.HasPrefix(c.name, "static") {
			delete(files, c.name)
			files["BOOT-INF/classes/"+c.name] = c.content
		}
		a, err := Open(t.Context(), write(t, filepath.Join(t.TempDir(), "app.jar"), pack(t, files)), Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		defer a.Close()
		if found := len(a.Warnings) == 1 && strings.Contains(a.Warnings[0], c.name); found != c.want {
			t.Errorf("%s: %v", name, a.Warnings)
		}
	}
}

func TestManifestRoundTrip(t *testing.T) {
	in := "Manifest-Version: 1.0\r\nA: " + strings.Repeat("x", 65) + "\r\n " + strings.Repeat("ü", 50) + "\r\nEmpty: \r\n\r\nName: a/b.class\r\nSHA-256-Digest: abc\r\n\r\n"
	m, err := parseManifest([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseManifest(out)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.main, again.main) || !bytes.Equal(m.sections, again.sections) || !strings.HasPrefix(string(m.sections), "Name: a/b.class") {
		t.Errorf("%q became %q", in, out)
	}
	for line := range strings.SplitSeq(string(out), "\r\n") {
		if len(line) > 72 {
			t.Errorf("a line of %d bytes: %q", len(line), line)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(bootManifest))
	f.Add([]byte("A: b\n c\r d\r\n\r\nrest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		out, err := m.with("Class-Path", "lib/a.jar").bytes()
		if err != nil {
			return
		}
		again, err := parseManifest(out)
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if again.get("Class-Path") != "lib/a.jar" || again.get("Main-Class") != m.get("Main-Class") {
			t.Errorf("%q became %q", b, out)
		}
	})
}

func FuzzIndexes(f *testing.F) {
	for name, content := range bootJar() {
		if strings.HasSuffix(name, ".idx") {
			f.Add([]byte(content))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parseClasspathIndex(b)
		layers, err := parseLayersIndex(b)
		if err != nil {
			return
		}
		for _, l := range layers {
			for _, p := range l.paths {
				if layerOf(layers, p) == "" {
					t.Errorf("%q is in no layer of %q", p, b)
				}
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add(pack(f, bootJar()))
	f.Add(pack(f, map[string]string{manifestName: "Manifest-Version: 1.0\nMain-Class: a.Main\n\n", "a/Main.class": class(8)}))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Open(t.Context(), write(t, filepath.Join(dir, "app.jar"), b), Options{})
		if err != nil {
			if fault.ClassOf(err) == fault.Internal {
				t.Errorf("%v has no class", err)
			}
			return
		}
		defer a.Close()
		a.WriteTo(io.Discard)
		for _, l := range a.Libraries {
			if !filepath.IsLocal(l.Name) {
				t.Errorf("a library named %q", l.Name)
			}
		}
	})
}
