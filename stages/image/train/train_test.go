package train

import (
	"archive/zip"
	"bufio"
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestClassList(t *testing.T) {
	foreign := map[string]bool{"com/acme/Shop": true, "Tool": true}
	list := `# NOTE: Do not modify this file.
#
org/lib/Zoo id: 12
java/lang/Object id: 0
com/acme/Shop id: 13
com/acme/Shop$Order id: 14
com/acme/Shop$$SpringCGLIB$$0 id: 15
com/acme/Shopping id: 16
Tool id: 17
org/lib/Zoo id: 12
org/lib/Woven id: 18 super: 0 interfaces: 12 source: /app/lib/x.jar
@lambda-proxy org/lib/Zoo run ()Ljava/lang/Runnable; ()V REF_invokeStatic org/lib/Zoo lambda$0 ()V ()V
@lambda-proxy org/lib/Zoo apply ()Lcom/acme/Shop; ()V REF_invokeStatic org/lib/Zoo lambda$1 ()V ()V
@lambda-proxy com/acme/Shop run ()Ljava/lang/Runnable; ()V REF_invokeStatic com/acme/Shop lambda$0 ()V ()V
@cp org/lib/Zoo 1 2 7
@cp Tool 1 2
@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic L7_L
org/lib/CutOff`
	want := []string{
		"com/acme/Shopping", "java/lang/Object", "org/lib/Zoo",
		"@cp org/lib/Zoo 1 2 7",
		"@lambda-form-invoker [LF_RESOLVE] java.lang.invoke.DirectMethodHandle$Holder invokeStatic L7_L",
		"@lambda-proxy org/lib/Zoo run ()Ljava/lang/Runnable; ()V REF_invokeStatic org/lib/Zoo lambda$0 ()V ()V",
	}
	got, err := chosen(bufio.NewReader(strings.NewReader(list)), foreign)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%s", err, strings.Join(got, "\n"))
	}
}

func FuzzClassList(f *testing.F) {
	f.Add("a/B id: 1\n@lambda-proxy a/B x\n@cp\n@\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := chosen(bufio.NewReader(strings.NewReader(text)), map[string]bool{"a/B": true})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range list {
			if strings.HasPrefix(line, "a/B") && !strings.HasPrefix(line, "a/B/") && len(strings.Fields(line)[0]) == 3 || strings.Contains(line, "\n") {
				t.Errorf("%q", line)
			}
		}
	})
}

