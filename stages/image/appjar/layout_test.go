package appjar

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

// placed lists where an application's files are: path in LAYER.
func placed(a *App) []string {
	var all []string
	for _, l := range a.Libraries {
		all = append(all, "lib/"+l.Name+" in "+l.Layer)
	}
	for _, f := range a.Files {
		all = append(all, f.Path+" in "+f.Layer)
	}
	return all
}

func open(t testing.TB, path string, o Options) *App {
	t.Helper()
	a, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func appManifest(t testing.TB, a *App) manifest {
	t.Helper()
	var buf bytes.Buffer
	if _, err := a.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	m, err := parseManifest([]byte(contents(t, buf.Bytes())[manifestName]))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// read is what an Open function gives.
func read(t testing.TB, open func() (io.ReadCloser, error)) []byte {
	t.Helper()
	r, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSpringBootWar(t *testing.T) {
	files := map[string]string{
		manifestName:                       strings.ReplaceAll(strings.ReplaceAll(bootManifest, "BOOT-INF", "WEB-INF"), "JarLauncher", "WarLauncher"),
		"META-INF/maven/g/a/pom.xml":       "<project/>",
		"META-INF/resources/in-app.txt":    "x",
		"WEB-INF/classes/a/Main.class":     class(17),
		"WEB-INF/lib/spring.jar":           "spring",
		"WEB-INF/lib/both.jar":             "one",
		"WEB-INF/lib-provided/both.jar":    "other",
		"WEB-INF/lib-provided/tomcat.jar":  "tomcat",
		"WEB-INF/classpath.idx":            "- \"WEB-INF/lib/spring.jar\"\n- \"WEB-INF/lib-provided/tomcat.jar\"\n- \"WEB-INF/lib/both.jar\"\n- \"WEB-INF/lib-provided/both.jar\"\n",
		"WEB-INF/layers.idx":               "- \"dependencies\":\n  - \"WEB-INF/lib-provided/\"\n  - \"WEB-INF/lib/\"\n- \"application\":\n  - \"WEB-INF/classes/\"\n  - \"index.html\"\n",
		"WEB-INF/jsp/page.jsp":             "<p>page</p>",
		"WEB-INF/web.xml":                  "<web-app/>",
		"index.html":                       "<p>hello</p>",
		"css/ü.css":                        "p {}",
		"org/own/file.txt":                 "of the application, not of the loader",
		loaderPackage + "/launch/x.class":  "loader",
		"org/springframework/boot/a.class": "served like anything else",
	}
	a := open(t, write(t, filepath.Join(t.TempDir(), "app.war"), pack(t, files)), Options{})
	want := []string{
		"lib/spring.jar in dependencies", "lib/tomcat.jar in dependencies", "lib/both.jar in dependencies", "lib/provided/both.jar in dependencies",
		"src/main/webapp/WEB-INF/jsp/page.jsp in webapp", "src/main/webapp/WEB-INF/web.xml in webapp", "src/main/webapp/css/ü.css in webapp",
		"src/main/webapp/index.html in webapp", "src/main/webapp/org/own/file.txt in webapp", "src/main/webapp/org/springframework/boot/a.class in webapp",
	}
	if got := placed(a); !slices.Equal(got, want) {
		t.Errorf("files %q", got)
	}
	if !slices.Equal(a.Layers, []string{Dependencies, Webapp, Application}) || a.Kind != SpringBoot || a.Main != "a.Main" || a.Release != 17 {
		t.Errorf("%+v", a)
	}
	if m := appManifest(t, a); m.get("Class-Path") != "lib/spring.jar lib/tomcat.jar lib/both.jar lib/provided/both.jar" || m.get("Main-Class") != "a.Main" {
		t.Errorf("%+v", m)
	}
	for _, f := range a.Files {
		if b := read(t, f.Open); string(b) != files[strings.TrimPrefix(f.Path, webRoot)] || int64(len(b)) != f.Size || cache.Sum(b) != f.Digest {
			t.Errorf("%s: %q", f.Path, b)
		}
	}
	// Without indexes (2.3): the libraries in the order of the archive.
	delete(files, "WEB-INF/classpath.idx")
	delete(files, "WEB-INF/layers.idx")
	a = open(t, write(t, filepath.Join(t.TempDir(), "app.war"), pack(t, files)), Options{})
	if m := appManifest(t, a); m.get("Class-Path") != "lib/both.jar lib/tomcat.jar lib/provided/both.jar lib/spring.jar" && m.get("Class-Path") != "lib/both.jar lib/provided/both.jar lib/tomcat.jar lib/spring.jar" {
		t.Errorf("%s", m.get("Class-Path"))
	}
	if len(a.Warnings) != 0 {
		t.Errorf("%q", a.Warnings)
	}
}

// TestModules: jars of the same build go to a layer of their own, unless the
// project's layers.idx has a layer of its own for them.
func TestModules(t *testing.T) {
	module := func() string {
		return string(pack(t, map[string]string{"m/M.class": class(17), manifestName: "Manifest-Version: 1.0\n\n"}))
	}
	files := bootJar()
	delete(files, "BOOT-INF/lib/forgotten.jar")
	files["BOOT-INF/lib/module.jar"] = module()
	at := t.TempDir()
	o := Options{Modules: []string{"module.jar", "own-1.0-SNAPSHOT.jar", ""}}
	first := open(t, write(t, filepath.Join(at, "1.jar"), pack(t, files)), o)
	if want := []string{"lib/z.jar in dependencies", "lib/a b+ü.jar in dependencies", "lib/own-1.0-SNAPSHOT.jar in modules", "lib/module.jar in modules"}; !slices.Equal(placed(first), want) {
		t.Errorf("%q", placed(first))
	}
	if !slices.Equal(first.Layers, []string{Dependencies, Modules, Application}) {
		t.Errorf("layers %q", first.Layers)
	}
	l := first.Libraries[3]
	b := read(t, l.Open)
	if !l.Own || l.Content != nil || cache.Sum(b) != l.Digest || int64(len(b)) != l.Size || contents(t, b)["m/M.class"] != class(17) {
		t.Errorf("%+v", l)
	}
	if first.Libraries[2].Own { // no archive: as it is
		t.Errorf("%+v", first.Libraries[2])
	}
	time.Sleep(2 * time.Second) // a zip's clock has two-second ticks
	files["BOOT-INF/lib/module.jar"] = module()
	if again := open(t, write(t, filepath.Join(at, "2.jar"), pack(t, files)), o).Libraries[3]; again.Digest != l.Digest {
		t.Error("the same module built again has other bytes")
	}
	files["BOOT-INF/layers.idx"] = "- \"dependencies\":\n  - \"BOOT-INF/lib/\"\n- \"company\":\n  - \"BOOT-INF/lib/module.jar\"\n- \"application\":\n  - \"BOOT-INF/classes/\"\n"
	a := open(t, write(t, filepath.Join(at, "3.jar"), pack(t, files)), Options{Modules: []string{"module.jar"}})
	if a.Libraries[3].Layer != "company" || !slices.Equal(a.Layers, []string{Dependencies, "company", Application}) {
		t.Errorf("%q in %q", placed(a), a.Layers)
	}
}

// fastJar writes what Quarkus leaves in target/quarkus-app.
func fastJar(t testing.TB, dir string) string {
	t.Helper()
	for name, content := range map[string][]byte{
		"lib/boot/io.quarkus.quarkus-bootstrap-runner-3.20.0.jar": pack(t, map[string]string{"x": "y"}),
		"lib/main/g.mod-1.0.jar":                                  pack(t, map[string]string{"mod/M.class": class(17)}),
		"lib/main/g.snap-1.0-20260101.010101-1.jar":               pack(t, map[string]string{"snap/S.class": class(17)}),
		"lib/main/io.vertx.vertx-core-4.5.jar":                    pack(t, map[string]string{"v/V.class": class(8)}),
		"app/demo-1.0.jar":                                        pack(t, map[string]string{"demo/Hi.class": class(21)}),
		"quarkus/generated-bytecode.jar":                          pack(t, map[string]string{"demo/Hi_Bean.class": class(17)}),
		"quarkus/quarkus-application.dat":                         []byte("dat"),
		"quarkus-app-dependencies.txt":                            []byte("not needed to run"),
	} {
		write(t, filepath.Join(dir, filepath.FromSlash(name)), content)
	}
	return write(t, filepath.Join(dir, "quarkus-run.jar"), pack(t, map[string]string{
		manifestName: "Manifest-Version: 1.0\nClass-Path: lib/boot/io.quarkus.quarkus-bootstrap-runner-3.20.0.jar\nMain-Class: io.quarkus.bootstrap.runner.QuarkusEntryPoint\n\n",
	}))
}

func TestQuarkusFastJar(t *testing.T) {
	dir := t.TempDir()
	path := fastJar(t, dir)
	o := Options{Snapshots: []string{"snap-1.0-20260101.010101-1.jar"}, Modules: []string{"mod-1.0.jar"}}
	a := open(t, path, o)
	want := []string{
		"lib/boot/io.quarkus.quarkus-bootstrap-runner-3.20.0.jar in dependencies", "lib/main/g.mod-1.0.jar in modules",
		"lib/main/g.snap-1.0-20260101.010101-1.jar in snapshot-dependencies", "lib/main/io.vertx.vertx-core-4.5.jar in dependencies",
		"app/demo-1.0.jar in application", "quarkus/generated-bytecode.jar in quarkus", "quarkus/quarkus-application.dat in quarkus",
	}
	if got := placed(a); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if a.Kind != Quarkus || !a.Beside || a.Release != 21 || !slices.Equal(a.Layers, []string{Dependencies, Snapshots, Modules, Generated, Application}) {
		t.Errorf("%+v", a)
	}
	if m := appManifest(t, a); m.get("Class-Path") != "lib/boot/io.quarkus.quarkus-bootstrap-runner-3.20.0.jar" {
		t.Errorf("%+v", m)
	}
	// A change of one class, everything built anew: the rest keeps its bytes.
	time.Sleep(2 * time.Second)
	fastJar(t, dir)
	write(t, filepath.Join(dir, "app", "demo-1.0.jar"), pack(t, map[string]string{"demo/Hi.class": class(21) + "changed"}))
	b := open(t, path, o)
	for i, l := range b.Libraries {
		if same := l.Digest == a.Libraries[i].Digest; same != l.Own {
			t.Errorf("%s: the same digest: %v", l.Name, same) // pack stamps the others as another release would be
		}
	}
	for i, f := range b.Files {
		if same := f.Digest == a.Files[i].Digest; same == (f.Layer == Application) {
			t.Errorf("%s: the same digest: %v", f.Path, same)
		}
	}
}

func TestThinClassPath(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "project", "target")
	jar := func(name string, files map[string]string) string {
		return write(t, filepath.Join(dir, filepath.FromSlash(name)), pack(t, files))
	}
	jar("libs/a b+ü%.jar", map[string]string{"a": "1"})
	jar("libs/second.jar", map[string]string{"a": "2", manifestName: "Manifest-Version: 1.0\nClass-Path: deeper/third.jar a%20b+%C3%BC%25.jar gone.jar\n\n"})
	jar("libs/deeper/third.jar", map[string]string{"a": "3"})
	jar("other/second.jar", map[string]string{"a": "4"})
	elsewhere := write(t, filepath.Join(root, "elsewhere", "x.jar"), pack(t, map[string]string{"a": "5"}))
	write(t, filepath.Join(dir, "conf", "app.properties"), []byte("a=b"))
	write(t, filepath.Join(root, "project", "conf", "more", "m.properties"), []byte("c=d"))
	write(t, filepath.Join(dir, "folder.jar", "x"), []byte("a folder without a slash"))
	path := jar("app.jar", map[string]string{
		"a/Main.class": class(11),
		manifestName: "Manifest-Version: 1.0\nMain-Class: a.Main\nClass-Path: conf/ ../conf/ mounted/ ./ libs/a%20b+%C3%BC%25.jar libs/second.jar\n" +
			"  other/second.jar file:" + elsewhere + "\n  file:" + filepath.Join(root, "elsewhere") + "/ libs/gone.jar folder.jar http://h/y.jar libs/second.jar %zz\n\n",
	})
	digests := 0
	a := open(t, path, Options{Digest: func(path string) (cache.Descriptor, error) {
		digests++
		b, err := os.ReadFile(path)
		return cache.Descriptor{Digest: cache.Sum(b), Size: int64(len(b))}, err
	}})
	want := []string{
		"lib/a b+ü%.jar in dependencies", "lib/second.jar in dependencies", "lib/third.jar in dependencies", "lib/2/second.jar in dependencies", "lib/x.jar in dependencies",
		"conf/app.properties in application", "2/conf/more/m.properties in application",
	}
	if got := placed(a); !slices.Equal(got, want) || a.Kind != Thin || !a.Beside || digests != 5 {
		t.Errorf("%s %q, %d digests", a.Kind, got, digests)
	}
	if got := appManifest(t, a).get("Class-Path"); got != "conf/ 2/conf/ mounted/ ./ lib/a%20b+%C3%BC%25.jar lib/second.jar lib/third.jar lib/2/second.jar lib/x.jar file:"+filepath.Join(root, "elsewhere")+"/" {
		t.Errorf("%s", got)
	}
	all := strings.Join(a.Warnings, "\n")
	for _, w := range []string{"1 files that do not exist, the first is libs/gone.jar", "cannot go into the image: folder.jar, http://h/y.jar, %zz", "elsewhere/ of this machine"} {
		if !strings.Contains(all, w) {
			t.Errorf("no warning of %q in %q", w, all)
		}
	}
	if len(a.Warnings) != 3 {
		t.Errorf("%q", a.Warnings)
	}
}

func TestShadedStaysWhole(t *testing.T) {
	files := map[string]string{manifestName: "Manifest-Version: 1.0\nMain-Class: a.Main\nMulti-Release: true\n\n", "a/Main.class": class(8), "META-INF/versions/11/a/Main.class": class(11), "BOOT": "x"}
	a := open(t, write(t, filepath.Join(t.TempDir(), "app.jar"), pack(t, files)), Options{})
	var buf bytes.Buffer
	if _, err := a.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	got := contents(t, buf.Bytes())
	maps.DeleteFunc(got, func(name, _ string) bool { return strings.HasSuffix(name, "/") })
	if !maps.Equal(got, files) || a.Release != 8 {
		t.Errorf("%q, Java %d", got, a.Release)
	}
}
