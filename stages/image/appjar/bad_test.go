package appjar

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

// entries packs a jar with names in their order, whatever they are.
func entries(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		f, err := w.Create(pairs[i])
		if err == nil && !strings.HasSuffix(pairs[i], "/") {
			_, err = io.WriteString(f, pairs[i+1])
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

const plainManifest = "Manifest-Version: 1.0\nMain-Class: a.Main\n\n"

// TestBadInput: each error names the file, the entry and a remedy.
func TestBadInput(t *testing.T) {
	bomb := strings.Repeat("\x00", maxUnjudged+1)
	web := func(extra ...string) []byte {
		return entries(t, append([]string{
			manifestName, strings.ReplaceAll(bootManifest, "BOOT-INF", "WEB-INF"), "WEB-INF/classes/a/Main.class", class(17), "WEB-INF/lib/x.jar", "x",
		}, extra...)...)
	}
	flipped := func(b []byte) []byte { // the checksum of the manifest, the first in the central directory
		b[bytes.Index(b, []byte("PK\x01\x02"))+16] ^= 1
		return b
	}
	lost := entries(t, manifestName, strings.ReplaceAll(bootManifest, "BOOT-INF", "WEB-INF"), "WEB-INF/lib/x.jar", string(pack(t, map[string]string{"x": "y"})))
	encrypted := entries(t, manifestName, plainManifest, "a/Main.class", class(8))
	encrypted[bytes.LastIndex(encrypted, []byte("PK\x01\x02"))+8] |= 1
	index, many := "", []string{}
	for i := range 150 {
		index += fmt.Sprintf("- \"l%d\":\n  - \"WEB-INF/lib/l%[1]d.jar\"\n", i)
		many = append(many, fmt.Sprintf("WEB-INF/lib/l%d.jar", i), "x")
	}
	many = append(many, "WEB-INF/layers.idx", index)
	for name, c := range map[string]struct {
		file       string
		bytes      []byte
		want, hint string
	}{
		"empty":         {"app.jar", nil, "not a valid zip archive", "build it again"},
		"text":          {"app.jar", []byte("404 not found"), "not a valid zip archive", "build it again"},
		"cut short":     {"app.jar", entries(t, manifestName, plainManifest)[:60], "not a valid zip archive", "full disk"},
		"leaves":        {"app.jar", entries(t, manifestName, plainManifest, "../../etc/passwd", "x"), `"../../etc/passwd"`, "where it comes from"},
		"absolute":      {"app.jar", entries(t, manifestName, plainManifest, "/etc/passwd", "x"), `"/etc/passwd"`, "where it comes from"},
		"backslash dot": {"app.jar", entries(t, manifestName, plainManifest, "a/./b", "x"), `"a/./b"`, "where it comes from"},
		"code page":     {"app.jar", entries(t, manifestName, plainManifest, "a/gr\x81n.txt", "x"), `"a/gr\x81n.txt": its name is not in UTF-8`, "rename the file"},
		"twice":         {"app.jar", entries(t, manifestName, plainManifest, "a/Main.class", class(8), "a/Main.class", class(9)), `"a/Main.class" is there twice`, "exclude one"},
		"web bomb":      {"app.war", web("big.txt", bomb), "entry big.txt grows from", "leave the entry out"},
		"bad checksum":  {"app.jar", flipped(entries(t, manifestName, plainManifest)), "META-INF/MANIFEST.MF: zip: checksum error", "build it again"},
		"bad layers":    {"app.war", web("WEB-INF/layers.idx", "- \"a\":\n- \"a\":\n"), `WEB-INF/layers.idx: layer "a" is there twice`, "clean package"},
		"lost start":    {"app.war", lost, "a.Main, which is neither in it nor in a library", "mainClass"},
		"wild layer":    {"app.war", web("WEB-INF/layers.idx", "- \"\x1b[31mred\":\n"), `"\x1b[31mred" is no name of a layer`, "clean package"},
		"long name":     {"app.war", web("WEB-INF/lib/"+strings.Repeat("n", 300)+".jar", "x"), "has a name of 304 bytes", "shorter"},
		"many layers":   {"app.war", web(many...), "makes 151 layers", "fewer layers"},
		"encrypted":     {"app.jar", encrypted, `"a/Main.class": encrypted`, "plug-in"},
		"no jar":        {"app.jar", entries(t, manifestName, "Manifest-Version: 1.0\nMain-Class: a.Main\nClass-Path: bad.jar\n\n", "a/Main.class", class(8)), "bad.jar of the Class-Path", "delete it from the Maven repository"},
		"lost library":  {"app.war", web("WEB-INF/classpath.idx", "- \"WEB-INF/lib/y.jar\"\n"), "WEB-INF/classpath.idx names WEB-INF/lib/y.jar, which is not in the war", "clean package"},
		"double":        {"app.war", web("WEB-INF/classpath.idx", "- \"WEB-INF/lib/x.jar\"\n- \"x.jar\"\n"), "WEB-INF/classpath.idx names WEB-INF/lib/x.jar twice", "clean package"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), c.file), c.bytes)
			write(t, filepath.Join(filepath.Dir(path), "bad.jar"), []byte("cut"))
			_, err := Open(t.Context(), path, Options{})
			if fault.ClassOf(err) != fault.ImageFailed {
				t.Fatalf("class %d: %v", fault.ClassOf(err), err)
			}
			for _, want := range []string{path, c.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q not in %v", want, err)
				}
			}
			if !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("hint %q", fault.HintOf(err))
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(t.Context(), dir, Options{}); fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder: %v", err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	path := write(t, filepath.Join(dir, "app.jar"), nil)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{}); fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(fault.HintOf(err), "let this user read it") {
		t.Errorf("%v", err)
	}
}

