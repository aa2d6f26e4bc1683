package kinds

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image"
	"github.com/fastship/fastship/stages/image/jre"
)

// archived is a Spring Boot archive as one version's plug-in packs it.
type archived struct {
	set       string // of libraries
	version   string // Spring-Boot-Version
	war, jsp  bool
	classpath bool // has a classpath.idx
	layers    bool // has a layers.idx
	script    bool // a launch script in front
	soak      bool // for long runs: another of its like is left
	name      string
}

func archives() []archived {
	return []archived{
		{set: "2.3", version: "2.3.12.RELEASE", classpath: true, name: "boot-2.3.jar"}, // layers came with 2.4, unasked
		{set: "2.7", version: "2.7.18", classpath: true, layers: true, script: true, name: "boot-2.7.jar"},
		{set: "3.1", version: "3.1.12", name: "boot-3.1-exec.jar"}, // as Gradle packs it without layers
		{set: "3.2", version: "3.2.12", classpath: true, soak: true, name: "boot-3.2.jar"},
		{set: "3.5", version: "3.5.7", classpath: true, layers: true, soak: true, name: "boot-3.5.jar"},
		{set: "4.0", version: "4.0.0", classpath: true, layers: true, name: "boot-4.0.jar"},
		{set: "2.7", version: "2.7.18", war: true, soak: true, name: "boot-2.7.war"},
		{set: "3.5", version: "3.5.7", war: true, jsp: true, classpath: true, layers: true, name: "boot-3.5.war"},
		{set: "4.0", version: "4.0.0", war: true, classpath: true, layers: true, name: "boot-4.0.war"},
	}
}

// pack is what spring-boot-maven-plugin's repackage writes.
func (b archived) pack(t *testing.T, f fixtures) []byte {
	root, launcher, front := "BOOT-INF/", "JarLauncher", ""
	if b.war {
		root, launcher = "WEB-INF/", "WarLauncher"
	}
	if loader := "org.springframework.boot.loader."; b.version >= "3.2" {
		launcher = loader + "launch." + launcher // moved in 3.2
	} else {
		launcher = loader + launcher
	}
	if b.script {
		front = "#!/bin/bash\nexec java -jar \"$0\" \"$@\"\n"
	}
	a := newArchive(front)
	manifest := fmt.Sprintf("Manifest-Version: 1.0\r\nMain-Class: %s\r\nStart-Class: demo.Boot\r\nSpring-Boot-Version: %s\r\nSpring-Boot-Classes: %sclasses/\r\nSpring-Boot-Lib: %[3]slib/\r\n", launcher, b.version, root)
	var index strings.Builder
	if b.classpath {
		manifest += "Spring-Boot-Classpath-Index: " + root + "classpath.idx\r\n"
	}
	if b.layers {
		manifest += "Spring-Boot-Layers-Index: " + root + "layers.idx\r\n"
	}
	a.add(t, "META-INF/MANIFEST.MF", []byte(manifest+"\r\n"))
	a.add(t, "org/springframework/boot/loader/Launcher.class", []byte("not in the image"))
	for _, name := range []string{"demo/Boot.class", "demo/Boot$Pages.class"} {
		a.add(t, root+"classes/"+name, f.class(name))
	}
	a.add(t, root+"classes/kind.txt", []byte(b.name))
	a.add(t, root+"classes/application.properties", []byte("spring.mvc.view.prefix=/WEB-INF/jsp/\nspring.mvc.view.suffix=.jsp\nspring.main.banner-mode=off\n"))
	jars := f.jars[b.set]
	if b.war {
		a.add(t, "css/ü.css", []byte("p { }"))
		if b.jsp {
			jars = append(jars[:len(jars):len(jars)], f.jars["jsp"]...)
			a.add(t, "WEB-INF/jsp/page.jsp", []byte(`<%@ taglib prefix="c" uri="http://java.sun.com/jsp/jstl/core" %><c:forEach begin="1" end="3" var="i">${i} </c:forEach>`))
		}
	}
	for _, jar := range jars {
		lib := root + "lib/"
		if b.war && strings.Contains(jar, "tomcat") {
			lib = root + "lib-provided/"
		}
		fmt.Fprintf(&index, "- \"%s%s\"\n", lib, filepath.Base(jar))
		a.add(t, lib+filepath.Base(jar), readFile(t, jar))
	}
	if b.classpath {
		a.add(t, root+"classpath.idx", []byte(index.String()))
	}
	if b.layers {
		a.add(t, root+"layers.idx", fmt.Appendf(nil, "- \"dependencies\":\n  - \"%slib-provided/\"\n  - \"%[1]slib/\"\n- \"spring-boot-loader\":\n  - \"org/\"\n- \"snapshot-dependencies\":\n- \"application\":\n  - \"%[1]sclasses/\"\n  - \"META-INF/\"\n", root))
	}
	return a.bytes(t)
}

