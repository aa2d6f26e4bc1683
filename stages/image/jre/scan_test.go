package jre

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// classFile is a class file with the given Class constants and, for whatever
// has a bracket or semicolon, Utf8 constants.
func classFile(names ...string) string {
	var pool []byte
	count := 1
	utf8 := func(s string) int {
		pool = append(pool, tagUtf8)
		pool = binary.BigEndian.AppendUint16(pool, uint16(len(s)))
		pool = append(pool, s...)
		count++
		return count - 1
	}
	pool = append(pool, tagLong, 0, 0, 0, 0, 0, 0, 0, 1)
	count += 2 // a long counts twice
	for _, name := range names {
		index := utf8(name)
		if !strings.ContainsAny(name, ";[(") {
			pool = append(pool, tagClass, byte(index>>8), byte(index))
			count++
		}
	}
	class := []byte{0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 61}
	class = binary.BigEndian.AppendUint16(class, uint16(count))
	return string(append(class, pool...))
}

func archiveOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i, name := range slices.Sorted(maps.Keys(files)) {
		method := []uint16{zip.Deflate, zip.Store}[i%2]
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = f.Write([]byte(files[name]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestScanJar(t *testing.T) {
	jar := jarOf("x.jar", archiveOf(t, map[string]string{
		"a/A.class":                            classFile("java/sql/Date", "[Ljavax/naming/Name;", "(ILjava/awt/Font;)Ljava/net/http/HttpClient;"),
		"a/B.class":                            classFile("Ljava/util/Map<Ljava/rmi/Remote;+Ljavax/script/Bindings;>;", "no descriptor; L ist/short;"),
		"BOOT-INF/classes/C.class":             classFile("com/sun/net/httpserver/HttpServer", "Unnamed"),
		"a/Broken.class":                       "\xCA\xFE\xBA\xBE\x00\x00\x00\x3D\xFF\xFF\x01",
		"a/Text.class":                         "not a class",
		"META-INF/versions/21/a/A.class":       classFile("jdk/jfr/Event", "com/sun/net/httpserver/HttpServer"), // one that the jar's own name as well
		"META-INF/versions/x/a/A.class":        classFile("java/prefs/Preferences"),
		"META-INF/services/java.sql.Driver":    "a.D",
		"META-INF/services/javax.print.X$Y":    "a.D",
		"META-INF/services/nodots":             "a.D",
		"META-INF/MANIFEST.MF":                 "",
		"BOOT-INF/lib/inner.jar":               "",
		"META-INF/versions/9/a/Other.txt":      "",
		"META-INF/versions/11/a/package.class": classFile("[[Ljava/lang/management/ManagementFactory;"),
	}))
	refs, err := scanJar(t.Context(), jar)
	if err != nil {
		t.Fatal(err)
	}
	want := references{
		Packages: []string{
			"com/sun/net/httpserver", "java/awt", "java/net/http", "java/prefs", "java/rmi", "java/sql", "java/util",
			"javax/naming", "javax/print", "javax/script",
		},
		Versions: map[int][]string{11: {"java/lang/management"}, 21: {"com/sun/net/httpserver", "jdk/jfr"}},
	}
	if !reflect.DeepEqual(refs, want) {
		t.Errorf("got  %+v\nwant %+v", refs, want)
	}
	if got := refs.packages(17); slices.Contains(got, "jdk/jfr") || !slices.Contains(got, "java/lang/management") {
		t.Errorf("on 17: %v", got)
	}
}

func TestScanOfABrokenEntryNamesIt(t *testing.T) {
	content := archiveOf(t, map[string]string{"a/A.class": classFile("java/sql/Date", strings.Repeat("a", 2000))})
	copy(content[40:], "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")
	_, err := scanJar(t.Context(), jarOf("x.jar", content))
	if err == nil || !strings.HasPrefix(err.Error(), "read a/A.class in x.jar: ") {
		t.Errorf("got %v", err)
	}
}

func TestRequires(t *testing.T) {
	// module a { requires java.base; requires static java.sql; requires java.naming; }
	var b []byte
	u2 := func(values ...uint16) {
		for _, v := range values {
			b = binary.BigEndian.AppendUint16(b, v)
		}
	}
	b = append(b, 0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 61)
	u2(12)
	for _, s := range []string{"Module", "a", "java.base", "java.sql", "java.naming", "SourceFile"} { // 1 to 6
		b = append(b, tagUtf8)
		u2(uint16(len(s)))
		b = append(b, s...)
	}
	for name := uint16(2); name <= 5; name++ { // modules 7 to 10
		b = append(b, tagModule)
		u2(name)
	}
	b = append(b, tagClass)
	u2(2)
	u2(0x8000, 11, 0, 0, 0, 0, 2)
	u2(6, 0, 2, 1) // SourceFile: 2 bytes
	u2(1, 0, 32)   // Module
	u2(7, 0, 0, 3, 8, 0x8000, 0, 9, staticPhase, 0, 10, 0, 0)
	u2(0, 0, 0, 0)
	p, err := parsePool(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.requires(); !slices.Equal(got, []string{"java.base", "java.naming"}) {
		t.Errorf("got %v", got)
	}
}

func FuzzClassFile(f *testing.F) {
	f.Add([]byte(classFile("java/sql/Date", "(ILjava/awt/Font;)V")))
	f.Fuzz(func(t *testing.T, class []byte) {
		p, err := parsePool(class)
		if err != nil {
			return
		}
		p.packages(func(pkg []byte) {
			if len(pkg) == 0 {
				t.Error("an empty package")
			}
		})
		p.requires()
	})
}
