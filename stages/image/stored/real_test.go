package stored

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compare opens pairs of jars as class loaders do, signatures verified and for
// the JVM's own release, and tells of every difference.
const compare = `
import java.io.*;
import java.nio.file.*;
import java.util.*;
import java.util.jar.*;
import java.util.zip.ZipFile;
class Compare {
	static int signed, versioned;
	static List<String> look(String file, boolean count) throws Exception {
		var seen = new ArrayList<String>();
		try (var jar = new JarFile(new File(file), true, ZipFile.OPEN_READ, Runtime.version())) {
			seen.add("manifest " + (jar.getManifest() == null ? null : jar.getManifest().getMainAttributes().size()) + " " + jar.isMultiRelease());
			for (var entries = jar.versionedStream().iterator(); entries.hasNext();) {
				var e = entries.next();
				String content;
				try (var in = jar.getInputStream(e)) {
					content = Arrays.hashCode(in.readAllBytes()) + "";
				} catch (SecurityException x) {
					content = x.toString();
				}
				var signers = e.getCodeSigners();
				if (count && signers != null) signed++;
				if (count && !e.getRealName().equals(e.getName())) versioned++;
				seen.add(e.getName() + " " + e.getRealName() + " " + e.getSize() + " " + e.getTime() + " " + e.getComment() + " " + Arrays.toString(e.getExtra())
					+ " " + content + " " + (signers == null ? null : signers[0].getSignerCertPath().hashCode()));
			}
		}
		return seen;
	}
	public static void main(String[] args) throws Exception {
		int pairs = 0;
		for (String line : Files.readAllLines(Path.of(args[0]))) {
			var pair = line.split("\t");
			if (!look(pair[0], true).equals(look(pair[1], false))) System.out.println("differs: " + pair[0]);
			pairs++;
		}
		System.out.println(pairs + " jars, " + signed + " signed entries, " + versioned + " of a release");
	}
}`

// TestRealJars rewrites every jar below FASTSHIP_JARS, a Maven repository for
// instance: Go's reader and the JVM's see no difference, and jarsigner
// verifies what is signed.
func TestRealJars(t *testing.T) {
	dir := os.Getenv("FASTSHIP_JARS")
	if dir == "" {
		t.Skip("set FASTSHIP_JARS to a folder of jars")
	}
	out := t.TempDir()
	var pairs, signed []string
	refused := map[string]int{}
	var before, after int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".jar" {
			return err
		}
		jar, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, err := rewrite(jar)
		if u, ok := errors.AsType[*Unfaithful](err); ok {
			refused[u.Reason]++
			return nil
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		same(t, jar, b)
		before, after = before+int64(len(jar)), after+int64(len(b))
		isSigned := bytes.Contains(b, []byte(".SF")) && bytes.Contains(b, []byte("SHA-256-Digest-Manifest"))
		if !isSigned && !bytes.Contains(b, []byte("META-INF/versions/")) && len(pairs) > 300 {
			return nil // enough of the plain ones for the JVM
		}
		to := filepath.Join(out, filepath.Base(filepath.Dir(filepath.Dir(path)))+"-"+filepath.Base(path))
		pairs = append(pairs, path+"\t"+to)
		if isSigned {
			signed = append(signed, to)
		}
		return os.WriteFile(to, b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes became %d; refused: %v", before, after, refused)
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip(err)
	}
	source, list := filepath.Join(out, "Compare.java"), filepath.Join(out, "pairs")
	for path, text := range map[string]string{source: compare, list: strings.Join(pairs, "\n")} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	said, err := exec.Command("java", source, list).CombinedOutput()
	t.Logf("the JVM: %s", said)
	if err != nil || strings.Contains(string(said), "differs") {
		t.Errorf("%v", err)
	}
	for _, jar := range signed[:min(len(signed), 25)] { // each starts a JVM
		said, err := exec.Command("jarsigner", "-verify", jar).CombinedOutput()
		if err != nil || !strings.Contains(string(said), "jar verified.") {
			t.Errorf("jarsigner on %s: %v\n%s", jar, err, said)
		}
	}
	t.Logf("%d signed jars", len(signed))
}
