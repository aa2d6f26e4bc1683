package stored

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// look reads a jar as an application's class loader does: signatures
// verified, and for the JVM's own release.
const look = `
import java.util.jar.*;
class Look {
	public static void main(String[] args) throws Exception {
		try (var jar = new JarFile(new java.io.File(args[0]), true, java.util.zip.ZipFile.OPEN_READ, Runtime.version())) {
			var entry = jar.getJarEntry("a/text.txt");
			var text = new String(jar.getInputStream(entry).readAllBytes());
			System.out.println(jar.size() + " " + jar.isMultiRelease() + " " + entry.getRealName() + " " + text + " " + (entry.getCodeSigners() != null));
		}
		try (var in = new JarInputStream(new java.io.FileInputStream(args[0]))) {
			System.out.println(in.getManifest() != null);
		}
	}
}`

// TestSignedMultiRelease: what the JDK's own tools signed they still find
// signed, and the JVM finds the entries of its release.
func TestSignedMultiRelease(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("set FASTSHIP_INTEGRATION=1 to start JVMs")
	}
	for _, tool := range []string{"java", "keytool", "jarsigner"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, b []byte) {
		if err := os.WriteFile(at(name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range [][2]string{
		{"META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nMulti-Release: true\r\n\r\n"},
		{"a/text.txt", "old"}, {"META-INF/versions/9/a/text.txt", "new"}, {"a/long.txt", strings.Repeat("text ", 10_000)},
	} {
		f, err := w.Create(e[0])
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, e[1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write("signed.jar", b.Bytes())
	write("Look.java", []byte(look))
	tool("keytool", "-genkeypair", "-keystore", at("keys"), "-storepass", "secret", "-alias", "us", "-keyalg", "EC", "-dname", "CN=us")
	tool("jarsigner", "-keystore", at("keys"), "-storepass", "secret", at("signed.jar"), "us")
	signed, err := os.ReadFile(at("signed.jar"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := rewrite(signed)
	if err != nil {
		t.Fatal(err)
	}
	same(t, signed, out)
	write("stored.jar", out)
	if said := tool("jarsigner", "-verify", at("stored.jar")); !strings.Contains(said, "jar verified.") {
		t.Errorf("jarsigner says %s", said)
	}
	if said := strings.Fields(tool("java", at("Look.java"), at("stored.jar"))); strings.Join(said, " ") != "6 true META-INF/versions/9/a/text.txt new true true" {
		t.Errorf("the JVM sees %q", said)
	}
	i := bytes.LastIndex(out, []byte("old"))
	copy(out[i:], "OLD")
	if _, err := rewrite(out); err == nil {
		t.Error("a changed content passes")
	}
}
