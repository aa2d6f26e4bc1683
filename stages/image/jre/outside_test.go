package jre

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// authority is an HTTPS server and its certificate, in PEM.
func authority(t *testing.T) (*httptest.Server, []byte) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "private") }))
	t.Cleanup(s.Close)
	return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func TestReadCertificates(t *testing.T) {
	_, cert := authority(t)
	dir := t.TempDir()
	at := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certs, err := ReadCertificates([]string{at("two.pem", slices.Concat([]byte("subject=CN = acme\n\n"), cert, []byte("# and again\r\n"), bytes.ReplaceAll(cert, []byte("\n"), []byte("\r\n"))))})
	if err != nil || len(certs) != 2 || certs[0].Alias != certs[1].Alias || !strings.HasPrefix(certs[0].Alias, "fastship-") {
		t.Fatalf("got %v, %v", certs, err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("secret")})
	noCert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	broken := bytes.Replace(cert, []byte("\n"), []byte("\n!!"), 1)
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":       {nil, ":1: no certificate in it"},
		"der":         {[]byte("\x30\x82"), ":1: no certificate in it"},
		"key":         {slices.Concat([]byte("\n\n"), key), ":3: a RSA PRIVATE KEY, not a CERTIFICATE"},
		"not one":     {slices.Concat([]byte("\n"), noCert), ":2: not a certificate: "},
		"broken":      {slices.Concat([]byte("a\nb\n"), broken, cert), ":3: a PEM block that is broken"},
		"without end": {cert[:len(cert)-10], ":1: a PEM block that is broken"},
	} {
		path := at(name, c.content)
		_, err := ReadCertificates([]string{path})
		if fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), path+c.want) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadCertificates([]string{filepath.Join(dir, "none.pem")}); fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("absent: %v", err)
	}
}

func TestTrustIsTheSameWhateverTheOrder(t *testing.T) {
	home := t.TempDir()
	lay(t, home, map[string][]byte{"lib/security/cacerts": keyStore(7, jksTrusted, "b", "a")})
	r := Request{JDK: JDK{Home: home, Root: "/", Major: 17}}
	plain, err := r.trust(t.Context(), newCache(t))
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := normalizeJKS(keyStore(1, jksTrusted, "a", "b")); !bytes.Equal(plain[0].data, want) || bytes.Count(plain[1].data, []byte("BEGIN CERTIFICATE")) != 2 {
		t.Errorf("nothing added: %q", plain[1].data)
	}
	x, y := Certificate{"x", []byte("xx")}, Certificate{"y", []byte("yy")}
	var seen [][]byte
	for _, more := range [][]Certificate{{x, y}, {y, x, x}} {
		r.Certificates = more
		files, err := r.trust(t.Context(), newCache(t))
		if err != nil {
			t.Fatal(err)
		}
		certs, err := parseJKS(files[0].data)
		if err != nil || len(certs) != 4 || string(certs[3].der()) != "yy" || bytes.Count(files[1].data, []byte("BEGIN CERTIFICATE")) != 4 {
			t.Errorf("%v, %v", certs, err)
		}
		seen = append(seen, files[0].data)
	}
	if !bytes.Equal(seen[0], seen[1]) {
		t.Error("another order gives another store")
	}
}

func TestParseListing(t *testing.T) {
	_, cert := authority(t)
	block, _ := pem.Decode(cert)
	text := "Keystore type: PKCS12\n\nYour keystore contains 2 entries\n\nAlias name: a [jdk]\nCreation date: Jan 1, 2020\nEntry type: trustedCertEntry\n\n" +
		string(cert) + "\n\n*****\n\nAlias name: debian:b.pem\n\n" + string(cert) + "\n"
	certs, err := parseListing(text)
	if err != nil || len(certs) != 2 || certs[0].Alias != "a [jdk]" || certs[1].Alias != "debian:b.pem" || !bytes.Equal(certs[1].DER, block.Bytes) {
		t.Errorf("%v, %v", certs, err)
	}
	if _, err := parseListing("Alias name: k\nEntry type: SecretKeyEntry\n\nAlias name: b\n" + string(cert)); err == nil || !strings.Contains(err.Error(), `no certificate of "k"`) {
		t.Errorf("a secret key: %v", err)
	}
}

// object is a shared library that asks for others and holds nothing.
func object(machine elf.Machine, needs ...string) []byte {
	const head, section, entry = 64, 64, 16
	names := "\x00"
	var table []uint64
	for _, n := range needs {
		table = append(table, uint64(elf.DT_NEEDED), uint64(len(names)))
		names += n + "\x00"
	}
	table = append(table, 0, 0)
	dynamic := uint64(head + 3*section)
	text := dynamic + uint64(len(table))*8
	var b bytes.Buffer
	le := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	le([]uint16{uint16(elf.ET_DYN), uint16(machine)})
	le(uint32(1))
	le([]uint64{0, 0, head})
	le(uint32(0))
	le([]uint16{head, 0, 0, section, 3, 2})
	le(make([]byte, section))
	write := func(kind elf.SectionType, offset, size uint64, link uint32, each uint64) {
		le([]uint32{0, uint32(kind)})
		le([]uint64{0, 0, offset, size})
		le([]uint32{link, 0})
		le([]uint64{1, each})
	}
	write(elf.SHT_DYNAMIC, dynamic, uint64(len(table))*8, 2, entry)
	write(elf.SHT_STRTAB, text, uint64(len(names)), 0, 0)
	le(table)
	b.WriteString(names)
	return b.Bytes()
}