// TestManyEntries: more than the 65,535 that the zip format had at first.
func TestManyEntries(t *testing.T) {
	const many = 70_000
	pairs := []string{manifestName, plainManifest, "a/Main.class", class(17)}
	for i := range many {
		pairs = append(pairs, fmt.Sprintf("p%d/C%d.txt", i%700, i), "x")
	}
	a := open(t, write(t, filepath.Join(t.TempDir(), "app.jar"), entries(t, pairs...)), Options{})
	var buf bytes.Buffer
	if _, err := a.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil || len(z.File) != many+700+4 { // with folders, META-INF and a
		t.Errorf("%d entries, %v", len(z.File), err)
	}
}

// TestForeignNames: names outside ASCII keep their bytes, that of the jar too.
func TestForeignNames(t *testing.T) {
	a := open(t, write(t, filepath.Join(t.TempDir(), "Größe 😀.jar"), entries(t, manifestName, plainManifest, "a/Main.class", class(17), "a/日本語😀.txt", "x")), Options{})
	var out bytes.Buffer
	if _, err := a.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, out.Bytes()); got["a/日本語😀.txt"] != "x" {
		t.Errorf("%q", got)
	}
}

// TestLyingLayers: a layers.idx that names what is not there, claims a library
// twice, or forgets one, still gives each file one layer.
func TestLyingLayers(t *testing.T) {
	files := bootJar()
	delete(files, "BOOT-INF/lib/forgotten.jar")
	files["BOOT-INF/layers.idx"] = "- \"absent\":\n  - \"BOOT-INF/lib/gone.jar\"\n- \"one\":\n  - \"BOOT-INF/lib/z.jar\"\n- \"two\":\n  - \"BOOT-INF/lib/z.jar\"\n- \"top\":\n  - \"BOOT-INF/classes/\"\n"
	a := open(t, write(t, filepath.Join(t.TempDir(), "app.jar"), pack(t, files)), Options{})
	want := []string{"lib/z.jar in one", "lib/a b+ü.jar in top", "lib/own-1.0-SNAPSHOT.jar in top", "lib/module.jar in top"}
	if got := fmt.Sprint(placed(a)); got != fmt.Sprint(want) || fmt.Sprint(a.Layers) != "[one top]" {
		t.Errorf("%s, layers %v", got, a.Layers)
	}
}

