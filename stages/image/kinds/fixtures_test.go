package kinds

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// libraries are what each set of applications runs on, group:artifact:version,
// in the order of the class path. They are the smallest that answer HTTP.
var libraries = map[string][]string{
	"2.3": boot("2.3.12.RELEASE", "5.2.15.RELEASE", "9.0.46", "", "org.springframework:spring-jcl:5.2.15.RELEASE jakarta.annotation:jakarta.annotation-api:1.3.5"),
	"2.7": boot("2.7.18", "5.3.31", "9.0.83", "", "org.springframework:spring-jcl:5.3.31 jakarta.annotation:jakarta.annotation-api:1.3.5"),
	"3.1": boot("3.1.12", "6.0.21", "10.1.24", "1.11.12", "org.springframework:spring-jcl:6.0.21 jakarta.annotation:jakarta.annotation-api:2.1.1"),
	"3.2": boot("3.2.12", "6.1.15", "10.1.33", "1.12.12", "org.springframework:spring-jcl:6.1.15 jakarta.annotation:jakarta.annotation-api:2.1.1"),
	"3.5": boot("3.5.7", "6.2.12", "10.1.48", "1.15.5", "org.springframework:spring-jcl:6.2.12 jakarta.annotation:jakarta.annotation-api:2.1.1"),
	"4.0": boot("4.0.0", "7.0.1", "11.0.14", "1.16.0", "commons-logging:commons-logging:1.3.5 jakarta.annotation:jakarta.annotation-api:3.0.0 org.jspecify:jspecify:1.0.0 "+
		"org.springframework.boot:spring-boot-webmvc:4.0.0 org.springframework.boot:spring-boot-servlet:4.0.0 org.springframework.boot:spring-boot-http-converter:4.0.0 "+
		"org.springframework.boot:spring-boot-web-server:4.0.0 org.springframework.boot:spring-boot-tomcat:4.0.0"),
	"jsp": strings.Fields("org.apache.tomcat.embed:tomcat-embed-jasper:10.1.48 org.apache.tomcat.embed:tomcat-embed-el:10.1.48 org.eclipse.jdt:ecj:3.33.0 " +
		"jakarta.servlet.jsp.jstl:jakarta.servlet.jsp.jstl-api:3.0.2 org.glassfish.web:jakarta.servlet.jsp.jstl:3.0.1"),
	"quarkus": strings.Fields("io.quarkus:quarkus-bootstrap-runner:3.20.0 io.quarkus:quarkus-classloader-commons:3.20.0 io.github.crac:org-crac:0.1.3 " +
		"org.jboss.logging:jboss-logging:3.6.1.Final org.jboss.logmanager:jboss-logmanager:3.1.2.Final io.smallrye.common:smallrye-common-io:2.10.0 " +
		"io.smallrye.common:smallrye-common-constraint:2.10.0 io.smallrye.common:smallrye-common-cpu:2.10.0 io.smallrye.common:smallrye-common-expression:2.10.0 " +
		"io.smallrye.common:smallrye-common-function:2.10.0 io.smallrye.common:smallrye-common-net:2.10.0 io.smallrye.common:smallrye-common-os:2.10.0 io.smallrye.common:smallrye-common-ref:2.10.0"),
}

func boot(version, spring, tomcat, micrometer, more string) []string {
	list := []string{"org.springframework.boot:spring-boot:" + version, "org.springframework.boot:spring-boot-autoconfigure:" + version}
	for _, name := range []string{"core", "context", "aop", "beans", "expression", "web", "webmvc"} {
		list = append(list, "org.springframework:spring-"+name+":"+spring)
	}
	list = append(list, "org.apache.tomcat.embed:tomcat-embed-core:"+tomcat)
	if micrometer != "" {
		list = append(list, "io.micrometer:micrometer-observation:"+micrometer, "io.micrometer:micrometer-commons:"+micrometer)
	}
	return append(list, strings.Fields(more)...)
}

// compilerPlugin resolves a project's class path. It is the version that
// testdata/apps/orders uses, so that it is there already.
const compilerPlugin = "org.apache.maven.plugins:maven-compiler-plugin:3.15.0:compile"

// fixtures are what the kinds are packed of.
type fixtures struct {
	dir     string
	classes map[string][]byte   // by path: demo/Boot.class
	jars    map[string][]string // by set: files in Maven's repository
}