// TestKinds runs every kind out of its own image; with FASTSHIP_MORE_KINDS
// (a long run, see .ci/soak) more versions of Spring Boot's.
func TestKinds(t *testing.T) {
	l := newLab(t)
	f := prepare(t, l)
	jars := map[string]string{} // by name: what to make an image of
	for _, b := range archives() {
		if b.soak && os.Getenv("FASTSHIP_MORE_KINDS") == "" {
			continue
		}
		jars[b.name] = f.write(t, b.name, b.pack(t, f))
	}
	jars["plain"], jars["shaded"], jars["thin"] = f.plain(t), f.shaded(t), f.thin(t)
	jars["quarkus"] = f.quarkus(t, l)
	first := l.make(t, image.In{Jar: runner.Descriptor{Name: jars["plain"]}}, "") // links the base that all have
	for name, jar := range jars {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			how := "verbatim"
			if name == "boot-4.0.jar" || name == "quarkus" || name == "thin" {
				how = "stored"
			}
			out := l.make(t, image.In{Jar: runner.Descriptor{Name: jar}}, how)
			if out.Layers[0].Digest != first.Layers[0].Digest {
				t.Errorf("a base of its own, add to harness_test.go's modules those that the second has more than the first:\n%s\n%s", l.release(t, first), l.release(t, out))
			}
			c := l.run(t, out)
			want := name
			if !strings.HasPrefix(name, "boot") {
				want += ", with a library"
			}
			answers(t, c, "/", want)
			if strings.HasSuffix(name, ".war") {
				answers(t, c, "/css/%C3%BC.css", "p { }")
			}
			if name == "boot-3.5.war" {
				answers(t, c, "/page", "1 2 3")
			}
			if status, _ := get(t, c, "/WEB-INF/jsp/page.jsp"); strings.HasSuffix(name, ".war") && status != 404 {
				t.Errorf("WEB-INF is served: %d", status)
			}
		})
	}
}

// TestJava8 runs class files of Java 8 on a JDK 8, where there is one: below
// /usr/lib/jvm, or in the list FASTSHIP_TEST_JDKS.
func TestJava8(t *testing.T) {
	l := newLab(t)
	homes, err := filepath.Glob("/usr/lib/jvm/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, home := range append(filepath.SplitList(os.Getenv("FASTSHIP_TEST_JDKS")), homes...) {
		if jdk, err := jre.Find(home); err == nil && jdk.Major == 8 {
			l.jdk = jdk
		}
	}
	if l.jdk.Major != 8 {
		t.Skip("no JDK 8 below /usr/lib/jvm or in FASTSHIP_TEST_JDKS")
	}
	f := prepare(t, l)
	old := archives()[0]
	for name, jar := range map[string]string{"plain": f.plain(t), "thin": f.thin(t), old.name: f.write(t, old.name, old.pack(t, f))} {
		t.Run(name, func(t *testing.T) {
			c := l.run(t, l.make(t, image.In{Jar: runner.Descriptor{Name: jar}}, ""))
			if status, body := get(t, c, "/"); status != http.StatusOK || !strings.HasPrefix(body, name) {
				t.Errorf("%d %q", status, body)
			}
		})
	}
}

const runnable = "Manifest-Version: 1.0\r\nMain-Class: demo.Plain\r\n"