func TestNativesOfJarsAreFoundAndToldWhenMissing(t *testing.T) {
	x86, arm := elf.EM_X86_64, elf.EM_AARCH64
	archive := archiveOf(t, map[string]string{
		"META-INF/native/libx.so":     string(object(x86, "libc.so.6", "libm.so.6", "liby.so.1", "libnone.so.7", "libjvm.so")),
		"META-INF/native/liby.so.1":   string(object(x86, "libc.so.6")),
		"linux-arm/libx.so":           string(object(arm, "libc.so.6", "libother.so.1")),
		"musl/libx.so":                string(object(x86, "libc.musl-x86_64.so.1")),
		"android/libx.so":             string(object(x86, "libc.so", "liblog.so")),
		"text/notes.so":               "no library",
		"org/acme/thing.so/Foo.class": classFile("java/sql/Date"),
	})
	jdk := JDK{Major: 8}
	n, err := Inspect(t.Context(), newCache(t), jdk, []Jar{jarOf("x.jar", archive)}, nil, nil)
	if err != nil || len(n.Natives) != 3 {
		t.Fatalf("%+v, %v", n, err)
	}
	root := t.TempDir()
	lay(t, root, map[string][]byte{"lib64/libm.so.6": object(x86, "libc.so.6"), "lib64/libc.so.6": object(x86), "usr/lib64/libm.so.7": object(x86)})
	r := &resolver{root: root, loader: "/lib64/ld-linux-x86-64.so.2", machine: x86, class: elf.ELFCLASS64, found: map[string]library{}, missing: map[string]bool{}}
	if err := r.followNatives(n.Natives, map[string]bool{"libjvm.so": true}); err != nil {
		t.Fatal(err)
	}
	libs, err := r.result()
	if err != nil || len(libs.list) != 2 || libs.dir != "/lib64" || !slices.Equal(libs.missing, []string{"libnone.so.7, which META-INF/native/libx.so in a jar needs"}) {
		t.Errorf("%+v, %v", libs, err)
	}
}