// prepare has Maven bring the libraries, in one call, and compiles the
// applications' classes for Java 8, in another.
func prepare(t *testing.T, l *lab) fixtures {
	t.Helper()
	maven, err := exec.LookPath("mvn")
	if err != nil {
		t.Skip(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	f := fixtures{dir: t.TempDir(), classes: map[string][]byte{}, jars: map[string][]string{}}
	repository := filepath.Join(home, ".m2", "repository")
	var modules strings.Builder
	for name, list := range libraries {
		fmt.Fprintf(&modules, "<module>%s</module>", name)
		f.write(t, "poms/"+name+"/pom.xml", pom(name, "jar", "<dependencies>"+dependencies(list)+"</dependencies>"))
		for _, gav := range list {
			p := strings.Split(gav, ":")
			f.jars[name] = append(f.jars[name], filepath.Join(repository, filepath.FromSlash(strings.ReplaceAll(p[0], ".", "/")), p[1], p[2], p[1]+"-"+p[2]+".jar"))
		}
	}
	f.write(t, "poms/pom.xml", pom("all", "pom", "<modules>"+modules.String()+"</modules>"))
	if !f.complete() {
		command(t, exec.Command(maven, "-q", "-B", "-ntp", "-Dmaven.repo.local="+repository, "-f", filepath.Join(f.dir, "poms"), compilerPlugin), l)
	}
	classes := filepath.Join(f.dir, "classes")
	command(t, exec.Command(filepath.Join(l.tools.Home, "bin", "javac"), "-nowarn", "-Xlint:-options", "--release", "8", "-d", classes, "-cp", strings.Join(f.jars["2.7"], ":"),
		"testdata/demo/Boot.java", "testdata/demo/Plain.java", "testdata/lib/Greeting.java"), l)
	err = filepath.WalkDir(classes, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(classes, path) // path is below classes
		f.classes[filepath.ToSlash(rel)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// complete tells whether all libraries are in the repository, where a cached
// run saves Maven's start.
func (f fixtures) complete() bool {
	for _, jars := range f.jars {
		for _, jar := range jars {
			if info, err := os.Stat(jar); err != nil || info.Size() == 0 {
				return false
			}
		}
	}
	return true
}

func command(t *testing.T, cmd *exec.Cmd, l *lab) {
	t.Helper()
	cmd.Env = append(os.Environ(), "JAVA_HOME="+l.tools.Home)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

func pom(name, packaging, body string) []byte {
	return fmt.Appendf(nil, "<project><modelVersion>4.0.0</modelVersion><groupId>kinds</groupId><artifactId>%s</artifactId><version>1</version><packaging>%s</packaging>%s</project>", name, packaging, body)
}

func dependencies(list []string) string {
	var b strings.Builder
	for _, gav := range list {
		p := strings.Split(gav, ":")
		fmt.Fprintf(&b, "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version><exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>", p[0], p[1], p[2])
	}
	return b.String()
}

func (f fixtures) write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

// class is an application's class file, by its path.
func (f fixtures) class(name string) []byte { return f.classes[name] }

// archive packs a jar in a build tool's way: directories, the time of day,
// libraries stored.
type archive struct {
	buf   bytes.Buffer
	zip   *zip.Writer
	names []string
}

func newArchive(front string) *archive {
	a := &archive{}
	a.buf.WriteString(front)
	a.zip = zip.NewWriter(&a.buf)
	a.zip.SetOffset(int64(len(front)))
	return a
}

func (a *archive) add(t *testing.T, name string, content []byte) {
	t.Helper()
	for i, c := range name {
		if dir := name[:i+1]; c == '/' && !slices.Contains(a.names, dir) {
			a.put(t, dir, zip.Store, nil)
		}
	}
	method := zip.Deflate
	if strings.HasSuffix(name, ".jar") {
		method = zip.Store
	}
	a.put(t, name, method, content)
}

func (a *archive) put(t *testing.T, name string, method uint16, content []byte) {
	t.Helper()
	a.names = append(a.names, name)
	w, err := a.zip.CreateHeader(&zip.FileHeader{Name: name, Method: method, Modified: time.Now()})
	if err == nil {
		_, err = w.Write(content)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (a *archive) bytes(t *testing.T) []byte {
	t.Helper()
	if err := a.zip.Close(); err != nil {
		t.Fatal(err)
	}
	return a.buf.Bytes()
}

// merge copies the entries of a jar, as shading does, but its manifest and
// what is there already.
func (a *archive) merge(t *testing.T, jar string) {
	t.Helper()
	z, err := zip.OpenReader(jar)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") || slices.Contains(a.names, f.Name) || strings.HasPrefix(f.Name, "META-INF/MANIFEST.MF") || f.Name == "module-info.class" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		a.add(t, f.Name, content)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
