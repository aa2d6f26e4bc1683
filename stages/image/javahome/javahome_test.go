package javahome

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"reflect"
	"strings"
	"testing"
)

const release = "JAVA_VERSION=\"17.0.15\"\nMODULES=\"java.base java.logging\"\n"

// layer is a gzip-compressed tar in short, a line an entry: "name" a file,
// "name = text" one with that content, "name -> target" a symlink, "name =>
// target" a hard link, "name/" a folder. RELEASE stands for a release file's
// text.
func layer(t testing.TB, lines string) Layer {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		h, text := &tar.Header{Name: line, Typeflag: tar.TypeReg, Mode: 0o755}, ""
		if name, target, ok := strings.Cut(line, " -> "); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeSymlink
		} else if name, target, ok := strings.Cut(line, " => "); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeLink
		} else if name, content, ok := strings.Cut(line, " = "); ok {
			h.Name, text = name, strings.ReplaceAll(content, "RELEASE", release)
		} else if strings.HasSuffix(line, "/") {
			h.Typeflag = tar.TypeDir
		}
		h.Size = int64(len(text))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }
}

func TestFind(t *testing.T) {
	modules := []string{"java.base", "java.logging"}
	debian := `
		bin -> usr/bin
		usr/bin/java -> /etc/alternatives/java
		etc/alternatives/java -> /usr/lib/jvm/java-17/bin/java
		usr/lib/jvm/java-17/bin/java
		usr/lib/jvm/java-17/release -> /etc/java-17/release
		etc/java-17/release = RELEASE`
	at := Java{"/usr/lib/jvm/java-17/bin/java", "/usr/lib/jvm/java-17", 17, modules}
	for name, c := range map[string]struct {
		layers          []string
		command, search string
		want            Java
	}{
		"by links, Debian's":         {[]string{debian}, "java", "", at},
		"by a linked folder in PATH": {[]string{debian}, "java", "relative:/bin", at},
		"by JAVA_HOME":               {[]string{"./opt/jdk/bin/java\n./opt/jdk/release = RELEASE"}, "/opt/jdk/bin/java", "", Java{"/opt/jdk/bin/java", "/opt/jdk", 17, modules}},
		"a hard link":                {[]string{"opt/jdk/bin/java\nopt/jdk/release = RELEASE\nusr/bin/java => opt/jdk/bin/java"}, "java", "", Java{"/opt/jdk/bin/java", "/opt/jdk", 17, modules}},
		"JDK 8":                      {[]string{"jdk8/jre/bin/java\njdk8/release = JAVA_VERSION=\"1.8.0_412\""}, "/jdk8/jre/bin/java", "", Java{"/jdk8/jre/bin/java", "/jdk8", 8, nil}},
		"no release file":            {[]string{"usr/bin/java"}, "java", "", Java{Command: "/usr/bin/java"}},
		"a version of no number":     {[]string{"j/bin/java\nj/release = JAVA_VERSION=\"\""}, "/j/bin/java", "", Java{Command: "/j/bin/java", Home: "/j"}},
		"no Java":                    {[]string{"usr/bin/python"}, "java", "", Java{}},
		"elsewhere than in PATH":     {[]string{"opt/jdk/bin/java"}, "java", "/usr/bin:/bin", Java{}},
		"links in circles":           {[]string{"usr/bin/java -> x\nusr/bin/x -> java"}, "java", "", Java{}},
		"taken away":                 {[]string{debian, "usr/lib/jvm/.wh.java-17"}, "java", "", Java{}},
		"all taken away":             {[]string{debian, "usr/lib/jvm/.wh..wh..opq"}, "java", "", Java{}},
		"replaced, whiteout last":    {[]string{debian, "etc/alternatives/java -> /opt/j/bin/java\nopt/j/bin/java\nopt/.wh..wh..opq"}, "java", "", Java{Command: "/opt/j/bin/java"}},
		"a folder for a link":        {[]string{debian, "bin/\nbin/java"}, "java", "/bin", Java{Command: "/bin/java"}},
	} {
		t.Run(name, func(t *testing.T) {
			var layers []Layer
			for _, l := range c.layers {
				layers = append(layers, layer(t, l))
			}
			got, err := Find(t.Context(), layers, c.command, c.search)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestFindTellsOfABrokenLayer(t *testing.T) {
	broken := func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("no tar at all, that is sure, of 512 bytes" + strings.Repeat("x", 600))), nil
	}
	if _, err := Find(t.Context(), []Layer{broken}, "java", ""); err == nil {
		t.Error("no error")
	}
}
