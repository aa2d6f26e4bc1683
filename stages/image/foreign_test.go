package image

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// classNaming is a class file of Java 17 whose constant pool has classes of
// those names, and nothing behind it.
func classNaming(names ...string) string {
	var pool []byte
	for i, name := range names {
		pool = append(append(pool, 1, 0, byte(len(name))), name...) // CONSTANT_Utf8
		pool = append(pool, 7, 0, byte(2*i+1))                      // CONSTANT_Class
	}
	return "\xca\xfe\xba\xbe\x00\x00\x00\x3d\x00" + string([]byte{byte(2*len(names) + 1)}) + string(pool)
}

// TestJudgesOtherBases holds an application against what a base's layers say
// of its Java, also when the jar is known from an earlier run.
func TestJudgesOtherBases(t *testing.T) {
	const java = "usr/lib/jvm/17/bin/java"
	release := func(version, modules string) string {
		return fmt.Sprintf("JAVA_VERSION=%q\nMODULES=%q\n", version, modules)
	}
	jar := map[string]string{
		"BOOT-INF/classes/a/Main.class": classNaming("java/lang/Object", "java/sql/Driver", "org/w3c/dom/Node"),
		"BOOT-INF/lib/big-1.0.jar":      string(jarOf(t, time.Now(), map[string]string{"b/B.class": classNaming("java/sql/Date", "javax/naming/Context")})),
		"BOOT-INF/lib/small-1.0.jar":    string(jarOf(t, time.Now(), map[string]string{"org/w3c/dom/Node.class": classNaming("org/w3c/dom/Node")})),
	}
	for name, c := range map[string]struct {
		base          map[string]string
		warning, fail string
	}{
		"modules lack": {map[string]string{java: "", "usr/lib/jvm/17/release": release("17.0.1", "java.base java.logging")},
			"java.naming (javax.naming, named by big-1.0.jar), java.sql (java.sql, named by the application and 1 more); such a class", ""},
		"modules suffice": {map[string]string{java: "", "usr/lib/jvm/17/release": release("17.0.1", "java.base java.sql java.naming java.xml")}, "", ""},
		"no list":         {map[string]string{java: ""}, "", ""},
		"too old":         {map[string]string{java: "", "usr/lib/jvm/17/release": release("11.0.2", "java.base")}, "", "app.jar needs Java 17, and the base has Java 11"},
		"no Java":         {map[string]string{"usr/bin/python": ""}, "", "the base has no java"},
	} {
		t.Run(name, func(t *testing.T) {
			memory, at := newCache(t), t.TempDir()
			b := newLayoutBuilder(t, newCache(t))
			b.addFiles(runtime.GOARCH, v1.Config{Env: []string{"PATH=/usr/bin:/usr/lib/jvm/17/bin"}, OnBuild: []string{"RUN x"}}, c.base)
			b.write(at)
			in := bootJar(t, t.TempDir(), time.Now(), jar)
			packed, err := stamp.Open("").Digest(in.Jar.Name)
			if err != nil {
				t.Fatal(err)
			}
			in.Jar.Digest, in.Jar.Size = packed.Digest, packed.Size
			config, deps := Config{Base: "oci:" + at, Layout: t.TempDir()}, Deps{Cache: memory, State: t.TempDir()}
			for run := range 2 {
				var e told
				_, err := New(config, deps).Run(t.Context(), e.env(), in)
				events := e.all
				if c.fail != "" {
					if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(fmt.Sprint(err), c.fail) || fault.HintOf(err) == "" {
						t.Errorf("run %d: %v (%s)", run, err, fault.HintOf(err))
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				warned := slices.IndexFunc(events, func(b runner.Body) bool { _, ok := b.(runner.Warning); return ok })
				switch {
				case c.warning == "" && warned >= 0:
					t.Errorf("run %d: %v", run, events[warned])
				case c.warning != "" && (warned < 0 || !strings.Contains(fmt.Sprint(events[warned]), c.warning)):
					t.Errorf("run %d: no warning of %s in %v", run, c.warning, events)
				}
			}
		})
	}
}