func (f fixtures) application(t *testing.T, kind, manifest string) *archive {
	a := newArchive("")
	a.add(t, "META-INF/MANIFEST.MF", []byte(manifest+"\r\n"))
	a.add(t, "demo/Plain.class", f.class("demo/Plain.class"))
	if kind != "" {
		a.add(t, "kind.txt", []byte(kind))
	}
	return a
}

func (f fixtures) library(t *testing.T) []byte {
	a := newArchive("")
	a.add(t, "META-INF/MANIFEST.MF", []byte("Manifest-Version: 1.0\r\n\r\n"))
	a.add(t, "lib/Greeting.class", f.class("lib/Greeting.class"))
	return a.bytes(t)
}

func (f fixtures) plain(t *testing.T) string {
	a := f.application(t, "plain", runnable)
	a.add(t, "lib/Greeting.class", f.class("lib/Greeting.class"))
	return f.write(t, "plain.jar", a.bytes(t))
}

// shaded is what Quarkus' uber-jars and Micronaut's are, too.
func (f fixtures) shaded(t *testing.T) string {
	a := f.application(t, "shaded", runnable+"Multi-Release: true\r\n")
	a.add(t, "lib/Greeting.class", f.class("lib/Greeting.class"))
	for _, name := range []string{"a", "b"} {
		a.add(t, "META-INF/maven/g/"+name+"/pom.properties", []byte("version=1\n"))
	}
	for _, jar := range f.jars["quarkus"] {
		a.merge(t, jar)
	}
	return f.write(t, "shaded.jar", a.bytes(t))
}

// thin has a folder with settings, a name to be encoded, and a library of a
// library by an absolute URL.
func (f fixtures) thin(t *testing.T) string {
	far := f.write(t, "elsewhere/greeting.jar", f.library(t))
	between := newArchive("")
	between.add(t, "META-INF/MANIFEST.MF", []byte("Manifest-Version: 1.0\r\nClass-Path: gone.jar ../../elsewhere/greeting.jar\r\n\r\n"))
	f.write(t, "thin/libs/a b+ü.jar", between.bytes(t))
	f.write(t, "thin/conf/kind.txt", []byte("thin"))
	unused := "file:" + filepath.ToSlash(far) // after the library that names it, too
	class := "Class-Path: conf/ libs/a%20b+%C3%BC.jar "
	return f.write(t, "thin/app.jar", f.application(t, "", runnable+class+"\r\n  "+unused+"\r\n").bytes(t))
}

// quarkus is a fast-jar: Quarkus' own runner and class loader, with an index
// that Quarkus' own code writes, and an application without its extensions.
func (f fixtures) quarkus(t *testing.T, l *lab) string {
	var class, all []string
	for _, jar := range f.jars["quarkus"] {
		name := "lib/boot/" + filepath.Base(jar)
		class = append(class, name)
		all = append(all, f.write(t, "quarkus-app/"+name, readFile(t, jar)))
	}
	all = append(all, f.write(t, "quarkus-app/lib/main/lib.greeting-1.jar", f.library(t)), f.write(t, "quarkus-app/app/demo-1.jar", f.application(t, "quarkus", "Manifest-Version: 1.0\r\n").bytes(t)))
	f.write(t, "quarkus-app/quarkus/quarkus-application.dat", nil)
	root := filepath.Join(f.dir, "quarkus-app")
	args := append([]string{"-XX:TieredStopAtLevel=1", "-cp", strings.Join(f.jars["quarkus"], ":"), "testdata/QuarkusData.java", root, "demo.Plain"}, all...)
	command(t, exec.Command(filepath.Join(l.tools.Home, "bin", "java"), args...), l)
	manifest := "Manifest-Version: 1.0\r\nMain-Class: io.quarkus.bootstrap.runner.QuarkusEntryPoint\r\nClass-Path: "
	for _, name := range class {
		manifest += "\r\n  " + name
	}
	a := newArchive("")
	a.add(t, "META-INF/MANIFEST.MF", []byte(manifest+"\r\n\r\n"))
	return f.write(t, "quarkus-app/quarkus-run.jar", a.bytes(t))
}
