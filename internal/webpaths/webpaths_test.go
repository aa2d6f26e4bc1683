package webpaths

import (
	"archive/zip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// The annotations as Spring declares them, as far as they matter here.
const annotations = `package org.springframework.web.bind.annotation;
import java.lang.annotation.*;
`

var sources = map[string]string{
	"RequestMethod.java":  "package org.springframework.web.bind.annotation; public enum RequestMethod { GET, POST }",
	"RequestMapping.java": annotations + `@Retention(RetentionPolicy.RUNTIME) public @interface RequestMapping { String[] value() default {}; String[] path() default {}; RequestMethod[] method() default {}; int order() default 0; }`,
	"GetMapping.java":     annotations + `@Retention(RetentionPolicy.RUNTIME) public @interface GetMapping { String[] value() default {}; String[] path() default {}; Class<?> type() default Object.class; RequestMapping nested() default @RequestMapping; }`,
	"PostMapping.java":    annotations + `@Retention(RetentionPolicy.RUNTIME) public @interface PostMapping { String[] value() default {}; }`,
	"Orders.java": `import org.springframework.web.bind.annotation.*;
@RequestMapping("/orders/")
class Orders {
    static final long BIG = 1L << 40; static final double PI = 3.14;
    @GetMapping public void all() {}
    @GetMapping(value = "total", nested = @RequestMapping("/not/this"), type = String.class) public void total() {}
    @GetMapping("/{id}") public void one() {}
    @PostMapping("/new") public void make() {}
    @RequestMapping(path = {"/open", "closed"}, method = RequestMethod.GET, order = 3) public void some() {}
    @RequestMapping(path = "/write", method = RequestMethod.POST) public void write() {}
}`,
	"Home.java": `import org.springframework.web.bind.annotation.*;
class Home { @GetMapping("/greeting") public void greet() {} @RequestMapping("/any") public void any() {} public void none() {} }`,
}

func TestPathsOfCompiledClasses(t *testing.T) {
	javac, err := exec.LookPath("javac")
	if err != nil {
		t.Skip("no javac on PATH")
	}
	dir := t.TempDir()
	args := []string{"-d", dir}
	for name, text := range sources {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	if out, err := exec.Command(javac, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for class, want := range map[string][]string{
		"Orders": {"/orders", "/orders/closed", "/orders/open", "/orders/total"},
		"Home":   {"/any", "/greeting"},
	} {
		b, err := os.ReadFile(filepath.Join(dir, class+".class"))
		if err != nil {
			t.Fatal(err)
		}
		got := OfClass(b)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", class, got, want)
		}
		for cut := range len(b) { // no part of a class may harm
			OfClass(b[:cut])
		}
	}
}

func TestJarWithContextPath(t *testing.T) {
	for name, text := range map[string]string{
		"BOOT-INF/classes/application.properties": "server.port=9966\nserver.servlet.context-path = /petclinic/\n",
		"BOOT-INF/classes/application.yml":        "server:\n  servlet:\n    context-path: \"/petclinic\"\n",
	} {
		file := filepath.Join(t.TempDir(), "app.jar")
		out, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		w := zip.NewWriter(out)
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Close(), out.Close()); err != nil {
			t.Fatal(err)
		}
		want := []string{"/petclinic/", "/petclinic/actuator/health"}
		if got := OfJar(file); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if got := OfJar("no such file"); got != nil {
		t.Errorf("no jar: got %v", got)
	}
}

func FuzzOfClass(f *testing.F) {
	f.Add([]byte{0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 61, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) { OfClass(b) })
}