// FuzzKind tells kinds apart, and lays out whatever is taken for one.
func FuzzKind(f *testing.F) {
	f.Add("Main-Class: a.Main", "a/Main.class", "app.jar", "")
	f.Add("Spring-Boot-Version: 3.5.6\nStart-Class: a.Main", "WEB-INF/classes/a/Main.class", "app.war", "- \"WEB-INF/lib/x.jar\"\n")
	f.Add("Spring-Boot-Version: 2.3.0\nStart-Class: a.Main\nSpring-Boot-Lib: BOOT-INF/lib\nSpring-Boot-Classes: /", "BOOT-INF/lib/x.jar", "app.jar", "- \"x.jar\"\n")
	f.Add("Main-Class: io.quarkus.bootstrap.runner.QuarkusEntryPoint\nClass-Path: lib/boot/x.jar", "x", "quarkus-run.jar", "")
	f.Add("Main-Class: a.Main\nClass-Path: . ./ ../ / file: file:/ file:x lib/%2e%2e/../x.jar app.jar lib/ %00 http://h/x ?", "a/Main.class", "app.jar", "")
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, attributes, name, file, index string) {
		if !filepath.IsLocal(file) || strings.ContainsAny(file, "/\x00") || len(file) > 100 {
			return
		}
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		write(t, filepath.Join(dir, "lib", "x.jar"), []byte("x"))
		b := entries(t, manifestName, "Manifest-Version: 1.0\n"+attributes+"\n\n", name, class(17), "BOOT-INF/classpath.idx", index, "WEB-INF/classpath.idx", index)
		a, err := Open(t.Context(), write(t, filepath.Join(dir, file), b), Options{Modules: []string{"x.jar"}})
		if err != nil {
			if fault.ClassOf(err) == fault.Internal || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v", err)
			}
			return
		}
		defer a.Close()
		seen := map[string]bool{}
		for _, l := range a.Libraries {
			path := "lib/" + l.Name
			if !filepath.IsLocal(l.Name) || seen[path] || l.Digest == "" {
				t.Errorf("library %q", l.Name)
			}
			seen[path] = true
		}
		for _, file := range a.Files {
			if !filepath.IsLocal(file.Path) || seen[file.Path] || file.Path == "app.jar" || file.Digest == "" {
				t.Errorf("file %q", file.Path)
			}
			seen[file.Path] = true
		}
		if _, err := a.WriteTo(io.Discard); err != nil {
			t.Errorf("%v", err)
		}
	})
}

// TestNoJarOnClassPath: what is not called a jar, and is none, lies where the
// class path says, and nobody looks for classes in it.
func TestNoJarOnClassPath(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "native", "x.so"), []byte("\x7fELF"))
	a := open(t, write(t, filepath.Join(dir, "app.jar"), entries(t, manifestName, "Manifest-Version: 1.0\nMain-Class: a.Main\nClass-Path: native/x.so\n\n", "a/Main.class", class(8))), Options{})
	if got := fmt.Sprint(placed(a)); got != "[lib/x.so in dependencies]" || len(a.Libraries) != 0 || appManifest(t, a).get("Class-Path") != "lib/x.so" {
		t.Errorf("%s, %d libraries", got, len(a.Libraries))
	}
}

// TestLoaderPath: settings of a launcher that the image has not are told.
func TestLoaderPath(t *testing.T) {
	for name, told := range map[string]bool{"loader.properties": true, "application.properties": false} {
		files := bootJar()
		delete(files, "BOOT-INF/lib/forgotten.jar")
		files[manifestName] = strings.Replace(bootManifest, "JarLauncher", "PropertiesLauncher", 1)
		files["BOOT-INF/classes/"+name] = "loader.path=/ext"
		a := open(t, write(t, filepath.Join(t.TempDir(), "app.jar"), pack(t, files)), Options{})
		if said := strings.Contains(strings.Join(a.Warnings, "\n"), "loader.properties"); said != told {
			t.Errorf("%s: %q", name, a.Warnings)
		}
	}
}
