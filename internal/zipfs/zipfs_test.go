package zipfs

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// build writes an ordinary archive, as a build tool does: deflated, with data
// descriptors and times of its own.
func build(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, n := range names {
		h := &zip.FileHeader{Name: n, Method: zip.Deflate, Modified: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)}
		if strings.HasSuffix(n, "/") {
			h.Method = zip.Store
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(n, "/") {
			io.WriteString(f, strings.Repeat("content of "+n+"\n", 40))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(b []byte) (*Archive, error) { return New(bytes.NewReader(b), int64(len(b))) }

func TestOpenToleratesALaunchScript(t *testing.T) {
	p := filepath.Join(t.TempDir(), "a.jar")
	if err := os.WriteFile(p, append([]byte("#!/bin/sh\nexec java -jar \"$0\"\n"), build(t, "a/", "a/", "a/b.txt")...), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if len(a.Files()) != 2 || a.Lookup("a/b.txt") == nil || a.Lookup("b.txt") != nil {
		t.Errorf("entries %v", a.Files())
	}
	b, err := Read(a.Lookup("a/b.txt"), 1<<20)
	if err != nil || !strings.HasPrefix(string(b), "content of a/b.txt\n") {
		t.Errorf("read %q, %v", b, err)
	}
	if _, err := Read(a.Lookup("a/b.txt"), 10); err == nil {
		t.Error("a limit that does nothing")
	}
}

func TestOpenRefuses(t *testing.T) {
	flag := func(b []byte) []byte { // the encryption bit of the only central header
		i := bytes.LastIndex(b, []byte("PK\x01\x02"))
		b[i+8] |= 1
		return b
	}
	method := func(b []byte) []byte {
		i := bytes.LastIndex(b, []byte("PK\x01\x02"))
		b[i+10] = 12
		return b
	}
	overlap := func(b []byte) []byte { // claims more compressed bytes than the archive has
		i := bytes.LastIndex(b, []byte("PK\x01\x02"))
		b[i+22] = 0x7f
		return b
	}
	cases := map[string]struct {
		bytes []byte
		want  string
	}{
		"empty":      {nil, "not a valid zip"},
		"text":       {[]byte("hello, world"), "not a valid zip"},
		"truncated":  {build(t, "a")[:60], "not a valid zip"},
		"escaping":   {build(t, "../a"), `"../a"`},
		"deep":       {build(t, "a/../../b"), "clean path"},
		"absolute":   {build(t, "/etc/passwd"), "clean path"},
		"line break": {build(t, "a\nb"), "clean path"},
		"twice":      {build(t, "a", "b", "a"), `"a" is there twice`},
		"encrypted":  {flag(build(t, "a")), "encrypted"},
		"method":     {method(build(t, "a")), "method 12"},
		"overlap":    {overlap(build(t, "a")), "lie over"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := open(c.bytes)
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWriterNormalises(t *testing.T) {
	in, err := open(build(t, "BOOT-INF/", "BOOT-INF/x/ünï.txt", "stored"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := NewWriter(&out)
	for _, err := range []error{
		w.Dir("META-INF/"), w.Add("META-INF/MANIFEST.MF", []byte("Manifest-Version: 1.0\r\n\r\n")),
		w.Copy(in.Lookup("BOOT-INF/x/ünï.txt"), "ünï.txt"), w.Inflate(in.Lookup("stored"), "big"), w.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := open(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got.Files() {
		if f.Flags&8 != 0 || len(f.Extra) != 0 || f.Modified.Format("2006-01-02 15:04:05") != "1980-02-01 00:00:00" {
			t.Errorf("%s: flags %x, extra %x, time %s", f.Name, f.Flags, f.Extra, f.Modified)
		}
	}
	for name, want := range map[string]string{"ünï.txt": "content of BOOT-INF/x/ünï.txt", "big": "content of stored"} {
		b, err := Read(got.Lookup(name), 1<<20)
		if err != nil || !strings.HasPrefix(string(b), want) {
			t.Errorf("read %q, %v", b, err)
		}
	}
	if f := got.Lookup("big"); f.Method != zip.Store || in.Lookup("stored").Method != zip.Deflate {
		t.Errorf("method %d", f.Method)
	}
}

func FuzzNew(f *testing.F) {
	f.Add(build(f, "a", "b/", "b/c"))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := open(b)
		if err != nil {
			return
		}
		w := NewWriter(io.Discard)
		for _, file := range a.Files() {
			if IsDir(file) {
				continue
			}
			if content, err := Read(file, 1<<16); err == nil && uint64(len(content)) != file.UncompressedSize64 {
				t.Errorf("%q: %d bytes instead of %d", file.Name, len(content), file.UncompressedSize64)
			}
			w.Copy(file, file.Name)
		}
		w.Close()
	})
}
