package jre

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// keyStore is a JKS of certificates under the given aliases, added at day.
func keyStore(day uint64, tag uint32, aliases ...string) []byte {
	b := binary.BigEndian.AppendUint32(nil, jksMagic)
	b = binary.BigEndian.AppendUint32(b, jksVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(aliases)))
	for _, alias := range aliases {
		b = binary.BigEndian.AppendUint32(b, tag)
		b = binary.BigEndian.AppendUint16(b, uint16(len(alias)))
		b = append(b, alias...)
		b = binary.BigEndian.AppendUint64(b, day)
		b = append(b, "\x00\x05X.509\x00\x00\x00\x04"...)
		b = append(b, alias+"    "[:4-len(alias)]...)
	}
	return append(b, make([]byte, sha1.Size)...)
}

func TestNormalizeJKS(t *testing.T) {
	one, err := normalizeJKS(keyStore(7, jksTrusted, "b", "a", "c"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := normalizeJKS(keyStore(8, jksTrusted, "c", "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, other) {
		t.Error("another order and day gives other bytes")
	}
	certs, err := parseJKS(one)
	if err != nil || len(certs) != 3 || certs[0].alias != "a" || !bytes.HasSuffix(certs[2].cert, []byte("c   ")) {
		t.Errorf("got %q, %v", certs, err)
	}
	if _, err := normalizeJKS(keyStore(7, 1, "a")); err == nil || !strings.Contains(err.Error(), "not a trusted certificate") {
		t.Errorf("a private key: %v", err)
	}
	whole := keyStore(7, jksTrusted, "a", "b")
	for n := range whole {
		if _, err := normalizeJKS(whole[:n]); !errors.Is(err, errKeyStore) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
}

func FuzzKeyStore(f *testing.F) {
	f.Add(keyStore(7, jksTrusted, "b", "a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		once, err := normalizeJKS(b)
		if err != nil {
			return
		}
		if twice, err := normalizeJKS(once); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("normalizing twice: %v", err)
		}
	})
}

func loaderCache(entries ...[2]string) []byte {
	head := []byte("glibc-ld.so.cache1.1")
	head = binary.LittleEndian.AppendUint32(head, uint32(len(entries)))
	head = append(head, make([]byte, 48-len(head))...)
	text := 48 + 24*len(entries)
	var table, names []byte
	for i, e := range entries {
		offset := func(s string) uint32 {
			at := text + len(names)
			names = append(names, s+"\x00"...)
			return uint32(at)
		}
		table = binary.LittleEndian.AppendUint32(table, 0x303)
		table = binary.LittleEndian.AppendUint32(table, offset(e[0]))
		table = binary.LittleEndian.AppendUint32(table, offset(e[1]))
		table = binary.LittleEndian.AppendUint32(table, 0)
		table = binary.LittleEndian.AppendUint64(table, uint64(i&1)) // every second is for some processors only
	}
	return slices.Concat(head, table, names)
}

func TestParseLoaderCache(t *testing.T) {
	b := loaderCache([2]string{"libz.so.1", "/lib/libz.so.1"}, [2]string{"libz.so.1", "/lib/haswell/libz.so.1"}, [2]string{"libc.so.6", "/lib64/libc.so.6"})
	for name, content := range map[string][]byte{"alone": b, "behind the old format": append([]byte("ld.so-1.7.0\x00\x00\x00\x00\x00"), b...)} {
		paths, err := parseLoaderCache(content)
		if err != nil || !slices.Equal(paths["libz.so.1"], []string{"/lib/libz.so.1"}) || !slices.Equal(paths["libc.so.6"], []string{"/lib64/libc.so.6"}) {
			t.Errorf("%s: %v, %v", name, paths, err)
		}
	}
	for n := range 48 + 3*24 {
		if _, err := parseLoaderCache(b[:n]); !errors.Is(err, errLoaderCache) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
}

func FuzzLoaderCache(f *testing.F) {
	f.Add(loaderCache([2]string{"libz.so.1", "/lib/libz.so.1"}))
	f.Fuzz(func(t *testing.T, b []byte) { parseLoaderCache(b) })
}

func TestRuntimeEntriesCopyWhatLeadsOutside(t *testing.T) {
	home, etc := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{home + "/bin/java": "x", etc + "/net.properties": "outside", home + "/legal/java.base/LICENSE": "GPL", home + "/lib/libawt_xawt.so": ""} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, target := range map[string]string{"conf/net.properties": etc + "/net.properties", "legal/jdk.net/LICENSE": "../java.base/LICENSE"} {
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(home+"/bin/java", 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := runtimeEntries("/", home)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, strings.TrimSpace(f.Mode.String()+" "+f.Path+" "+f.Link))
	}
	slices.Sort(got)
	want := []string{
		"-rw-r--r-- opt/java/conf/net.properties", "-rw-r--r-- opt/java/legal/java.base/LICENSE",
		"-rwxr-xr-x opt/java/bin/java", "Lrwxrwxrwx opt/java/legal/jdk.net/LICENSE ../java.base/LICENSE",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestFontsOfOtherDistributions(t *testing.T) {
	for _, place := range []string{"truetype/dejavu/DejaVuSans.ttf", "TTF/DejaVuSans.ttf", "liberation-sans/LiberationSans-Regular.ttf"} {
		root := t.TempDir()
		path := filepath.Join(root, fontDir, place)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("font"), 0o644); err != nil {
			t.Fatal(err)
		}
		var s system
		if err := s.addFonts(root); err != nil || len(s.files) != 2 || s.files[0].path != fontDir+"/"+filepath.Base(place) || len(s.lacking) > 0 {
			t.Errorf("%s: %+v, %v", place, s, err)
		}
	}
	var bare system
	if err := errors.Join(bare.addFonts(t.TempDir()), bare.addLocale(t.TempDir())); err != nil || len(bare.files) > 0 || len(bare.lacking) != 2 {
		t.Errorf("a bare machine: %+v, %v", bare, err)
	}
}

func TestFontsAndOptionsOnlyWhereTheyAreNeeded(t *testing.T) {
	root := t.TempDir()
	lay(t, root, map[string][]byte{fontDir + "/truetype/dejavu/DejaVuSans.ttf": []byte("font"), "etc/os-release": []byte("ID=acme\n"), localeDir + "/LC_CTYPE": nil})
	for _, c := range []struct {
		major   int
		desktop bool
		want    []string
	}{
		{17, false, nil},
		{17, true, []string{fontDir + "/DejaVuSans.ttf", "etc/fonts/fonts.conf"}},
		{11, false, []string{optionsFile}},
	} {
		s, err := surroundings(JDK{Root: root, Major: c.major}, c.desktop)
		if err != nil || len(s.lacking) > 0 {
			t.Fatal(err, s.lacking)
		}
		var extra []string
		for _, f := range s.files {
			if strings.HasPrefix(f.path, fontDir) || strings.HasPrefix(f.path, "etc/fonts") || f.path == optionsFile {
				extra = append(extra, f.path)
			}
		}
		slices.Sort(extra)
		slices.Sort(c.want)
		if !slices.Equal(extra, c.want) {
			t.Errorf("%+v: %v", c, extra)
		}
	}
	want := "MaxRAMPercentage=" + maxHeap + "\n+ExitOnOutOfMemoryError\nInitialRAMPercentage=" + firstHeap + "\nMetaspaceSize=128m\n" +
		"Tier4InvocationThreshold=50000\nTier4MinInvocationThreshold=6000\nTier4CompileThreshold=150000\nTier4BackEdgeThreshold=400000\n"
	if got := string(settings(JDK{Major: 11}.defaultOptions())); got != want {
		t.Errorf("settings %q", got)
	}
}