func TestLocalesAreForApplicationsThatNameThem(t *testing.T) {
	for name, want := range map[string]bool{
		"messages_de.properties": true, "a/messages_pt_BR.properties": true, "messages_zh_Hans_CN.properties": true, "texts_fr.yml": true,
		"messages.properties": false, "messages_en.properties": false, "messages_en_GB.properties": false, "db/schema_v1.xml": false, "_de.properties": false,
	} {
		if got := isTranslation(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	locale := func(name, descriptor string) *pool {
		class := []byte{0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 61, 0, 7}
		for _, s := range []string{"java/util/Locale", name, descriptor} { // 1 to 3
			class = append(class, tagUtf8, 0, byte(len(s)))
			class = append(class, s...)
		}
		class = append(class, tagClass, 0, 1, tagNameAndType, 0, 2, 0, 3, tagFieldref, 0, 4, 0, 5)
		p, err := parsePool(class)
		if err != nil {
			t.Fatal(err)
		}
		return &p
	}
	const constant = "Ljava/util/Locale;"
	for _, c := range []struct {
		name, descriptor string
		want             bool
	}{
		{"GERMANY", constant, true}, {"ROOT", constant, false}, {"ENGLISH", constant, false}, {"<init>", "(Ljava/lang/String;)V", true},
		{"forLanguageTag", "(Ljava/lang/String;)Ljava/util/Locale;", true}, {"getDefault", "()Ljava/util/Locale;", false}, {"toString", "()Ljava/lang/String;", false},
	} {
		if got := locale(c.name, c.descriptor).namesLocale(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	// A library that knows locales decides nothing; a module of the project does.
	c := newCache(t)
	jar := jarOf("x.jar", archiveOf(t, map[string]string{"messages_de.properties": ""}))
	jar.Digest = cache.Sum([]byte("x"))
	for _, own := range []bool{false, true} {
		jar.Own = own
		found, err := referencesOf(t.Context(), c, []Jar{jar}, nil)
		if err != nil || slices.ContainsFunc(found, func(r references) bool { return r.Locales }) != own {
			t.Errorf("own %v: %+v, %v", own, found, err)
		}
	}
}

func TestToolsOfASystem(t *testing.T) {
	x86 := elf.EM_X86_64
	root := t.TempDir()
	if got := findTools(root); len(got.files) > 0 {
		t.Errorf("nothing there: %+v", got)
	}
	lay(t, root, map[string][]byte{"usr/bin/dash": object(x86), "usr/bin/ls": object(x86), "usr/bin/which": []byte("#!/bin/sh"), "bin/bash": object(x86)})
	if err := os.Symlink("dash", filepath.Join(root, "usr/bin/sh")); err != nil {
		t.Fatal(err)
	}
	paths := func(t2 tools) []string {
		entries, err := t2.entries()
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, e := range entries {
			list = append(list, strings.TrimSpace(e.Path+" "+e.Link))
		}
		slices.Sort(list)
		return list
	}
	if got := paths(findTools(root)); !slices.Equal(got, []string{"bin/bash ../usr/bin/bash", "bin/sh ../usr/bin/sh", "usr/bin/bash", "usr/bin/ls", "usr/bin/sh"}) {
		t.Errorf("a shell: %q", got)
	}
	lay(t, root, map[string][]byte{"bin/busybox": object(x86)})
	if got := paths(findTools(root)); !slices.Contains(got, "usr/bin/sh busybox") || !slices.Contains(got, "bin/sh ../usr/bin/sh") || slices.Contains(got, "usr/bin/bash") {
		t.Errorf("busybox: %q", got)
	}
}

// TestABaseReachesOutside proves on one base: a native library that asks for
// the C library's old parts, a private certification authority, the shell and
// jcmd of a debugging image, default options and their replacement.
func TestABaseReachesOutside(t *testing.T) {
	jdk := jdks(t)[0]
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	work := t.TempDir()
	source := filepath.Join(work, "answer.c")
	lay(t, work, map[string][]byte{"answer.c": []byte("int Java_Outside_answer(void *env, void *class) { return 42; }\n")})
	old := []string{}
	for _, name := range []string{"libpthread.so.0", "libdl.so.2", "librt.so.1", "libstdc++.so.6"} {
		r, err := newResolver("/", jdk.tool("java"))
		if err != nil {
			t.Fatal(err)
		}
		if path, ok := r.find(name, nil); ok {
			old = append(old, path)
		}
	}
	gcc := exec.Command("gcc", append([]string{"-shared", "-fPIC", "-o", filepath.Join(work, "libanswer.so"), source, "-Wl,--no-as-needed"}, old...)...)
	javac := exec.Command(jdk.tool("javac"), "-nowarn", "-d", work, "testdata/Outside.java")
	for _, c := range []*exec.Cmd{gcc, javac} {
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %s", c.Path, out)
		}
	}
	server, cert := authority(t)
	lay(t, work, map[string][]byte{"ca.pem": cert})
	certs, err := ReadCertificates([]string{filepath.Join(work, "ca.pem")})
	if err != nil {
		t.Fatal(err)
	}
	library, err := os.ReadFile(filepath.Join(work, "libanswer.so"))
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(t)
	needs, err := Inspect(t.Context(), c, jdk, []Jar{jarOf("x.jar", archiveOf(t, map[string]string{"libanswer.so": string(library)}))}, []string{"jdk.jcmd"}, nil)
	if err != nil || len(needs.Natives) != 1 || !needs.English {
		t.Fatalf("%+v, %v", needs, err)
	}
	var told []runner.Body
	base, err := Build(t.Context(), c, Request{
		JDK: jdk, Linker: jdk, Modules: needs.Modules, Natives: needs.Natives, Certificates: certs, Debug: true, Codec: oci.Gzip(1),
		Emit: func(b runner.Body) { told = append(told, b) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(told)
	root := unpack(t, c, base)
	for _, name := range []string{"Outside.class", "libanswer.so"} {
		content, err := os.ReadFile(filepath.Join(work, name))
		if err = errors.Join(err, os.WriteFile(filepath.Join(root, "tmp", name), content, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	script := fmt.Sprintf(`mount -t proc proc %[1]s/proc && mount --rbind /dev %[1]s/dev && exec chroot --userspec=65532:65532 %[1]s /bin/sh -c '
java -cp /tmp Outside /tmp/libanswer.so %[2]s 300000 >/tmp/out 2>&1 & pid=$!
while kill -0 $pid && ! grep -q heap= /tmp/out; do sleep 0.1; done
jcmd $pid Thread.print | grep -q Outside.main && echo threads=shown
kill $pid; wait; cat /tmp/out
JAVA_TOOL_OPTIONS="-XX:MaxRAMPercentage=10 -XX:Tier4InvocationThreshold=5001" java -XX:+PrintFlagsFinal -version | grep -E "MaxRAMPercentage|ExitOnOutOfMemory|Tier4|[ ]MetaspaceSize"
java -XX:+PrintFlagsFinal -version | grep MaxRAMPercentage'`, root, server.URL)
	run := exec.Command("unshare", "--mount", "--pid", "--fork", "sh", "-c", script)
	run.Env = append(base.Env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin:"+strings.TrimPrefix(base.Env[0], "PATH="))
	out, err := run.CombinedOutput()
	for _, want := range []string{"native=42\n", "https=private\n", "threads=shown\n", "= 10.000000 ", "= true ", "= 5001 ", "= 150000 ", "= 134217728 ", "= " + maxHeap} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q (%v) in:\n%s", want, err, out)
		}
	}
}
