package jre

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
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

// program is an ELF file of 64 bits that names a dynamic loader, and nothing
// more.
func program(machine elf.Machine, loader string) []byte {
	const head, segment = 64, 56
	var b bytes.Buffer
	le := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	le([]uint16{uint16(elf.ET_EXEC), uint16(machine)})
	le(uint32(1))
	le([]uint64{0, head, 0})
	le(uint32(0))
	le([]uint16{head, segment, 1, 0, 0, 0})
	le([]uint32{uint32(elf.PT_INTERP), 4})
	le([]uint64{head + segment, 0, 0, uint64(len(loader) + 1), uint64(len(loader) + 1), 1})
	b.WriteString(loader + "\x00")
	return b.Bytes()
}

func lay(t *testing.T, root string, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// library8 is the rt.jar of a JDK 8, as far as it says what it is.
func library8(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("META-INF/MANIFEST.MF")
	if err == nil {
		_, err = f.Write([]byte("Manifest-Version: 1.0\r\nImplementation-Version: 1.8.0_504\r\nImplementation-Vendor: Debian\r\n\r\nName: x/Y.class\r\nImplementation-Version: 9\r\n"))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const aarch64Loader = "/lib/ld-linux-aarch64.so.1"

func TestShapesOfJDK8(t *testing.T) {
	java := program(elf.EM_AARCH64, aarch64Loader)
	for name, c := range map[string]struct {
		files   map[string][]byte
		runtime string
		version string
	}{
		"Debian's JDK, without a release file": {map[string][]byte{"bin/java": java, "jre/bin/java": java, "jre/lib/rt.jar": library8(t)}, "jre", "JDK 1.8.0_504 (Debian)"},
		"Temurin's JDK":                        {map[string][]byte{"release": []byte("JAVA_VERSION=\"1.8.0_412\"\nOS_NAME=\"Linux\"\nOS_ARCH=\"aarch64\"\n"), "bin/java": java, "jre/bin/java": java, "jre/lib/rt.jar": nil}, "jre", "JDK 1.8.0_412"},
		"a JRE":                                {map[string][]byte{"bin/java": java, "lib/rt.jar": library8(t)}, ".", "JDK 1.8.0_504 (Debian)"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			home := filepath.Join(root, "usr/lib/jvm/java-8")
			lay(t, home, c.files)
			jdk, err := Find(home)
			if err != nil {
				t.Fatal(err)
			}
			if jdk.String() != c.version || jdk.Major != 8 || jdk.runtime() != filepath.Join(home, c.runtime) || jdk.Platform() != "linux/arm64" {
				t.Errorf("got %+v, runtime %s", jdk, jdk.runtime())
			}
			if exists(aarch64Loader) {
				t.Skip("this machine has the loader")
			}
			err = Check(t.Context(), jdk, jdk)
			if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), aarch64Loader+", which neither this machine has nor a folder around the JDK") {
				t.Errorf("without a C library: %v", err)
			}
			lay(t, root, map[string][]byte{"usr/lib/ld-linux-aarch64.so.1": java})
			lay(t, jdk.runtime(), map[string][]byte{"lib/security/cacerts": nil})
			if err := os.Symlink("/usr/lib", filepath.Join(root, "lib")); err != nil { // absolute: within the root
				t.Fatal(err)
			}
			if jdk, err = Find(home); err != nil || jdk.Root != root {
				t.Errorf("root %s, %v", jdk.Root, err)
			}
			if err := Check(t.Context(), jdk, jdk); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestModulesOfJDK8AreOnlyTheDesktop(t *testing.T) {
	jdk := JDK{Major: 8}
	for class, want := range map[string][]string{"java/sql/Date": nil, "java/awt/font/TextLayout": {"java.desktop"}, "java/beans/Introspector": {"java.desktop"}, "java/awtful/Thing": nil} {
		got, err := Modules(t.Context(), newCache(t), jdk, []Jar{jarOf("x.jar", archiveOf(t, map[string]string{"a/A.class": classFile(class)}))}, nil)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", class, got, err)
		}
	}
	if _, err := Modules(t.Context(), newCache(t), jdk, nil, []string{"java.sql"}); fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), "has no module") {
		t.Errorf("got %v", err)
	}
}

func TestInRootFollowsLinksInside(t *testing.T) {
	root := t.TempDir()
	lay(t, root, map[string][]byte{"usr/lib/libz.so.1.2": nil})
	for link, target := range map[string]string{"lib": "usr/lib", "usr/lib/libz.so.1": "libz.so.1.2", "abs": "/lib/../lib/libz.so.1", "up": "../../../../lib/libz.so.1", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/lib/libz.so.1": "/usr/lib/libz.so.1.2", "/abs": "/usr/lib/libz.so.1.2", "/up": "/usr/lib/libz.so.1.2",
		"/lib/../../lib/none": "/usr/lib/none", "/": "/",
	} {
		if got, err := inRoot(root, path); err != nil || got != filepath.Join(root, want) {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	if _, err := inRoot(root, "/loop"); err == nil {
		t.Error("a loop ended")
	}
}

// TestABaseForAnotherPlatform links with this machine's jlink the JDK of another
// machine, which FASTSHIP_TEST_FOREIGN_JDKS names, one of each release.
func TestABaseForAnotherPlatform(t *testing.T) {
	own := jdks(t)
	homes := filepath.SplitList(os.Getenv("FASTSHIP_TEST_FOREIGN_JDKS"))
	if len(homes) == 0 {
		t.Skip("FASTSHIP_TEST_FOREIGN_JDKS names no JDK of another platform")
	}
	for _, home := range homes {
		jdk, err := Find(home)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(own, func(j JDK) bool { return j.Major == jdk.Major })
		if at < 0 {
			t.Logf("no JDK %d on this machine", jdk.Major)
			continue
		}
		if err := Check(t.Context(), jdk, own[at]); err != nil {
			t.Fatal(err)
		}
		c := newCache(t)
		modules, err := Modules(t.Context(), c, own[at], nil, []string{"java.desktop"})
		if err != nil {
			t.Fatal(err)
		}
		base, err := Build(t.Context(), c, Request{JDK: jdk, Linker: own[at], Modules: modules, Codec: oci.Gzip(1), Emit: func(b runner.Body) { t.Log(b) }})
		if err != nil {
			t.Fatal(err)
		}
		root := unpack(t, c, base)
		f, err := elf.Open(filepath.Join(root, base.JavaPath))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine == elf.EM_X86_64 || base.System.ID == "" || len(base.Packages) == 0 && exists(filepath.Join(jdk.Root, dpkgDir, "status")) {
			t.Errorf("machine %s, system %+v, packages %v", f.Machine, base.System, base.Packages)
		}
		qemu := os.Getenv("FASTSHIP_TEST_QEMU") // qemu-aarch64-static
		if qemu == "" {
			t.Skip("FASTSHIP_TEST_QEMU names no emulator to run it")
		}
		out, err := exec.Command(qemu, "-L", root, filepath.Join(root, base.JavaPath), "-version").CombinedOutput()
		if err != nil || !strings.Contains(string(out), jdk.Version) {
			t.Errorf("java -version: %v, %s", err, out)
		}
	}
}

// TestEveryJDKDraws makes a base of each JDK at hand for a program that draws.
// The short run has that from TestBaseRunsJavaAndIsTheSameEachTime.
func TestEveryJDKDraws(t *testing.T) {
	if os.Getenv("FASTSHIP_TEST_JDKS") == "" {
		t.Skip("FASTSHIP_TEST_JDKS names no more JDKs")
	}
	for _, jdk := range jdks(t) {
		t.Run(jdk.Version, func(t *testing.T) {
			classes := t.TempDir()
			if out, err := exec.Command(jdk.tool("javac"), "-encoding", "UTF-8", "-d", classes, "testdata/Draw.java").CombinedOutput(); err != nil {
				t.Fatalf("javac: %s", out)
			}
			class, err := os.ReadFile(filepath.Join(classes, "Draw.class"))
			if err != nil {
				t.Fatal(err)
			}
			c := newCache(t)
			base, events := buildBase(t, c, jdk, []Jar{jarOf("draw.jar", archiveOf(t, map[string]string{"Draw.class": string(class)}))})
			t.Log(events)
			noWarning(t, events)
			root := unpack(t, c, base)
			out := java(t, root, base, base.User, []string{classes}, "-cp", "/mnt0", "Draw")
			for _, want := range []string{"png=true true true", "version=" + jdk.Version, "localhost=true", "trusted=true"} {
				if !strings.Contains("\n"+out, "\n"+want) { // 11.0.33-ea is 11.0.33 to its release file
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
			for _, font := range []string{"usr/share/fonts", "etc/fonts/fonts.conf"} {
				if !exists(filepath.Join(root, font)) {
					t.Errorf("the base has no %s", font)
				}
			}
		})
	}
}

func TestAChangedSettingIsAnotherJDK(t *testing.T) {
	home := t.TempDir()
	lay(t, home, map[string][]byte{
		"release": []byte("JAVA_VERSION=\"25.0.3\"\nOS_NAME=\"Linux\"\n"), "lib/modules": []byte("index"), "lib/server/libjvm.so": program(elf.EM_X86_64, "/ld"),
		"lib/libnet.so": []byte("net"), "conf/security/java.security": []byte("a=1"), "lib/security/cacerts": []byte("certs"),
	})
	seen := map[string]bool{}
	for _, c := range []struct {
		path, content string
		want          int // identities so far
	}{
		{"release", "JAVA_VERSION=\"25.0.3\"\nOS_NAME=\"Linux\"\n", 1},
		{"conf/security/java.security", "a=2", 2}, {"lib/libnet.so", "other", 3}, {"lib/security/cacerts", "more", 3},
		{"jmods/java.base.jmod", "jmod", 4}, {"conf/security/java.security", "a=3", 4}, // jlink takes the jmods' then
	} {
		lay(t, home, map[string][]byte{c.path: []byte(c.content)})
		jdk, err := Find(home)
		if err != nil {
			t.Fatal(err)
		}
		id, err := jdk.Identity()
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(id)] = true; len(seen) != c.want {
			t.Errorf("after %s: %d identities", c.path, len(seen))
		}
	}
}