func TestNames(t *testing.T) {
	jar := func(names ...string) *zip.Reader {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, n := range names {
			if _, err := w.Create(n); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	names := Join([]Names{
		NamesOf(jar("org/lib/A.class", "META-INF/MANIFEST.MF", "META-INF/spring.factories", "logback.xml", "LICENSE.txt", "notice/list.html")),
		NamesOf(jar("org/lib/A.class", "org/lib/B.class", "org/lib/", "META-INF/services/java.sql.Driver", "META-INF/maven/g/a/pom.xml", "META-INF/spring/x.imports", "META-INF/spring/context.xml", "META-INF/versions/9/module-info.class")),
	})
	again, err := Parse(names.Bytes())
	if err != nil || !slices.Equal(again, names) {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"org/lib/A.class": true, "org/lib/B.class": true, "org/lib/C.class": false, "org/lib/": false,
		"logback.xml": true, "notice/list.html": true, "META-INF/services/java.sql.Driver": true, "META-INF/spring/context.xml": true,
		"META-INF/MANIFEST.MF": false, "META-INF/spring.factories": false, "META-INF/spring/x.imports": false,
		"META-INF/maven/g/a/pom.xml": false, "LICENSE.txt": false, "META-INF/versions/9/module-info.class": false,
	} {
		if again.Has(name) != want {
			t.Errorf("%s: %v, want %v", name, again.Has(name), want)
		}
	}
	for _, broken := range [][]byte{{1, 2, 3}, slices.Concat(make([]byte, 7), []byte{1}, make([]byte, 8))} {
		if _, err := Parse(broken); err == nil {
			t.Errorf("%v is read", broken)
		}
	}
}

func TestUnfit(t *testing.T) {
	for _, c := range []struct {
		flags, env []string
		want       string // in the reason; empty for none
	}{
		{nil, []string{"PATH=/bin"}, ""},
		{[]string{"-Xmx256m", "-XX:+UseZGC", "-Dx=-javaagent:y", "-parallel"}, []string{"JAVA_TOOL_OPTIONS=-Xss1m"}, ""},
		{[]string{"-javaagent:/app/apm.jar"}, nil, "agent"},
		{[]string{"-agentlib:jdwp=server=y"}, nil, "agent"},
		{nil, []string{"JAVA_TOOL_OPTIONS=-Xmx1g -javaagent:/apm.jar"}, "JAVA_TOOL_OPTIONS has -javaagent:/apm.jar"},
		{[]string{"-Xshare:off"}, nil, "archives"},
		{[]string{"-XX:SharedArchiveFile=/x"}, nil, "archive of its own"},
		{[]string{"-XX:AOTCache=/x"}, nil, "cache of its own"},
		{[]string{"--patch-module=a=b"}, nil, "takes no archive"},
		{[]string{"-cp", "x"}, nil, "class path"},
		{[]string{"@options"}, nil, "not known"},
	} {
		if got := Unfit(c.flags, c.env); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%v %v: %q, want %q", c.flags, c.env, got, c.want)
		}
	}
}

func TestCause(t *testing.T) {
	for want, lines := range map[string]string{
		"java.net.UnknownHostException: db":            "Error starting ApplicationContext\norg.X: y\n\tat a.b\nCaused by: org.postgresql.Exc: no\n\tat c\nCaused by: java.net.UnknownHostException: db\n\t... 12 more\n2026 INFO closing\n",
		"Error: Could not find or load main class a.B": "Error: Could not find or load main class a.B\nsomething\n",
		"bye":                "hello\nbye\n\n",
		"it printed nothing": "",
	} {
		out := &tail{}
		for line := range strings.Lines(lines) {
			out.add(strings.TrimSuffix(line, "\n"))
		}
		if got := out.cause(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestArchiveFlagsAndFiles(t *testing.T) {
	flags := []string{"-Xmx256m", "-XX:-UseCompressedOops", "--add-opens=java.base/java.lang=ALL-UNNAMED", "-Dkey=value"}
	if got := archiveFlags(flags); !slices.Equal(got, flags[1:3]) {
		t.Errorf("%v", got)
	}
	tr := training{Request: Request{Libraries: []string{"/app/lib/a.jar", `/app/lib/"b" c\.jar`}, App: "/app/app.jar", Release: 25}}
	texts := tr.texts("+ExitOnOutOfMemoryError\n")
	if want := "-XX:Flags=/app/cds/jvm.flags\n-Xlog:cds*=off\n-Xlog:cds*=warning:stderr\n-Xlog:aot*=off\n-Xlog:aot*=warning:stderr\n-cp\n" +
		`"/app/lib/a.jar:/app/lib/\"b\" c\\.jar:/app/app.jar"` + "\n"; texts[argumentsFile] != want {
		t.Errorf("%s", texts[argumentsFile])
	}
	if want := "+ExitOnOutOfMemoryError\nSharedArchiveFile=/app/cds/classes.jsa\n"; texts[flagsFile] != want {
		t.Errorf("%s", texts[flagsFile])
	}
	for _, whole := range []bool{false, true} {
		tr := training{Request: Request{Release: 25, Whole: whole}}
		if args := tr.dumpArguments(); slices.Contains(args, "-XX:+AOTClassLinking") {
			t.Errorf("%v: a JVM with a small heap would not start", args)
		}
	}
}
